"""The few numbers at the top of a page: quality first, then speed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import geometric_mean

from albert_edge.benchmark.report import BenchReport, Latency, RuntimeResult
from albert_edge.benchmark.statistics import format_ratio
from albert_edge.evaluation.report import EvaluateReport
from albert_edge.inspection.inspect import Inspection
from albert_edge.report.formats import milliseconds, thread_count

Fact = tuple[str, str]


def headline(
    inspection: Inspection, bench: BenchReport, evaluation: EvaluateReport | None
) -> list[Fact]:
    """Describe the variant with the largest speed-up over the baseline.

    The speed-up is the geometric mean over the shapes of ratios that were taken within each round,
    which a machine that slows down meanwhile does not change; a lowest median could be luck.
    """
    parameters = (f"{inspection.parameters / 1e6:.1f} M", "parameters, each stored once")
    best = fastest(bench)
    if best is None:
        return [parameters]
    return [*_quality(best, inspection, evaluation), *_speed(best, bench), parameters]


def fastest(bench: BenchReport) -> RuntimeResult | None:
    """Find the variant of albert-edge with the largest speed-up; the first if none was compared."""
    measured = [runtime for runtime in bench.runtimes if runtime.latencies]
    own = [runtime for runtime in measured if runtime.is_own]
    return max(own, key=lambda runtime: speed_up(_shapes(runtime)) or 0.0, default=None)


def speed_up(latencies: list[Latency], field: str = "ratio") -> float | None:
    """Average the paired ratios to the baseline, or their quartiles; None if there are none."""
    ratios = [ratio for latency in latencies if (ratio := getattr(latency, field))]
    return geometric_mean(ratios) if ratios else None


def _shapes(runtime: RuntimeResult) -> list[Latency]:
    """Select the latencies with the last number of threads, which all shapes have."""
    last = runtime.latencies[-1]
    return [latency for latency in runtime.latencies if latency.threads == last.threads]


def _quality(
    best: RuntimeResult, inspection: Inspection, evaluation: EvaluateReport | None
) -> list[Fact]:
    """Give the first metric on labelled data if there are any, or else the agreement with fp32."""
    results = evaluation.precisions if evaluation else []
    for result in results:
        name, value = next(iter(result.metrics.items()))
        if result.precision == best.precision and value is not None:
            reference = results[0].metrics.get(name)
            known = result is not results[0] and reference is not None
            beside = f" ({results[0].precision}: {reference:.4f})" if known else ""
            return [(f"{value:.4f}", f"{name} of {result.precision}{beside}")]
    for variant in inspection.variants:
        agreement = variant.measured.get("agreement")
        if variant.mode == best.precision and isinstance(agreement, int | float):
            other = "the full model" if variant.exits else "fp32"
            return [(f"{agreement:.2%}", f"of answers of {best.precision} agree with {other}")]
    return []


def _speed(best: RuntimeResult, bench: BenchReport) -> Iterator[Fact]:
    shapes = _shapes(best)
    last = shapes[-1]
    threads = thread_count(last.threads)
    quartiles = speed_up(shapes, "ratio_low"), speed_up(shapes, "ratio_high")
    ratio = format_ratio(speed_up(shapes), *quartiles, bench.rounds)
    if ratio and best.name != bench.baseline:
        over = f"{len(shapes)} shapes, geometric mean" if len(shapes) > 1 else last.shape
        meaning = f"speed-up of {best.name} over {bench.baseline}, {threads} ({over})"
        yield ratio, meaning
    yield f"{milliseconds(last.p50_ms)} ms", f"latency at {last.shape}, {threads} (median)"
    yield f"{best.cold_start_s:.2f} s", "from process start to the first answer"
    if math.isfinite(best.peak_mb):
        yield f"{best.peak_mb:.0f} MB", "peak memory"
    yield f"{best.file_bytes / 1e6:.1f} MB", f"file of {best.name}"
