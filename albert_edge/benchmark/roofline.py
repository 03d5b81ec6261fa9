"""How much of what a machine can do a model reaches, and where the rest of the time goes.

The roofline model (Williams, Waterman and Patterson 2009, https://doi.org/10.1145/1498765.1498785):
a run takes at least as long as its multiply-accumulates at the rate of a plain product, and at
least as long as the bytes it moves at the rate of a plain copy; the longer of the two is its limit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from albert_edge.architecture.config import read_config
from albert_edge.benchmark.profile import CONTROL_FLOW, ModelRun, profile
from albert_edge.benchmark.rates import Meter, Rates, best_rates, elapsed
from albert_edge.benchmark.shapes import Inputs, Shape, make_inputs
from albert_edge.benchmark.work import INTEGER_PRODUCTS, moved_bytes, multiply_accumulates
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import Variant
from albert_edge.runtime.device import CPU
from albert_edge.runtime.session import Session
from albert_edge.runtime.variants import choose_variant

# What is between operators, by this name among them: onnxruntime handing out memory and threads,
# and the turns of loops.
BETWEEN = "(between operators)"

_RUNS = 7


@dataclass(frozen=True, slots=True)
class OperatorShare:
    """All runs of one type of operator within one run of the model.

    Attributes:
        operator: Its type.
        times: How often it runs; in a loop once a turn.
        share: Of the time of the run, 0 to 1.
        macs: Multiply-accumulates of its matrix products.
        bytes: Bytes it reads and writes.
    """

    operator: str
    times: int
    share: float
    macs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Roofline:
    """One variant at one shape and number of threads, against what the machine can do.

    Attributes:
        precision: Of the variant.
        variant: Its name.
        batch: Sequences.
        length: Tokens of each.
        threads: Threads inside a run.
        int8_macs: Multiply-accumulates whose numbers are bytes.
        fp32_macs: Those whose numbers are floats.
        bytes: What all operators read and write, as if nothing stayed in a cache between them.
        rates: What plain products and copies, which take turns with the runs, reach at best on this
            machine with as many threads.
        ms: The best time of a run.
        compute_ms: What the multiply-accumulates take at those rates.
        memory_ms: What the bytes take at the rate of a copy.
        bound: "compute" or "memory", whichever takes longer.
        reached: The longer of the two over `ms`. It exceeds 1 where caches spare a model that is
            bound by memory what a copy has to wait for.
        operators: Where the time of a profiled run goes, the largest share first.
    """

    precision: str
    variant: str
    batch: int
    length: int
    threads: int
    int8_macs: int
    fp32_macs: int
    bytes: int
    rates: Rates
    ms: float
    compute_ms: float
    memory_ms: float
    bound: str
    reached: float
    operators: list[OperatorShare]


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
    config = read_config(bundle.listed("config.json"))
    task = bundle.manifest.task
    inputs = {shape: make_inputs(shape, config, task) for shape in shapes}
    meters = {count: Meter(count) for count in threads}
    variants = [choose_variant(bundle, CPU, precision) for precision in precisions]
    return [
        _measure(bundle, variant, count, shape, inputs[shape], meter)
        for variant in variants
        for count, meter in meters.items()
        for shape in shapes
    ]


def count_work(
    path: Path, inputs: Inputs, *, unsigned_weights: bool = False
) -> dict[str, tuple[int, int, int]]:
    """How often each operator of a model runs, its multiply-accumulates, and the bytes it moves.

    Args:
        path: The .onnx file.
        inputs: What to run it on.
        unsigned_weights: Whether int8 weights are turned into uint8 ones on the way.
    """
    # Packed weights are missing from what operators are said to read.
    (run,) = profile(
        path, inputs, threads=1, runs=1, packed=False, unsigned_weights=unsigned_weights
    )
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for node in run.nodes:
        sums = counts[node.operator]
        sums[0] += 1
        sums[1] += multiply_accumulates(node)
        sums[2] += moved_bytes(node)
    return {operator: (times, macs, size) for operator, (times, macs, size) in counts.items()}


def _measure(
    bundle: Bundle, variant: Variant, threads: int, shape: Shape, inputs: Inputs, meter: Meter
) -> Roofline:
    path = bundle.model_file(variant)
    with Session(bundle, device="cpu", variant=variant.name, threads=threads) as session:
        unsigned = session.unsigned_weights
        session.run(inputs)
        turns = [(elapsed(lambda: session.run(inputs)), meter.measure()) for _ in range(_RUNS)]
    seconds, rates = min(took for took, _ in turns), best_rates(found for _, found in turns)
    work = count_work(path, inputs, unsigned_weights=unsigned)
    runs = profile(path, inputs, threads=threads, runs=_RUNS, unsigned_weights=unsigned)
    fastest = min(runs, key=lambda run: run.seconds)
    macs = [0, 0]
    for operator, (_, count, _) in work.items():
        macs[operator not in INTEGER_PRODUCTS] += count
    size = sum(moved for _, _, moved in work.values())
    compute = macs[0] / rates.int8 + macs[1] / rates.fp32
    memory = size / rates.bandwidth
    return Roofline(
        precision=variant.precision,
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
        operators=sorted(_shares(fastest, work), key=lambda part: -part.share),
    )


def _shares(run: ModelRun, work: dict[str, tuple[int, int, int]]) -> Iterator[OperatorShare]:
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
