"""How sure a difference is: the paired bootstrap and McNemar's exact test.

Both models are scored on the same resamples of the examples, and the interval is between the
percentiles of the differences found (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13; Koehn, Statistical Significance Tests for Machine Translation Evaluation, EMNLP 2004).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from albert_edge.evaluation.subject import Floats, Measure

CONFIDENCE = 0.95
RESAMPLES = 2000
_SEED = 0
# Fewer resamples in which a metric is defined say nothing of its 2.5 % tails.
_LEAST = 1000
# How many counts are in memory at once.
_COUNTS = 500_000

Interval = tuple[float, float]


def intervals(
    outcomes: Sequence[Sequence[tuple[Any, ...]]],
    measure: Callable[[Sequence[tuple[Any, ...]]], Measure],
    progress: Callable[[int, int], None],
) -> list[dict[str, Interval]]:
    """Intervals that the differences to the first model are in.

    Args:
        outcomes: For each model the outcome of every example.
        measure: Makes of outcomes what computes the metrics of resamples.
        progress: Told how many resamples of how many are done.

    Returns:
        For each model but the first the interval of each metric. One that too few resamples
        define is left out.
    """
    # Examples of the same outcomes are alike, so a resample is how many there are of each sort:
    # drawn from a multinomial distribution, whatever the number of examples.
    sorts = Counter(zip(*outcomes, strict=True))
    measures = [measure([sort[model] for sort in sorts]) for model in range(len(outcomes))]
    found: list[list[dict[str, Floats]]] = []
    done = 0
    for weights in _resamples(np.array(list(sorts.values()))):
        values = [one(weights) for one in measures]
        found.append(
            [{name: other[name] - values[0][name] for name in other} for other in values[1:]]
        )
        done += len(weights)
        progress(done, RESAMPLES)
    return [
        {name: interval for name in batches[0] if (interval := _percentiles(batches, name))}
        for batches in zip(*found, strict=True)
    ]


def _resamples(counts: Any) -> Iterator[Floats]:
    """How often each sort of example is in a resample, a batch of (resamples, sorts) at a time."""
    random = np.random.default_rng(_SEED)
    size = max(1, min(RESAMPLES, _COUNTS // len(counts)))
    for start in range(0, RESAMPLES, size):
        shape = min(size, RESAMPLES - start)
        yield random.multinomial(counts.sum(), counts / counts.sum(), shape).astype(np.float64)


def _percentiles(batches: Sequence[dict[str, Floats]], name: str) -> Interval | None:
    values = np.concatenate([batch[name] for batch in batches])
    defined = values[~np.isnan(values)]
    if len(defined) < _LEAST:
        return None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail]).tolist()
    return low, high


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """The exact McNemar test of two models on the same examples.

    Of the examples that only one model answers rightly, as many should fall to either if both are
    equally good: a two-sided binomial test (McNemar 1947; Dietterich 1998).

    Args:
        first: Whether the first model is right, for each example.
        second: Whether the other is.

    Returns:
        The p-value; 1 if both are right on the same examples.
    """
    from scipy.stats import binomtest

    pairs = Counter(zip(first, second, strict=True))
    one, other = pairs[True, False], pairs[False, True]
    return float(binomtest(one, one + other).pvalue) if one + other else 1.0
