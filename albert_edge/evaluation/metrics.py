"""Metrics of weighted examples, for many resamples at once. NaN stands for undefined.

The tests compare each with scikit-learn, SciPy or seqeval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from albert_edge.evaluation.scorer import Floats, Measure


def of_sums(rows: Floats, formula: Callable[[Floats], dict[str, Floats]]) -> Measure:
    """Build metrics that are a formula of sums over the examples.

    Args:
        rows: What is summed up, (examples, columns).
        formula: The metrics, (resamples,) each, from the sums, (columns, resamples).
    """
    return lambda weights: formula((weights @ rows).T)


def divide(part: Floats, whole: Floats) -> Floats:
    """Divide elementwise; NaN where `whole` is 0."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def f1(hits: Floats, expected: Floats, predicted: Floats) -> Floats:
    """Compute F1 from the counts of true positives, expected and predicted positives."""
    return divide(2 * hits, expected + predicted)


def macro_f1(hits: Floats, expected: Floats, predicted: Floats) -> Floats:
    """Average F1 over the labels that occur, from counts of each, (labels, resamples)."""
    scores = f1(hits, expected, predicted)
    defined = ~np.isnan(scores)
    return divide(np.where(defined, scores, 0.0).sum(axis=0), defined.sum(axis=0).astype(float))


def matthews(hits: Floats, expected: Floats, predicted: Floats) -> Floats:
    """Compute Matthews correlation for any number of labels, from counts, (labels, resamples).

    It is the correlation of expected and predicted labels as indicators (Gorodkin, Comparing two
    K-category assignments by a K-category correlation coefficient, 2004).
    """
    total = expected.sum(axis=0)
    covariance = hits.sum(axis=0) * total - (expected * predicted).sum(axis=0)
    variances = (total**2 - (expected**2).sum(axis=0)) * (total**2 - (predicted**2).sum(axis=0))
    return divide(covariance, np.sqrt(variances))


def pearson(weights: Floats, first: Floats, second: Floats) -> Floats:
    """Correlate numbers, (examples,) or one row for each resample.

    A resample in which either side is constant, or not finite, has no correlation.
    """
    defined = _varied(weights, first) & _varied(weights, second)
    x, y = _centred(weights, first), _centred(weights, second)
    squares = (weights * x**2).sum(axis=1) * (weights * y**2).sum(axis=1)
    correlation = divide((weights * x * y).sum(axis=1), np.sqrt(squares))
    return np.where(defined, np.clip(correlation, -1, 1), np.nan)


def _varied(weights: Floats, values: Floats) -> npt.NDArray[np.bool_]:
    """Whether the numbers of each resample are finite and not all the same."""
    present = weights > 0
    largest = np.where(present, values, -np.inf).max(axis=1)
    smallest = np.where(present, values, np.inf).min(axis=1)
    varied: npt.NDArray[np.bool_] = (
        np.isfinite(largest) & np.isfinite(smallest) & (largest > smallest)
    )
    return varied


def _centred(weights: Floats, values: Floats) -> Floats:
    """Subtract the mean of each resample, scaled by a power of 2 so that squares stay finite."""
    finite = np.where(np.isfinite(values), values, 0.0)
    _, exponent = np.frexp(np.abs(finite).max())
    scaled = np.broadcast_to(np.ldexp(finite, -exponent), weights.shape)
    centred: Floats = scaled - (weights * scaled).sum(axis=1, keepdims=True) / weights.sum(
        axis=1, keepdims=True
    )
    return centred


def spearman(weights: Floats, first: Floats, second: Floats) -> Floats:
    """Correlate the ranks that numbers, (examples,), have in each resample."""
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return np.full(len(weights), np.nan)
    return pearson(weights, _ranks(weights, first), _ranks(weights, second))


def _ranks(weights: Floats, values: Floats) -> Floats:
    """Rank within each resample; equal numbers share the mean of their ranks."""
    _, places = np.unique(values, return_inverse=True)
    order = np.argsort(places, kind="stable")
    starts = np.searchsorted(places[order], np.arange(places.max() + 1))
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks: Floats = (np.cumsum(counts, axis=1) - (counts - 1) / 2)[:, places]
    return ranks


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Find the entities of a sentence as conlleval does: type, first word and the word after it.

    Args:
        tags: Labels in BIO, BIOES, BILOU or BMES; an I- after nothing begins an entity.
    """
    spans = set()
    begin = 0
    for place, (before, here) in enumerate(zip(["O", *tags], [*tags, "O"], strict=True)):
        if before[0] in "ESLUO" or here[0] in "BSUO" or before[2:] != here[2:]:
            if before != "O":
                spans.add((before[2:], begin, place))
            begin = place
    return spans
