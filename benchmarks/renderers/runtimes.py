"""Runtimes side by side: reports as `albert-edge bench` makes them, and what goes with them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from albert_edge.benchmark.statistics import format_ratio
from renderers.markdown import Figures, markdown, ratio

_OWN = "albert-edge "


# Latency.


def report_latency(figures: Figures) -> str:
    """The latencies of a benchmark that keeps its report beside other figures."""
    return latency(figures["report"])


def latency(report: Figures) -> str:
    """Median milliseconds of every runtime at every shape, then the ratio to the baseline."""
    groups = list(dict.fromkeys(_group(row) for one in report["runtimes"] for row in _rows(one)))
    groups.sort(key=lambda group: (group[2], group[0], group[1]))
    several = len({threads for _, _, threads in groups}) > 1
    titles = [f"{b}x{n}" + f", {threads} threads" * several for b, n, threads in groups]
    times, ratios = [], []
    for runtime in report["runtimes"]:
        found = {_group(row): row for row in _rows(runtime)}
        at = [found.get(group) for group in groups]
        times.append([runtime["name"], *(f"{_ms(row)}" if row else "fails" for row in at)])
        cells = (ratio(row, report["rounds"]) if row else "fails" for row in at)
        ratios.append([runtime["name"], *cells])
    speed_up = f"speed-up over {report['baseline']}"
    tables = markdown(["latency, ms (median)", *titles], times)
    return f"{tables}\n\n{markdown([speed_up, *titles], ratios)}"


def _rows(runtime: Figures) -> list[Figures]:
    rows: list[Figures] = runtime["latencies"]
    return rows


def _group(row: Figures) -> tuple[int, int, int]:
    return row["batch"], row["length"], row["threads"]


def _ms(row: Figures) -> str:
    """Three digits, at most two of them decimal."""
    value = row["p50_ms"]
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


# `albert-edge bench`.


def bench_start(figures: Figures) -> str:
    """File, start and memory of every runtime."""
    rows = [
        (
            runtime["name"],
            f"{runtime['file_bytes'] / 1e6:.1f}",
            f"{runtime['load_s']:.2f}",
            f"{runtime['cold_start_s']:.2f}",
            f"{runtime['steady_mb']:.0f}",
            f"{runtime['peak_mb']:.0f}",
            f"{runtime['cosine']:.5f}",
        )
        for runtime in figures["runtimes"]
    ]
    columns = ["", "file, MB", "load, s", "process start to first answer, s"]
    return markdown([*columns, "memory, MB", "peak memory, MB", "cosine with fp32"], rows)


def bench_best(figures: Figures) -> str:
    """File, memory, start and speed of every runtime, the speed at 128 tokens or nearest to it."""
    groups = {_group(row) for runtime in figures["runtimes"] for row in _rows(runtime)}
    best = min(groups, key=lambda group: (group[0], abs(group[1] - 128), -group[2]))
    rows = []
    for runtime in figures["runtimes"]:
        row = next(row for row in _rows(runtime) if _group(row) == best)
        rows.append(
            [
                runtime["name"],
                f"{runtime['file_bytes'] / 1e6:.1f}",
                f"{runtime['steady_mb']:.0f}",
                f"{runtime['cold_start_s']:.2f}",
                _ms(row),
                ratio(row, figures["rounds"]),
            ]
        )
    columns = ["", "file, MB", "memory, MB", "process start to first answer, s"]
    columns.append(f"latency at {best[0]}x{best[1]}, ms (median)")
    return markdown([*columns, f"speed-up over {figures['baseline']}"], rows)


def bench_picture(record: Figures) -> bytes:
    """Latency, memory and size, side by side."""
    from albert_edge.report.bench_file import parse_bench
    from albert_edge.report.plot_file import write_plot

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.svg"
        write_plot(parse_bench(record["figures"]), path)
        return path.read_bytes()


# Compressed models: int8.py.


def precisions(figures: Figures) -> str:
    """Size, memory and speed of albert-edge in each precision."""
    runtimes = {runtime["name"]: runtime for runtime in figures["report"]["runtimes"]}
    at = {
        name: next(row for row in _rows(one) if _group(row)[:2] == (1, 128))
        for name, one in runtimes.items()
    }
    rows = []
    for precision in ("fp32", "int8", "int8-block", "int4"):
        name = _OWN + precision
        speed_up = at[_OWN + "fp32"]["p50_ms"] / at[name]["p50_ms"]
        rows.append(
            (
                f"`{precision}`",
                f"{runtimes[name]['file_bytes'] / 1e6:.1f}",
                f"{runtimes[name]['loaded_mb']:.0f}",
                format_ratio(speed_up, None, None, figures["report"]["rounds"]),
            )
        )
    return markdown(["", "file, MB", "memory, MB", "speed-up over fp32 at 1x128"], rows)


def int8_files(figures: Figures) -> str:
    """File, load, memory and cosine of every contender."""
    models = [_judged(figures["quality"], kind) for kind in ("random", "outliers")]
    rows = []
    for runtime in figures["report"]["runtimes"]:
        cells = [
            f"{runtime['file_bytes'] / 1e6:.1f}",
            f"{runtime['load_s']:.2f}",
            f"{runtime['loaded_mb']:.0f}",
        ]
        for model, _ in models:
            row = figures["quality"][runtime["name"]].get(model)
            cells += [f"{row['cosine']:.5f}", f"{row['worst']:.4f}"] if row else ["fails", ""]
        rows.append([runtime["name"], *cells])
    skipped = figures["report"]["skipped"]
    rows += [[name, "fails", *[""] * (2 + 2 * len(models))] for name in skipped]
    titles = [
        f"{words}: {which}"
        for _, words in models
        for which in ("cosine with torch fp32 (mean)", "cosine (worst)")
    ]
    return markdown(["", "file, MB", "load, s", "memory, MB", *titles], rows)


def _judged(quality: Figures, kind: str) -> tuple[str, str]:
    """Which model of a kind quality is shown of, and in words."""
    words = {"random": "random weights", "outliers": "the same with outliers"}[kind]
    pooled = f"{kind} pooled"
    if any(pooled in row for row in quality.values()):
        return pooled, f"{words}, pooled output"
    return kind, f"{words}, logits"


# From base to xxlarge: geometries.py.


def geometries(figures: list[Figures]) -> str:
    """What each size costs: parameters, file, memory, time."""
    rows = []
    for result, runtime, row in _sizes(figures):
        hidden = result["report"]["geometry"]["hidden_size"]
        rows.append(
            [
                _size_name(result, runtime),
                f"{hidden} x {result['layers']}",
                f"{result['parameters'] / 1e6:.1f}",
                f"{runtime['file_bytes'] / 1e6:.1f}",
                f"{runtime['loaded_mb']:.0f}",
                f"{runtime['load_s']:.2f}",
                f"{row['p50_ms']:.0f}",
            ]
        )
    columns = ["", "width x layers", "parameters, 10^6", "file, MB", "memory, MB", "load, s"]
    return markdown([*columns, "latency at 1x128, ms (median)"], rows)


def growth(figures: list[Figures]) -> str:
    """The same as ratios: what grows with the parameters, and what with the work."""
    rows = []
    for result, runtime, row in _sizes(figures):
        size = runtime["file_bytes"]
        rows.append(
            [
                _size_name(result, runtime),
                f"{size / result['parameters']:.2f}",
                f"{1e6 * runtime['loaded_mb'] / size:.2f}",
                f"{result['gmac']:.1f}",
                f"{row['p50_ms'] / result['gmac']:.1f}",
                ratio(row, result["report"]["rounds"]),
            ]
        )
    columns = ["", "bytes per parameter", "memory / file", "10^9 multiply-accumulates at 1x128"]
    return markdown([*columns, "ms per 10^9", "speed-up over fp32"], rows)


def _sizes(figures: list[Figures]) -> list[tuple[Figures, Figures, Figures]]:
    return [
        (result, runtime, row)
        for result in figures
        for runtime in result["report"]["runtimes"]
        for row in _rows(runtime)
    ]


def _size_name(result: Figures, runtime: Figures) -> str:
    return f"{result['geometry']}, {runtime['name'].removeprefix(_OWN)}"


# A GPU: gpu.py.


def gpu_parity(figures: Figures) -> str:
    """Of every head the output that is furthest from the CPU's, as a cosine."""
    rows = [
        (head, *(_least_cosine(variant["outputs"]) for variant in variants.values()))
        for head, variants in figures["parity"].items()
    ]
    return markdown(["head", *next(iter(figures["parity"].values()))], rows)


def _least_cosine(outputs: dict[str, Any]) -> str:
    return f"{min(cosine for cosine, _ in outputs.values()):.6f}"


def gpu_memory(figures: Figures) -> str:
    """Memory of the device, CUDA's own context included."""
    rows = [
        (
            runtime["name"],
            f"{runtime['load_s']:.2f}",
            *(f"{runtime[key]:.0f}" for key in ("loaded_mb", "steady_mb")),
        )
        for runtime in figures["report"]["runtimes"]
        if runtime["loaded_mb"] is not None
    ]
    return markdown(["", "load, s", "memory loaded, MB", "memory after 32x128, MB"], rows)
