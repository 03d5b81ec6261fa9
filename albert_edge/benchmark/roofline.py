"""How much of what a machine can do a model reaches, and where the rest of the time goes.

The roofline model (Williams, Waterman and Patterson 2009, https://doi.org/10.1145/1498765.1498785):
a run takes at least as long as its multiply-accumulates at the rate of a plain product, and at
least as long as the bytes it moves at the rate of a plain copy; the longer of the two is its limit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from albert_edge.benchmark.cpu_kinds import derive_rates, has_unsigned_weights, other_kind
from albert_edge.benchmark.profile import CONTROL_FLOW, ModelRun, profile
from albert_edge.benchmark.rates import Meter, best_rates, elapsed
from albert_edge.benchmark.report import BenchReport, OperatorShare, Rates, Roofline
from albert_edge.benchmark.shapes import Inputs, Shape, make_inputs
from albert_edge.benchmark.work import (
    BLOCK_PRODUCT,
    INTEGER_PRODUCTS,
    moved_bytes,
    multiply_accumulates,
)
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.manifest import Variant
from albert_edge.runtime.adaptation import Adaptation
from albert_edge.runtime.device import CPU
from albert_edge.runtime.model_source import ModelFile
from albert_edge.runtime.session import Session
from albert_edge.runtime.variants import choose_variant

# What is between operators, by this name among them: onnxruntime handing out memory and threads,
# and the turns of loops.
BETWEEN = "(between operators)"

_RUNS = 7


def measure_roofline(
    bundle: Bundle, shapes: Sequence[Shape], threads: Sequence[int], precisions: Sequence[str]
) -> list[Roofline]:
    """Compare a bundle's variants with what this machine can do, on its CPU.

    Args:
        bundle: The bundle.
        shapes: Pairs of batch and length.
        threads: Numbers of threads.
        precisions: Which variants: the one a CPU would be given for each.

    Returns:
        One for every precision, number of threads and shape, in this order.

    Raises:
        BundleError: There is no such variant, or it is damaged.
    """
    config = bundle.read_config()
    head = bundle.manifest.head
    inputs = {shape: make_inputs(shape, config, head) for shape in shapes}
    meters = {count: Meter(count) for count in threads}
    variants = [choose_variant(bundle, CPU, precision) for precision in precisions]
    return [
        _measure(bundle, variant, count, shape, inputs[shape], meter)
        for variant in variants
        for count, meter in meters.items()
        for shape in shapes
    ]


def with_roofline(report: BenchReport) -> BenchReport:
    """The report of a benchmark on a CPU, with the limits of this machine for what it measured.

    Args:
        report: Made by `albert_edge.bench`, of a bundle that is still there.
    """
    own = [runtime for runtime in report.runtimes if runtime.is_own]
    runs = [(latency.batch, latency.length, latency.threads) for latency in own[0].latencies]
    return replace(
        report,
        roofline=measure_roofline(
            open_bundle(report.bundle),
            list(dict.fromkeys((batch, length) for batch, length, _ in runs)),
            list(dict.fromkeys(threads for _, _, threads in runs)),
            [runtime.precision for runtime in own],
        ),
    )


def count_work(
    model: ModelFile, inputs: Inputs, *, adaptation: Adaptation | None = None, by_row: bool = False
) -> dict[str, tuple[int, int, int]]:
    """How often each operator of a model runs, its multiply-accumulates, and the bytes it moves.

    Args:
        model: The .onnx file.
        inputs: What to run it on.
        adaptation: How to change an int8 model before loading.
        by_row: Whether the rows of a batch run one after another, as with early exits.
    """
    # Packed weights are missing from what operators are said to read.
    (run,) = profile(
        model,
        inputs,
        threads=1,
        runs=1,
        packed=False,
        adaptation=adaptation,
        by_row=by_row,
    )
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for node in run.nodes:
        sums = counts[node.operator]
        sums[0] += 1
        sums[1] += multiply_accumulates(node)
        sums[2] += moved_bytes(node)
    return {operator: (times, macs, size) for operator, (times, macs, size) in counts.items()}


def compute_seconds(
    work: dict[str, tuple[int, int, int]], rates: Rates, *, unsigned: bool
) -> float:
    """How long the multiply-accumulates of a model take at given rates.

    Args:
        work: What `count_work` returns.
        rates: Multiply-accumulates a second.
        unsigned: Whether integer weights are unsigned when multiplied. Those in blocks never are.
    """
    rate = {operator: rates.uint8 if unsigned else rates.int8 for operator in INTEGER_PRODUCTS}
    rate[BLOCK_PRODUCT] = rates.int8
    return sum(macs / rate.get(operator, rates.fp32) for operator, (_, macs, _) in work.items())


def _measure(
    bundle: Bundle, variant: Variant, threads: int, shape: Shape, inputs: Inputs, meter: Meter
) -> Roofline:
    model = bundle.model_file(variant)
    with Session(bundle, device="cpu", variant=variant.name, threads=threads) as session:
        adaptation = session.adaptation
        session.run(inputs)
        turns = [(elapsed(lambda: session.run(inputs)), meter.measure()) for _ in range(_RUNS)]
    seconds, rates = min(took for took, _ in turns), best_rates(rate for _, rate in turns)
    how: dict[str, Any] = {"adaptation": adaptation, "by_row": variant.exits > 0}
    work = count_work(model, inputs, **how)
    runs = profile(model, inputs, threads=threads, runs=_RUNS, **how)
    fastest = min(runs, key=lambda run: run.seconds)
    macs = [0, 0]
    for operator, (_, count, _) in work.items():
        macs[operator not in INTEGER_PRODUCTS] += count
    size = sum(moved for _, _, moved in work.values())
    unsigned = variant.weights == "unsigned" or adaptation is Adaptation.UNSIGNED_WEIGHTS
    compute = compute_seconds(work, rates, unsigned=unsigned)
    memory = size / rates.bandwidth
    kind = other_kind()
    unsigned = has_unsigned_weights(variant, kind)
    other_compute = compute_seconds(work, derive_rates(kind, rates), unsigned=unsigned)
    return Roofline(
        precision=variant.mode,
        variant=variant.name,
        batch=shape[0],
        length=shape[1],
        threads=threads,
        int8_macs=macs[0],
        fp32_macs=macs[1],
        bytes=size,
        rates=rates,
        ms=1e3 * seconds,
        compute_ms=1e3 * compute,
        memory_ms=1e3 * memory,
        bound="compute" if compute >= memory else "memory",
        reached=max(compute, memory) / seconds,
        operators=sorted(operator_shares(fastest, work), key=lambda part: -part.share),
        other_cpu=kind,
        other_compute_ms=1e3 * other_compute,
    )


def operator_shares(
    run: ModelRun, work: dict[str, tuple[int, int, int]]
) -> Iterator[OperatorShare]:
    """The share of each operator in the time of a run, and what is left."""
    spent: dict[str, float] = defaultdict(float)
    times: Counter[str] = Counter()
    for node in run.nodes:
        if node.operator not in CONTROL_FLOW:  # what is inside has a time of its own
            spent[node.operator] += node.seconds
            times[node.operator] += 1
    for operator, seconds in spent.items():
        _, macs, size = work.get(operator, (0, 0, 0))
        yield OperatorShare(operator, times[operator], seconds / run.seconds, macs, size)
    left = max(0.0, 1 - sum(spent.values()) / run.seconds)
    yield OperatorShare(BETWEEN, 0, left, 0, 0)
