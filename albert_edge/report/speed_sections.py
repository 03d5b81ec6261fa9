"""The sections about speed and memory, and about the machine they were measured on."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from albert_edge.benchmark.report import BenchReport, Latency, Roofline
from albert_edge.benchmark.statistics import MARKS, format_ratio
from albert_edge.machine.machine import Machine
from albert_edge.report.formats import milliseconds, thread_count
from albert_edge.report.page import Figure, Section, Table
from albert_edge.report.plots import inline_svgs


def speed_section(report: BenchReport) -> Section:
    """Show the figures, then the numbers; throughput, limits and method are folded."""
    tables = [_starts(report)]
    measured = [latency for runtime in report.runtimes for latency in runtime.latencies]
    for threads in sorted({latency.threads for latency in measured}):
        tables += _latencies(report, threads)
    if report.roofline:
        tables += [_limits(report.roofline), _operators(report.roofline)]
    if report.skipped:
        skipped = [*report.skipped.items()]
        columns = ["peer", "reason"]
        tables.append(Table("Peers that were not measured", columns, skipped, prose=True))
    method = [*report.method.items()]
    tables.append(Table("Method", ["topic", "method"], method, prose=True, folded=True))
    return Section(
        "speed",
        "Speed and memory",
        [
            f"All runtimes were measured in turns, in {report.rounds} rounds. Milliseconds vary on "
            f"a busy machine; the speed-up over {report.baseline} is computed within each round.",
            f"Marks: {MARKS}",
        ],
        [Figure(title, svg) for title, svg in inline_svgs(report)],
        tables,
    )


def _starts(report: BenchReport) -> Table:
    rows = [
        [
            runtime.name,
            runtime.precision,
            f"{runtime.file_bytes / 1e6:.1f}",
            f"{runtime.load_s:.2f}",
            f"{runtime.cold_start_s:.2f}",
            _whole(runtime.steady_mb),
            _whole(runtime.peak_mb),
            "" if math.isnan(runtime.cosine) else f"{runtime.cosine:.5f}",
            runtime.note,
        ]
        for runtime in report.runtimes
    ]
    columns = [
        *("runtime", "precision", "file, MB", "load time, s", "cold start, s"),
        *("steady memory, MB", "peak memory, MB", "cosine with fp32", "note"),
    ]
    return Table("Start and memory", columns, rows)


def _latencies(report: BenchReport, threads: int) -> list[Table]:
    words = f"by batch x tokens, {thread_count(threads)}"
    tables: list[tuple[str, Callable[[Latency], str]]] = [
        (
            f"Speed-up over {report.baseline} {words}: median (quartiles)",
            partial(_speed_up, report.rounds),
        ),
        (f"Latency {words}, ms: median (95th percentile)", _milliseconds),
        (f"Throughput {words}, sequences/s", lambda latency: f"{latency.sequences_per_s:,.1f}"),
    ]
    measured = {
        runtime.name: {run.shape: run for run in runtime.latencies if run.threads == threads}
        for runtime in report.runtimes
    }
    shapes = list(dict.fromkeys(shape for runs in measured.values() for shape in runs))
    return [
        Table(
            caption,
            ["runtime", *shapes],
            [
                [name, *(cell(runs[shape]) if shape in runs else "" for shape in shapes)]
                for name, runs in measured.items()
            ],
            folded=caption.startswith("Throughput"),
        )
        for caption, cell in tables
    ]


def _milliseconds(latency: Latency) -> str:
    return f"{milliseconds(latency.p50_ms)} ({milliseconds(latency.p95_ms)})"


def _speed_up(rounds: int, latency: Latency) -> str:
    low, high = latency.ratio_low, latency.ratio_high
    text = format_ratio(latency.ratio, low, high, rounds)
    return text if low is None or high is None else f"{text} ({low:.2f} to {high:.2f})"


def _limits(results: list[Roofline]) -> Table:
    columns = [
        *("variant", "batch x tokens", "threads", "int8 multiply-adds, 10^9"),
        *("fp32 multiply-adds, 10^9", "bytes moved, MB", "limit by arithmetic, ms"),
        *("limit by memory, ms", "measured, ms", "limit / measured", "bound by"),
    ]
    other = results[0].other_cpu
    if other:
        columns.append(f"limit by arithmetic on {other}, ms (derived)")
    rows = [
        [
            *_run(result),
            f"{result.int8_macs / 1e9:.3f}",
            f"{result.fp32_macs / 1e9:.3f}",
            f"{result.bytes / 1e6:.1f}",
            milliseconds(result.compute_ms),
            milliseconds(result.memory_ms),
            milliseconds(result.ms),
            f"{result.reached:.0%}",
            result.bound,
            *([milliseconds(result.other_compute_ms)] if other else []),
        ]
        for result in results
    ]
    return Table("Latency compared with the limits of this machine", columns, rows, folded=True)


def _operators(results: list[Roofline]) -> Table:
    rows = [
        [*_run(result), share.operator, part]
        for result in results
        for share in result.operators
        if (part := f"{share.share:.0%}") != "0%"
    ]
    columns = ["variant", "batch x tokens", "threads", "operator", "share of the time"]
    return Table("Time by operator", columns, rows, folded=True)


def _run(result: Roofline) -> list[str]:
    return [result.variant, f"{result.batch}x{result.length}", f"{result.threads}"]


def machine_section(machine: Machine) -> Section:
    """Show the CPU, memory and software."""
    features = [f"{name} {'yes' if has else 'no'}" for name, has in machine.features.items()]
    memory = f"{machine.memory_bytes / 1e9:.1f} GB" if machine.memory_bytes else "unknown"
    rows = [
        ["CPU", f"{machine.cpu} ({machine.architecture})"],
        ["instruction sets", ", ".join(features)],
        ["processors", f"{machine.usable_cpus} usable of {machine.cores}"],
        ["memory", memory],
        ["system", machine.system],
        ["Python", machine.python],
        ["packages", ", ".join(f"{name} {number}" for name, number in machine.packages.items())],
    ]
    return Section(
        "machine",
        "Machine",
        tables=[Table("Machine", ["property", "value"], rows, prose=True)],
    )


def _whole(megabytes: float) -> str:
    return f"{megabytes:.0f}" if math.isfinite(megabytes) else "unknown"
