"""Times of many runs -> medians, ratios, and which ratios can be relied on.

numpy is imported when it is needed: the command line writes ratios, and starts without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A ratio is marked where it is of fewer rounds than this, or where the distance of its quartiles
# exceeds this share of it.
FEWEST_ROUNDS = 3
WIDEST_SPREAD = 0.25
MARKS = (
    f"(n=2): of so few rounds, fewer than {FEWEST_ROUNDS}; ~: scattered, the quartiles of the "
    f"rounds are further apart than {WIDEST_SPREAD:.0%} of the ratio."
)

# Tukey's fences (Exploratory Data Analysis, 1977, section 2D): what lies further from the quartiles
# than this many times their distance is "far out".
FAR_OUT = 3.0

Turns = Sequence[Sequence[float]]  # seconds of each run, by turn


@dataclass(frozen=True, slots=True)
class Times:
    """Times of all runs of one runtime at one shape.

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
    import numpy as np

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
    import numpy as np

    pairs = zip(own, baseline, strict=True)
    ratios = [np.median(theirs) / np.median(ours) for ours, theirs in pairs]
    low, median, high = np.percentile(ratios, (25, 50, 75))
    return Ratio(float(median), float(low), float(high))


def format_ratio(
    ratio: float | None, low: float | None, high: float | None, rounds: int | None
) -> str:
    """Write a ratio, with a mark if it is not to be relied on: see `MARKS`.

    Args:
        ratio: The ratio; None is written as nothing.
        low: Its lower quartile over the rounds; None if it is not known.
        high: Its upper quartile.
        rounds: How many there were; None if that is not known.

    >>> format_ratio(3.3219, 3.2, 3.4, 5)
    '3.32 x'
    >>> format_ratio(3.3219, 3.2, 3.4, 2)
    '3.3 x (n=2)'
    >>> format_ratio(486.2, 80.0, 700.0, 1)
    '~490 x (n=1)'
    """
    if ratio is None:
        return ""
    if ratio == low == high == 1:  # the baseline itself
        return "1.00 x"
    scattered = low is not None and high is not None and high - low > WIDEST_SPREAD * ratio
    few = rounds is not None and rounds < FEWEST_ROUNDS
    if not scattered and not few:
        return f"{ratio:.2f} x"
    rounded = float(f"{ratio:.1e}")  # two digits
    digits = 0 if rounded >= 10 else 1 if rounded >= 1 else 2
    return f"{'~' * scattered}{rounded:.{digits}f} x" + f" (n={rounds})" * few
