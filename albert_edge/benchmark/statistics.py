"""From the times of many runs to what is said about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Tukey's fences (Exploratory Data Analysis, 1977, section 2D): what lies further from the quartiles
# than this many times their distance is "far out".
FAR_OUT = 3.0

Turns = Sequence[Sequence[float]]  # seconds of each run, by turn


@dataclass(frozen=True, slots=True)
class Times:
    """What the runs of one runtime at one shape took.

    Attributes:
        p50: Median of the runs that were kept, in seconds.
        p95: Their 95th percentile, interpolated linearly between runs.
        best: The fastest of them.
        mean: Their mean.
        runs: How many there were before any was left out.
        outliers: How many were left out.
    """

    p50: float
    p95: float
    best: float
    mean: float
    runs: int
    outliers: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """Times as fast as another runtime: the median over the rounds and its quartiles."""

    median: float
    low: float
    high: float


def summarize(turns: Turns) -> Times:
    """Sum up runs, without those that lie far out.

    A run is left out if it took longer than the third quartile of all runs plus `FAR_OUT` times
    the distance of the quartiles. No run is left out for being fast: nothing makes a program
    faster than it is.

    Args:
        turns: Seconds of each run, by turn; at least one run.
    """
    seconds = np.array([second for turn in turns for second in turn])
    low, high = np.percentile(seconds, (25, 75))
    kept = seconds[seconds <= high + FAR_OUT * (high - low)]
    p50, p95 = np.percentile(kept, (50, 95))
    return Times(
        p50=float(p50),
        p95=float(p95),
        best=float(kept.min()),
        mean=float(kept.mean()),
        runs=seconds.size,
        outliers=seconds.size - kept.size,
    )


def compare(own: Turns, baseline: Turns) -> Ratio:
    """How many times as fast as a baseline a runtime is.

    Each round gives one ratio, of the median of the baseline's turn to the median of the own, so
    that what slows a machine down for longer than a round slows both.

    Args:
        own: Seconds of each run, by turn.
        baseline: The same of the baseline, in the same rounds.
    """
    pairs = zip(own, baseline, strict=True)
    ratios = [np.median(theirs) / np.median(ours) for ours, theirs in pairs]
    low, median, high = np.percentile(ratios, (25, 50, 75))
    return Ratio(float(median), float(low), float(high))
