"""Print what `bench` measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from albert_edge.benchmark.statistics import MARKS, format_ratio
from albert_edge.cli.print_roofline import print_roofline
from albert_edge.cli.printing import show
from albert_edge.cli.table import print_table
from albert_edge.report.formats import thread_count

if TYPE_CHECKING:
    from albert_edge.benchmark.report import BenchReport, Latency, RuntimeResult


def print_bench(report: BenchReport) -> None:
    """Print the machine, then memory and latency of each runtime, then how it was measured."""
    sizes = ", ".join(f"{name} {value}" for name, value in _sizes(report.geometry).items())
    show(f"{report.model}: {sizes}")
    machine = report.machine
    show(f"{machine.cpu}, {machine.usable_cpus} of {machine.cores} processors, {machine.system}")
    title = "File, start-up and memory; answers compared with albert-edge fp32"
    columns = ["runtime", "file, MB", "load, s", "first answer, s"]
    columns += ["loaded, MB", "steady, MB", "peak, MB", "largest difference", "cosine"]
    print_table(title, columns, [*map(_row, report.runtimes)], gap=True)
    marked = False
    for threads in dict.fromkeys(latency.threads for latency in report.runtimes[0].latencies):
        title = f"Latency with {thread_count(threads)}; speed-up over {report.baseline}"
        columns = ["shape", "runtime", "median, ms", "p95, ms", "best, ms", "texts/s"]
        columns += ["layers, mean"] * report.has_early_exits
        columns += ["speed-up (quartiles)", "runs (outliers)"]
        rows = _latency_rows(report, threads)
        print_table(title, columns, rows, gap=True)
        marked |= any("~" in row[-2] or "n=" in row[-2] for row in rows)
    if marked:
        show("", MARKS)
    if report.roofline:
        print_roofline(report.roofline)
    show("")
    for topic, rule in report.method.items():
        show(f"{topic}: {rule}")
    for name, reason in report.skipped.items():
        show(f"{name} was skipped: {reason}")
    for runtime in report.runtimes:
        if runtime.note:
            show(f"{runtime.name}: {runtime.note}")


def _sizes(geometry: dict[str, Any]) -> dict[str, Any]:
    """Select the sizes that decide how long a run takes."""
    names = ("hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size")
    return {name: geometry[name] for name in names}


def _row(runtime: RuntimeResult) -> list[str]:
    return [
        runtime.name,
        f"{runtime.file_bytes / 1e6:.1f}",
        f"{runtime.load_s:.2f}",
        f"{runtime.cold_start_s:.2f}",
        *(f"{size:.0f}" for size in (runtime.loaded_mb, runtime.steady_mb, runtime.peak_mb)),
        f"{runtime.difference:.1e}",
        f"{runtime.cosine:.5f}",
    ]


def _latency_rows(report: BenchReport, threads: int) -> list[list[str]]:
    """Build a row for each shape and runtime; only the first row of a shape names it."""
    columns = [
        [(runtime.name, latency) for latency in runtime.latencies if latency.threads == threads]
        for runtime in report.runtimes
    ]
    return [
        [latency.shape * (index == 0), name, *_cells(latency, report)]
        for at_shape in zip(*columns, strict=True)
        for index, (name, latency) in enumerate(at_shape)
    ]


def _cells(latency: Latency, report: BenchReport) -> list[str]:
    ratio = format_ratio(latency.ratio, latency.ratio_low, latency.ratio_high, report.rounds)
    if ratio:
        ratio += f" ({latency.ratio_low:.2f}-{latency.ratio_high:.2f})"
    figures = (latency.p50_ms, latency.p95_ms, latency.best_ms, latency.sequences_per_s)
    cells = [*map(_three_digits, figures), ratio, f"{latency.runs} ({latency.outliers})"]
    if report.has_early_exits:
        cells.insert(-2, "" if latency.mean_layers is None else f"{latency.mean_layers:.1f}")
    return cells


def _three_digits(value: float) -> str:
    return f"{value:.{max(0, 2 - len(str(int(value))) + 1)}f}"
