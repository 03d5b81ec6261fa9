"""What a benchmark found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from albert_edge.benchmark.roofline import Roofline
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

    @property
    def shape(self) -> str:
        """Such as "8x128"."""
        return f"{self.batch}x{self.length}"


@dataclass(frozen=True, slots=True)
class RuntimeResult:
    """One runtime, from its file to its latencies.

    Times and memory of a start are medians over fresh processes, with the first of the numbers of
    threads. Memory is resident memory in MB of 10^6 bytes, NaN where the system does not tell
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
        note: What must be said beside its figures; empty if nothing.
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


@dataclass(frozen=True, slots=True)
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
