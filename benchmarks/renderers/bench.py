"""A bundle and its peers: what `albert-edge bench` measures."""

from __future__ import annotations

import tempfile
from pathlib import Path

from renderers.markdown import Figures, markdown, times


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


def bench_best(figures: Figures) -> str:
    """File, memory, start and speed of every runtime, the speed at 128 tokens or nearest to it."""
    shapes = {
        (one["batch"], one["length"], one["threads"])
        for runtime in figures["runtimes"]
        for one in runtime["latencies"]
    }
    shape = min(shapes, key=lambda shape: (shape[0], abs(shape[1] - 128), -shape[2]))
    rows = []
    for runtime in figures["runtimes"]:
        found = [
            one
            for one in runtime["latencies"]
            if (one["batch"], one["length"], one["threads"]) == shape
        ]
        rows.append(
            [
                runtime["name"],
                f"{runtime['file_bytes'] / 1e6:.1f} MB",
                f"{runtime['steady_mb']:.0f} MB",
                f"{runtime['cold_start_s']:.2f} s",
                f"{found[0]['p50_ms']:.0f} ms",
                times(found[0]["ratio"]),
            ]
        )
    title = f"{shape[0]}x{shape[1]}"
    columns = ["", "file", "memory", "process start to first answer", f"latency at {title}"]
    return markdown([*columns, f"times as fast as {figures['baseline']}"], rows)


def bench_picture(record: Figures) -> bytes:
    """Latency, memory and size, side by side."""
    from albert_edge.report.bench_file import parse_bench
    from albert_edge.report.plot_file import write_plot

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.svg"
        write_plot(parse_bench(record["figures"]), path)
        return path.read_bytes()
