"""How figures become a table or a picture of the documents: a small renderer for each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
Cells = Iterable[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Which record of docs/measured/ a table shows, and how."""

    source: str
    render: Callable[[Figures], str]


@dataclass(frozen=True, slots=True)
class Picture:
    """The same of a picture, from the whole record."""

    source: str
    draw: Callable[[Figures], bytes]


def markdown(columns: list[str], rows: Iterable[Cells]) -> str:
    """A table whose first column is of names and whose others are of figures."""
    lines = [" | ".join(columns), " | ".join(["---", *["---:"] * (len(columns) - 1)])]
    lines += [" | ".join(row) for row in rows]
    return "\n".join(f"| {line} |".replace("|  |", "| |") for line in lines)


def source_line(record: Figures) -> str:
    """Where a table comes from: the machine, the day, the command."""
    machine = record["machine"]
    features = machine["features"]
    words = [f"{machine['cpu']} ({machine['architecture']})", _processors(machine)]
    if "vnni" in features:
        words.append("VNNI" if features["vnni"] else "no VNNI")
    words.append(f"onnxruntime {machine['packages'].get('onnxruntime', 'unknown')}")
    return f"{', '.join(words)}; {record['date']}; `{record['command']}`"


def _processors(machine: Figures) -> str:
    count = machine["usable_cpus"]
    return f"{count} processor{'s' * (count != 1)}"


# Export, load, answer in fp32: spine.py.


def start(figures: Figures) -> str:
    """What export, load and a first answer take, beside optimum."""
    own, peer = (
        {part: figures[part].get(name, {}) for part in ("export", "start")}
        for name in ("albert-edge", "optimum")
    )
    own["load"], peer["load"] = (
        figures["load"].get(name, {}) for name in ("model_optimized", "optimum")
    )
    layers = 4 * figures["layers"]
    deep = figures["load"][f"model_optimized, {layers} layers"]
    ratio = figures["file_ratio"]["model"]
    rows = [
        ("export, whole command", *(_export(one["export"]) for one in (own, peer))),
        ("file, against safetensors", f"{ratio:.4f} x", ""),
        ("memory a loaded model takes", *(_of(one["load"], "growth_mb") for one in (own, peer))),
        (f"the same with {layers} layers", _of(deep, "growth_mb"), ""),
        ("load", *(_of(one["load"], "load_s") for one in (own, peer))),
        ("process start to first answer", *(_of(one["start"], "wall_s") for one in (own, peer))),
    ]
    return markdown(["", "albert-edge", "optimum on onnxruntime"], rows)


def _export(figures: Figures) -> str:
    return f"{_of(figures, 'wall_s')}, peak {_of(figures, 'peak_mb')}" if figures else ""


def _of(figures: Figures, key: str) -> str:
    if key not in figures:
        return ""
    value = figures[key]
    if key.endswith("_mb"):
        return f"{value:.0f} MB"
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"


def fp32_latency(figures: Figures) -> str:
    """Milliseconds of fp32 at every shape, with the ratio to optimum."""
    names = {
        "model_optimized": "albert-edge, optimized",
        "model": "albert-edge, portable",
        "optimum": "optimum",
    }
    shapes = figures["latency_ms"]
    rows = []
    for name, words in names.items():
        if all(name in row for row in shapes.values()):
            rows.append([words, *(_beside(row, name) for row in shapes.values())])
    return markdown(["ms, times as fast as optimum", *shapes], rows)


def _beside(row: Figures, name: str) -> str:
    text = f"{row[name]:.1f}"
    return f"{text}, {row['optimum'] / row[name]:.2f} x" if "optimum" in row else text


# Compressed models and their peers: int8.py.

