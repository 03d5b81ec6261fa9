"""The figures of a benchmark."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from albert_edge.machine.machine import Machine


@dataclass(frozen=True, slots=True)
class Latency:
    """One runtime at one shape with one number of threads.

    Attributes:
        batch: Sequences of a run.
        length: Tokens of each sequence, none of them padding.
        threads: Threads of the run, and processors it was kept to.
        p50_ms: Median of a run, in milliseconds.
        p95_ms: What 95 % of the runs took at most, interpolated between runs.
        best_ms: The fastest run.
        runs: Runs that were timed, over all rounds.
        outliers: How many of them were left out as outliers; see `BenchReport.method`.
        sequences_per_s: Sequences a second over the runs that were kept.
        ratio: Times as fast as the baseline: the median over the rounds, of each the median of the
            baseline's turn over that of this runtime's. None for a runtime that the baseline is
            missing for.
        ratio_low: Lower quartile over the rounds.
        ratio_high: Upper quartile over the rounds.
        mean_layers: How many layers early exits applied on average to these random ids, which are
            not like texts; None for a runtime without early exits, which applies all.
    """

    batch: int
    length: int
    threads: int
    p50_ms: float
    p95_ms: float
    best_ms: float
    runs: int
    outliers: int
    sequences_per_s: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    mean_layers: float | None = None

    @property
    def shape(self) -> str:
        """Such as "8x128"."""
        return f"{self.batch}x{self.length}"


@dataclass(frozen=True, slots=True)
class RuntimeResult:
    """One runtime, from its file to its latencies.

    Times and memory of a start are medians over fresh processes, with the first of the numbers of
    threads. Memory is resident memory in MB of 10^6 bytes, NaN where the system does not report it
    (anywhere but Linux).

    Attributes:
        name: Such as "albert-edge int8", "optimum" or "openvino-int8".
        precision: Of its weights.
        file_bytes: Size of the files it loads.
        load_s: Seconds that loading the model took, its libraries being imported already.
        cold_start_s: Seconds from the start of the process to the first answer, with everything it
            imports and the tokenizer.
        loaded_mb: What the process grew by on loading.
        steady_mb: What it grew by on loading and answering.
        peak_mb: The most it grew by while it loaded and answered.
        difference: Largest absolute difference of its outputs to those of albert-edge in fp32, on
            one input.
        cosine: Cosine of the same outputs, the least of them if there are several.
        note: A remark to show beside its figures, or empty.
        latencies: At every shape, with every number of threads.
    """

    name: str
    precision: str
    file_bytes: int
    load_s: float
    cold_start_s: float
    loaded_mb: float
    steady_mb: float
    peak_mb: float
    difference: float
    cosine: float
    note: str
    latencies: list[Latency]

    @property
    def is_own(self) -> bool:
        """Whether it is albert-edge and not a peer."""
        return self.name.startswith("albert-edge")


@dataclass(frozen=True, slots=True)
class Rates:
    """What was reached with a number of threads.

    Attributes:
        int8: Multiply-accumulates a second of bytes, by MatMulIntegerToFloat with signed weights.
        fp32: The same of floats, by MatMul.
        bandwidth: Bytes a second that a copy reads and writes.
        uint8: As `int8`, with unsigned weights; NaN in earlier reports.
    """

    int8: float
    fp32: float
    bandwidth: float
    uint8: float = math.nan


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
        compute_ms: What the multiply-accumulates take at those rates, with the weights as this CPU
            needs them.
        memory_ms: What the bytes take at the rate of a copy.
        bound: "compute" or "memory", whichever takes longer.
        reached: The longer of the two over `ms`. It exceeds 1 where caches spare a model that is
            bound by memory what a copy has to wait for.
        operators: Where the time of a profiled run goes, the largest share first.
        other_cpu: The kind of x86 CPU that this machine is not, "x86 with VNNI" or "x86 without
            VNNI"; empty in earlier reports.
        other_compute_ms: `compute_ms` on a CPU of that kind with the same rate of floats, derived
            from it (see `albert_edge.benchmark.cpu_kinds`) and not measured.
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
    other_cpu: str = ""
    other_compute_ms: float = math.nan


@dataclass(frozen=True, slots=True, repr=False)
class BenchReport:
    """A benchmark of a bundle beside its peers.

    Attributes:
        machine: What it ran on.
        bundle: The folder.
        model: What was exported: task and source.
        geometry: Sizes and activation, as in config.json.
        baseline: The runtime that ratios are to.
        rounds: Turns each runtime had at every shape.
        method: How it was measured, by topic: warm-up, outliers, and so on, in sentences.
        runtimes: Those that were measured, albert-edge first.
        skipped: Peers that were not, and why: the pip line of what is missing, or what failed.
        roofline: How much of the machine's limit each shape reaches, if that was asked for.
    """

    machine: Machine
    bundle: str
    model: str
    geometry: dict[str, Any]
    baseline: str
    rounds: int
    method: dict[str, str]
    runtimes: list[RuntimeResult]
    skipped: dict[str, str]
    roofline: list[Roofline] | None

    @property
    def has_early_exits(self) -> bool:
        """Whether a runtime may stop before all layers are applied."""
        return any(
            latency.mean_layers is not None
            for runtime in self.runtimes
            for latency in runtime.latencies
        )

    def __repr__(self) -> str:
        """One line: what was measured, at which shapes."""
        names = ", ".join(runtime.name for runtime in self.runtimes)
        latencies = self.runtimes[0].latencies if self.runtimes else []
        shapes = ", ".join(dict.fromkeys(latency.shape for latency in latencies))
        return f"<BenchReport of {self.bundle}: {names} at {shapes}; baseline {self.baseline}>"
