"""Metrics of many resamples at once, from sums over examples. The libraries have one at a time.

Each agrees with what the libraries give for the examples themselves; NaN stands for undefined.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from albert_edge.evaluation.subject import Floats, Measure


def of_sums(rows: Floats, formula: Callable[[Floats], dict[str, Floats]]) -> Measure:
    """A measure that is a formula of sums over the examples.

    Args:
        rows: What is summed up, (examples, columns).
        formula: The metrics, (resamples,) each, from the sums, (columns, resamples).
    """
    return lambda weights: formula((weights @ rows).T)


def divide(part: Floats, whole: Floats) -> Floats:
    """Elementwise `part / whole`, and NaN where there is nothing to divide by."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def f1(hits: Floats, gold: Floats, found: Floats) -> Floats:
    """F1 from how many were found rightly, were to be found, and were found."""
    return divide(2 * hits, gold + found)


def macro_f1(hits: Floats, gold: Floats, found: Floats) -> Floats:
    """The mean F1 of the labels that there are, from counts of each, (labels, resamples)."""
    scores = f1(hits, gold, found)
    defined = ~np.isnan(scores)
    return divide(np.where(defined, scores, 0.0).sum(axis=0), defined.sum(axis=0).astype(float))


def matthews(hits: Floats, gold: Floats, found: Floats) -> Floats:
    """Matthews correlation of any number of labels, from counts of each, (labels, resamples).

    It is the correlation of right and answered labels as indicators (Gorodkin, Comparing two
    K-category assignments by a K-category correlation coefficient, 2004).
    """
    total = gold.sum(axis=0)
    covariance = hits.sum(axis=0) * total - (gold * found).sum(axis=0)
    variances = (total**2 - (gold**2).sum(axis=0)) * (total**2 - (found**2).sum(axis=0))
    return divide(covariance, np.sqrt(variances))


def pearson(weights: Floats, first: Floats, second: Floats) -> Floats:
    """The correlation of numbers, (examples,), or of those of each resample, one a row."""
    totals = weights.sum(axis=1, keepdims=True)

    def centred(values: Floats) -> Floats:
        wide: Floats = np.broadcast_to(values, weights.shape)
        mean: Floats = (weights * wide).sum(axis=1, keepdims=True) / totals
        return wide - mean

    one, other = centred(first), centred(second)
    squares = (weights * one**2).sum(axis=1) * (weights * other**2).sum(axis=1)
    # In a resample of one number over and over, rounding alone would be left to divide by.
    varied = _distinct(weights, first) & _distinct(weights, second)
    return np.where(varied, divide((weights * one * other).sum(axis=1), np.sqrt(squares)), np.nan)


def _distinct(weights: Floats, values: Floats) -> npt.NDArray[np.bool_]:
    wide = np.broadcast_to(values, weights.shape)
    present = weights > 0
    largest = np.where(present, wide, -np.inf).max(axis=1)
    smallest = np.where(present, wide, np.inf).min(axis=1)
    return np.asarray(largest > smallest)


def spearman(weights: Floats, first: Floats, second: Floats) -> Floats:
    """The correlation of the ranks that numbers, (examples,), have in each resample."""
    return pearson(weights, _ranks(weights, first), _ranks(weights, second))


def _ranks(weights: Floats, values: Floats) -> Floats:
    """Ranks in each resample, the mean of those they share where numbers are equal."""
    _, places = np.unique(values, return_inverse=True)
    order = np.argsort(places, kind="stable")
    starts = np.searchsorted(places[order], np.arange(places.max() + 1))
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(counts, axis=1) - (counts - 1) / 2)[:, places]
    return ranks