_WHEN = {
    "int8": ("albert-edge int8", "the default, on any CPU"),
    "int8-block": (
        "albert-edge int8-block",
        "the gate refused int8: outliers inside the feed-forward layer",
    ),
    "int4": (
        "albert-edge int4",
        "the file must be as small as can be, and your data says it is good enough",
    ),
    "mixed": ("", "a budget is given instead of a precision"),
    "fp16": ("", "[GPUs](gpu.md); a CPU computes it in fp32"),
    "fp32": ("albert-edge fp32", "nothing may change"),
}
_PEERS = {
    "albert-edge int8": "albert-edge int8",
    "ORT dynamic int8": "optimum's export, quantized by onnxruntime",
    "torch dynamic int8": "torch, dynamic int8",
    "OpenVINO int8 dynamic": "OpenVINO, int8 weights, dynamic",
}


def precisions(figures: Figures) -> str:
    """Size and speed of each precision, and when to take it."""
    shape = "1x128"
    rows = []
    for precision, (name, when) in _WHEN.items():
        size, speed = "", ""
        if name:
            own = figures["latency"][shape]
            size = f"{figures['built']['random'][name]['bytes'] / 1e6:.1f} MB"
            ratio = own["albert-edge fp32"]["median_ms"] / own[name]["median_ms"]
            speed = f"{ratio:.1f} x"
        rows.append((f"`{precision}`", when, size, speed))
    rows[3] = (*rows[3][:2], "between", "between")
    rows[4] = (*rows[4][:2], "half of fp32", "")
    return markdown(["", "when", "size of base", f"speed at {shape}, fp32 is 1"], rows)


def int8_short(figures: Figures) -> str:
    """int8 of albert-edge and of those it is most often compared with."""
    model, _ = _judged(figures, "outliers")
    rows = []
    for name, words in _PEERS.items():
        if name in figures["load"]:
            size = f"{figures['built']['random'][name]['bytes'] / 1e6:.1f} MB"
            cosine = figures["quality"][name][model]["cosine"]
            memory = f"{figures['load'][name]['grown_mb']:.0f} MB"
            speed = figures["latency"]["1x128"][name].get("times_as_fast")
            rows.append((words, size, memory, _times(speed), f"{cosine:.5f}"))
    columns = ["int8", "file", "memory a loaded model takes", "speed at 1x128, optimum's fp32 is 1"]
    return markdown([*columns, "cosine with fp32, with outliers in the weights"], rows)


def int8_files(figures: Figures) -> str:
    """File, load, memory and cosine of every contender."""
    models = [_judged(figures, kind) for kind in ("random", "outliers")]
    rows = []
    for name, built in figures["built"]["random"].items():
        if isinstance(built, str):
            rows.append([name, "fails", *[""] * (2 + len(models))])
            continue
        load = figures["load"][name]
        cells = [f"{built['bytes'] / 1e6:.1f}", f"{load['load_s']:.2f}", f"{load['grown_mb']:.0f}"]
        for model, _ in models:
            found = figures["quality"][name].get(model)
            cells.append(f"{found['cosine']:.5f} ({found['worst']:.4f})" if found else "fails")
        rows.append([name, *cells])
    titles = [f"{words}: cosine (worst)" for _, words in models]
    return markdown(["", "file MB", "load s", "grows by MB", *titles], rows)


def _judged(figures: Figures, kind: str) -> tuple[str, str]:
    """Which model of a kind quality is shown of, and in words."""
    words = {"random": "random weights", "outliers": "the same with outliers"}[kind]
    pooled = f"{kind} pooled"
    if pooled in figures["built"]:
        return pooled, f"{words}, pooled output"
    return kind, f"{words}, logits"


def int8_latency(figures: Figures) -> str:
    """Milliseconds of every contender at every shape, with the ratio to the baseline."""
    shapes = figures["latency"]
    rows = []
    for name in figures["load"]:
        cells = [_medians(row[name]) for row in shapes.values()]
        rows.append([name, *cells])
    return markdown(["median (best) ms, times as fast as optimum fp32", *shapes], rows)


def _medians(row: Figures) -> str:
    ratio = row.get("times_as_fast")
    text = f"{row['median_ms']:.1f} ({row['best_ms']:.1f})"
    return f"{text}, {ratio:.2f} x" if ratio else text


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f} x"


# The command's own benchmark.


