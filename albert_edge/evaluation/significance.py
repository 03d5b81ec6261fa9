"""Confidence intervals and tests of a difference: the paired bootstrap and McNemar's exact test.

Both models are scored on the same resamples of the examples, and the interval lies between
percentiles of the differences (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13; Koehn, Statistical Significance Tests for Machine Translation Evaluation, EMNLP 2004).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import comb
from typing import Any

import numpy as np

from albert_edge.evaluation.scorer import Floats, Measure

CONFIDENCE = 0.95
RESAMPLES = 2000
_SEED = 0
# With fewer resamples in which a metric is defined, their 2.5 % tails are unreliable.
_LEAST = 1000
# Counts in memory at once.
BATCH_COUNTS = 500_000

Interval = tuple[float, float]


def intervals(
    outcomes: Sequence[Sequence[tuple[Any, ...]]],
    measure: Callable[[Sequence[tuple[Any, ...]]], Measure],
    progress: Callable[[int, int], None],
    *,
    batch_counts: int = BATCH_COUNTS,
) -> list[dict[str, Interval]]:
    """Compute confidence intervals of the differences from the first model.

    Args:
        outcomes: For each model the outcome of every example.
        measure: Prepares the metrics of examples with given outcomes.
        progress: Called with how many resamples are done, and of how many.
        batch_counts: How many counts of examples are in memory at once.

    Returns:
        For each model but the first the interval of each metric, without those that too few
        resamples define.
    """
    # Examples with the same outcomes are interchangeable, so a resample is a count for each
    # distinct outcome: drawn from a multinomial distribution, whatever the number of examples.
    distinct = Counter(zip(*outcomes, strict=True))
    measures = [measure([outcome[model] for outcome in distinct]) for model in range(len(outcomes))]
    batches: list[list[dict[str, Floats]]] = []
    done = 0
    for weights in _resamples(np.array(list(distinct.values())), batch_counts):
        first, *others = (compute(weights) for compute in measures)
        batches.append([{name: other[name] - first[name] for name in other} for other in others])
        done += len(weights)
        progress(done, RESAMPLES)
    return [
        {name: interval for name in model[0] if (interval := _percentiles(model, name))}
        for model in zip(*batches, strict=True)
    ]


def _resamples(counts: Any, batch_counts: int) -> Iterator[Floats]:
    """Draw how often each distinct outcome occurs in a resample, (resamples, outcomes) a batch."""
    random = np.random.default_rng(_SEED)
    size = max(1, min(RESAMPLES, batch_counts // len(counts)))
    for start in range(0, RESAMPLES, size):
        rows = min(size, RESAMPLES - start)
        yield random.multinomial(counts.sum(), counts / counts.sum(), rows).astype(np.float64)


def _percentiles(batches: Sequence[dict[str, Floats]], name: str) -> Interval | None:
    values = np.concatenate([batch[name] for batch in batches])
    defined = values[~np.isnan(values)]
    if len(defined) < _LEAST:
        return None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail]).tolist()
    return low, high


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Test exactly whether two models are equally often right on the same examples.

    If they are, each of the examples that only one of them answers correctly falls to either with
    the same probability: a two-sided binomial test (McNemar 1947; Dietterich 1998).

    Args:
        first: Whether the first model is right, for each example.
        second: Whether the second is.

    Returns:
        The p-value; 1 if both are right on the same examples.
    """
    pairs = Counter(zip(first, second, strict=True))
    least, most = sorted((pairs[True, False], pairs[False, True]))
    if least == most:
        return 1.0
    # The binomial probabilities of `least`, `least - 1`, ... 0; each follows from the one before.
    steps = np.arange(least, 0, -1)
    ratios = steps / (least + most - steps + 1)
    tail = comb(least + most, least) / 2 ** (least + most) * (1 + np.cumprod(ratios).sum())
    return min(1.0, 2 * float(tail))
