"""What a page says of speed and memory, and of the machine they were measured on."""

from __future__ import annotations

import math
from collections.abc import Callable

from albert_edge.benchmark.report import BenchReport, Latency, RuntimeResult
from albert_edge.benchmark.roofline import Roofline
from albert_edge.machine.machine import Machine
from albert_edge.report.page import Figure, Section, Table
from albert_edge.report.plots import inline_svgs


def speed_section(report: BenchReport) -> Section:
    """Figures first, then each number: start and memory, latencies, what was left out."""
    tables = [_starts(report)]
    for threads in sorted(
        {one.threads for runtime in report.runtimes for one in runtime.latencies}
    ):
        tables += _latencies(report, threads)
    if report.roofline:
        tables += [_limits(report.roofline), _operators(report.roofline)]
    if report.skipped:
        skipped = [[name, why] for name, why in report.skipped.items()]
        tables.append(Table("Peers that were not measured", ["peer", "why"], skipped, prose=True))
    method = [[topic, words] for topic, words in report.method.items()]
    tables.append(Table("How it was measured", ["topic", "method"], method, prose=True))
    return Section(
        "speed",
        "Speed and memory",
        [
            f"All runtimes in one run, {report.rounds} rounds. Milliseconds drift on a busy "
            f"machine; the ratios to {report.baseline} are taken within each round."
        ],
        [Figure(title, svg) for title, svg in inline_svgs(report)],
        tables,
    )


def _starts(report: BenchReport) -> Table:
    rows = [
        [
            one.name,
            one.precision,
            f"{one.file_bytes / 1e6:.1f}",
            f"{one.load_s:.2f}",
            f"{one.cold_start_s:.2f}",
            _whole(one.steady_mb),
            _whole(one.peak_mb),
            "" if math.isnan(one.cosine) else f"{one.cosine:.5f}",
            one.note,
        ]
        for one in report.runtimes
    ]
    columns = [
        *("runtime", "precision", "file, MB", "load, s", "cold start, s", "steady, MB"),
        *("peak, MB", "cosine with fp32", "note"),
    ]
    return Table("Start and memory", columns, rows)


def _latencies(report: BenchReport, threads: int) -> list[Table]:
    words = f"{threads} thread{'s' * (threads != 1)}"
    cells: dict[str, Callable[[Latency], str]] = {
        f"Latency with {words}, ms: median (95 %)": lambda one: (
            f"{milliseconds(one.p50_ms)} ({milliseconds(one.p95_ms)})"
        ),
        f"Times as fast as {report.baseline}, {words} (quartiles of rounds)": _ratio,
        f"Sequences a second, {words}": lambda one: f"{one.sequences_per_s:,.1f}",
    }
    shapes = list(
        dict.fromkeys(
            one.shape
            for runtime in report.runtimes
            for one in runtime.latencies
            if one.threads == threads
        )
    )
    return [
        Table(
            caption,
            ["batch x tokens", *shapes],
            [[one.name, *_row(one, threads, shapes, cell)] for one in report.runtimes],
        )
        for caption, cell in cells.items()
    ]


def _row(
    runtime: RuntimeResult, threads: int, shapes: list[str], cell: Callable[[Latency], str]
) -> list[str]:
    found = {one.shape: cell(one) for one in runtime.latencies if one.threads == threads}
    return [found.get(shape, "") for shape in shapes]


def _ratio(latency: Latency) -> str:
    if latency.ratio is None:
        return ""
    if latency.ratio_low is None or latency.ratio_high is None:
        return f"{latency.ratio:.2f}"
    return f"{latency.ratio:.2f} ({latency.ratio_low:.2f} to {latency.ratio_high:.2f})"


def _limits(found: list[Roofline]) -> Table:
    columns = [
        *("variant", "shape", "threads", "10^9 products int8", "10^9 products fp32", "moved, MB"),
        *("products, ms", "bytes, ms", "measured, ms", "reached", "bound by"),
    ]
    rows = [
        [
            one.variant,
            f"{one.batch}x{one.length}",
            f"{one.threads}",
            f"{one.int8_macs / 1e9:.3f}",
            f"{one.fp32_macs / 1e9:.3f}",
            f"{one.bytes / 1e6:.1f}",
            milliseconds(one.compute_ms),
            milliseconds(one.memory_ms),
            milliseconds(one.ms),
            f"{one.reached:.0%}",
            one.bound,
        ]
        for one in found
    ]
    return Table("What this machine could do at most, and what is reached", columns, rows)


def _operators(found: list[Roofline]) -> Table:
    rows = [
        [one.variant, f"{one.batch}x{one.length}", f"{one.threads}", share.operator, part]
        for one in found
        for share in one.operators
        if (part := f"{share.share:.0%}") != "0%"
    ]
    columns = ["variant", "shape", "threads", "operator", "share of the time"]
    return Table("Where the time goes", columns, rows)


def machine_section(machine: Machine) -> Section:
    """What it ran on."""
    features = [f"{name} {'yes' if has else 'no'}" for name, has in machine.features.items()]
    memory = f"{machine.memory_bytes / 1e9:.1f} GB" if machine.memory_bytes else "unknown"
    rows = [
        ["CPU", f"{machine.cpu} ({machine.architecture})"],
        ["instructions", ", ".join(features)],
        ["processors", f"{machine.usable_cpus} usable of {machine.cores}"],
        ["memory", memory],
        ["system", machine.system],
        ["Python", machine.python],
        ["packages", ", ".join(f"{name} {number}" for name, number in machine.packages.items())],
    ]
    return Section(
        "machine",
        "Machine",
        tables=[Table("What it ran on", ["property", "value"], rows, prose=True)],
    )


def milliseconds(value: float) -> str:
    """Milliseconds with the digits that mean something.

    >>> milliseconds(0.4137), milliseconds(41.37)
    ('0.41', '41.4')
    """
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _whole(megabytes: float) -> str:
    return f"{megabytes:.0f}" if math.isfinite(megabytes) else "unknown"