def bench_start(figures: Figures) -> str:
    """File, start and memory of every runtime."""
    rows = [
        (
            one["name"],
            f"{one['file_bytes'] / 1e6:.1f}",
            f"{one['load_s']:.2f}",
            f"{one['cold_start_s']:.2f}",
            f"{one['steady_mb']:.0f}",
            f"{one['peak_mb']:.0f}",
            f"{one['cosine']:.5f}",
        )
        for one in figures["runtimes"]
    ]
    columns = ["", "file MB", "load s", "process start to first answer, s"]
    return markdown([*columns, "memory MB", "peak MB", "cosine with fp32"], rows)


def bench_latency(figures: Figures) -> str:
    """Milliseconds of every runtime, with the ratio to the baseline."""
    groups = {
        (one["batch"], one["length"], one["threads"])
        for runtime in figures["runtimes"]
        for one in runtime["latencies"]
    }
    order = sorted(groups, key=lambda group: (group[2], group[0], group[1]))
    rows = []
    for runtime in figures["runtimes"]:
        found = {(one["batch"], one["length"], one["threads"]): one for one in runtime["latencies"]}
        rows.append([runtime["name"], *(_bench_cell(found.get(group)) for group in order)])
    threads = len({group[2] for group in groups}) > 1
    titles = [f"{b}x{n}" + f", {t} threads" * threads for b, n, t in order]
    return markdown([f"median ms, times as fast as {figures['baseline']}", *titles], rows)


def _bench_cell(one: Figures | None) -> str:
    if one is None:
        return ""
    text = f"{one['p50_ms']:.1f}"
    return text if one["ratio"] is None else f"{text}, {one['ratio']:.2f} x"


def bench_picture(record: Figures) -> bytes:
    """Latency, memory and size, side by side."""
    from albert_edge.measure.plots import write_plot
    from albert_edge.measure.report.bench_file import parse_bench

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.svg"
        write_plot(parse_bench(record["figures"]), path)
        return path.read_bytes()


# A CUDA device: gpu.py.


def gpu_memory(figures: Figures) -> str:
    """Memory of the device, CUDA's own context included."""
    rows = [
        (name, f"{row['load_s']:.2f}", f"{row['loaded_mb']:.0f}", f"{row['ran_mb']:.0f}")
        for name, row in figures["memory_mb"].items()
    ]
    return markdown(["", "load s", "loaded MB", "after 32x128 MB"], rows)


def gpu_latency(figures: Figures) -> str:
    """Milliseconds at every shape, with the ratio to torch in fp16."""
    shapes = figures["latency"]
    rows = [
        [name, *(_gpu_cell(row.get(name)) for row in shapes.values())]
        for name in next(iter(shapes.values()))
    ]
    return markdown(["median (best) ms, times as fast as torch fp16", *shapes], rows)


def _gpu_cell(row: Figures | None) -> str:
    if row is None:
        return "fails"
    return f"{row['median_ms']:.2f} ({row['best_ms']:.2f}), {row['times_as_fast']:.2f} x"


def gpu_throughput(figures: Figures) -> str:
    """Texts a second from strings to labels."""
    rows = [
        (name, f"{row['texts_per_s']:.0f}", f"{row['times_as_fast']:.2f} x")
        for name, row in figures["throughput"].items()
    ]
    return markdown(["pipeline, mixed lengths", "texts a second", "the best peer is 1"], rows)


TABLES = {
    "start": Table("spine", start),
    "fp32-latency": Table("spine", fp32_latency),
    "precisions": Table("int8", precisions),
    "int8-short": Table("int8", int8_short),
    "int8-files": Table("int8", int8_files),
    "int8-latency": Table("int8", int8_latency),
    "bench-start": Table("bench", bench_start),
    "bench-latency": Table("bench", bench_latency),
    "gpu-memory": Table("gpu", gpu_memory),
    "gpu-latency": Table("gpu", gpu_latency),
    "gpu-throughput": Table("gpu", gpu_throughput),
}
PICTURES = {"bench.svg": Picture("bench", bench_picture)}
