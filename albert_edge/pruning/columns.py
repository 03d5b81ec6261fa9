"""Which columns of activations a matrix can do without, and how the others make up for them.

The product y = x W + b is to change least in the mean square, where x is given by its mean and its
covariance C. A group of features that is left out (a neuron, or all features of an attention head)
costs tr(W_g^T (H^-1_gg)^-1 W_g), if the rows of all other features are chosen anew, with H = C plus
damping: the optimal brain surgeon (Hassibi and Stork 1993) for whole rows of W, as Frantar and
Alistarh 2022 (https://arxiv.org/abs/2208.11580) and Kwon et al. 2022
(https://arxiv.org/abs/2204.09656) apply it to transformers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.pruning.covariance import Covariance, Floats, Indices

Doubles = npt.NDArray[np.float64]

# Relative damping of variances. Where rounding of the covariance, a sum in 32 bits, leaves it
# indefinite, more is tried.
_DAMPINGS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)

# Variances below this share of their mean are damped as if they had it.
_FAINT = 1e-3

# Features that are eliminated at a time.
_BLOCK = 128

# Rows or columns that are worked on at a time: all would be a second copy of the matrix.
_PART = 128


@dataclass(frozen=True, slots=True)
class Removal:
    """The order in which groups of features can be left out.

    Attributes:
        order: All groups but the last, the first to go first.
        cost: What each adds to the mean square of the change of the output.
        damping: The relative damping of variances that the covariance needs.
    """

    order: Indices
    cost: Doubles
    damping: float


def removal_order(covariance: Covariance, matrix: Floats, size: int) -> Removal:
    """Order groups of features by what it costs to leave them out, one after another.

    Args:
        covariance: Of the features, (features, features).
        matrix: (features, out_features).
        size: Features of a group; they stand side by side.
    """
    inverse, damping = _damped_inverse(covariance, min(_DAMPINGS))
    weights = matrix.astype(np.float64)
    del matrix  # a view of a file keeps it in memory
    left = np.arange(len(weights) // size)
    order: list[int] = []
    costs: list[float] = []
    while len(left) > 1:
        if size == 1:
            lost, cost = _cheapest_features(inverse, weights, min(_BLOCK, len(left) - 1))
        else:
            lost, cost = _cheapest_group(inverse, weights, size)
        order.extend(left[lost].tolist())
        costs.extend(cost)
        left = np.delete(left, lost)
        features = (np.asarray(lost)[:, None] * size + np.arange(size)).ravel()
        inverse, weights = _without(inverse, weights, features)
    return Removal(np.asarray(order, np.int64), np.asarray(costs), damping)


def refit(
    covariance: Covariance,
    mean: Floats,
    matrix: Floats,
    bias: Floats,
    kept: Indices,
    damping: float,
) -> tuple[Floats, Floats]:
    """Fit the rows that are kept, and the bias, to the product with all rows.

    Args:
        covariance: Of the features, (features, features).
        mean: Of the features, (features,).
        matrix: (features, out_features).
        bias: (out_features,).
        kept: The features that are kept, in rising order.
        damping: See `Removal`.

    Returns:
        The least-squares solution: a matrix, (kept, out_features), and a bias, (out_features,).
    """
    lost = np.setdiff1d(np.arange(len(matrix)), kept)
    if not lost.size:
        return matrix, bias
    inverse, _ = _damped_inverse(covariance.part(kept, kept), damping)
    fitted, shift = matrix[kept], bias.astype(np.float64)
    for part in _parts(matrix.shape[1]):
        change = _change(covariance, inverse, matrix[:, part], kept, lost)
        fitted[:, part] += change
        # What the mean input yields stays as it was.
        shift[part] += mean[lost].astype(np.float64) @ matrix[lost, part]
        shift[part] -= mean[kept].astype(np.float64) @ change
    return fitted, shift.astype(np.float32)


def _change(
    covariance: Covariance, inverse: Doubles, matrix: Floats, kept: Indices, lost: Indices
) -> Doubles:
    """Return what makes up for the rows that are lost, to be added to those that are kept."""
    missing = np.zeros((len(kept), matrix.shape[1]))
    _subtract_product(missing, covariance.part(kept, lost), -matrix[lost])
    change = inverse @ missing
    _subtract_product(missing, covariance.part(kept, kept), change)
    change += inverse @ missing  # of what damping left undone
    return change


def _damped_inverse(covariance: Covariance, least: float) -> tuple[Doubles, float]:
    """Invert a covariance with the least damping that makes it positive definite."""
    *less, most = (damping for damping in _DAMPINGS if damping >= least)
    for damping in less:
        with contextlib.suppress(np.linalg.LinAlgError):
            return _inverse(_damped(covariance, damping)), damping
    return _inverse(_damped(covariance, most)), most


def _damped(covariance: Covariance, damping: float) -> Doubles:
    damped = np.empty((len(covariance), len(covariance)))
    for rows in _parts(len(covariance)):
        damped[rows] = covariance[rows]
    variance = np.diag(damped).copy()
    floor = _FAINT * variance.mean() or 1.0  # of features that vary, and if none does
    np.fill_diagonal(damped, variance + damping * np.maximum(variance, floor))
    return damped


def _cheapest_group(inverse: Doubles, weights: Doubles, size: int) -> tuple[list[int], list[float]]:
    groups = [slice(start, start + size) for start in range(0, len(weights), size)]
    costs = [np.sum(weights[g] * np.linalg.solve(inverse[g, g], weights[g])) for g in groups]
    lowest = int(np.argmin(costs))
    return [lowest], [float(costs[lowest])]


def _cheapest_features(
    inverse: Doubles, weights: Doubles, count: int
) -> tuple[list[int], list[float]]:
    """Choose features one after another, each by its cost once those before it have gone.

    Neither array changes: what the choices so far did to them is kept in factors, and applied to
    the parts that are looked at.
    """
    diagonal = np.diag(inverse).copy()
    norms = np.concatenate([np.square(weights[p]).sum(axis=1) for p in _parts(len(weights))])
    factors, rows = np.empty((count, len(weights))), np.empty((count, weights.shape[1]))
    chosen: list[int] = []
    costs: list[float] = []
    for done in range(count):
        cost = norms / diagonal
        cost[chosen] = np.inf
        lowest = int(np.argmin(cost))
        column = inverse[lowest] - factors[:done, lowest] @ factors[:done]
        factors[done] = column / np.sqrt(column[lowest])
        row = weights[lowest] - factors[:done, lowest] @ rows[:done]
        rows[done] = row / np.sqrt(column[lowest])
        products = weights @ row - (rows[:done] @ row) @ factors[:done]
        shares = column / column[lowest]
        norms += shares * (shares * (row @ row) - 2 * products)
        diagonal -= np.square(factors[done])
        diagonal[lowest] = 1.0  # it is 0; the feature is gone
        chosen.append(lowest)
        costs.append(float(cost[lowest]))
    return chosen, costs


def _without(inverse: Doubles, weights: Doubles, features: Indices) -> tuple[Doubles, Doubles]:
    """Leave features out; return the inverse and the weights of the others, in the same memory."""
    kept = np.delete(np.arange(len(weights)), features)
    columns = inverse[np.ix_(kept, features)]
    shares = np.linalg.solve(inverse[np.ix_(features, features)], columns.T)
    lost = weights[features]
    for rows in _parts(len(kept)):  # a row never moves down, so none is lost
        inverse[rows, : len(kept)] = inverse[np.ix_(kept[rows], kept)]
        weights[rows] = weights[kept[rows]]
    inverse, weights = inverse[: len(kept), : len(kept)], weights[: len(kept)]
    _subtract_product(inverse, columns, shares)
    _subtract_product(weights, shares.T, lost)
    return inverse, weights


def _inverse(matrix: Doubles) -> Doubles:
    """Invert a positive definite matrix in its own memory: Gauss-Jordan elimination in blocks.

    `numpy.linalg.inv` needs four times the memory.

    Raises:
        numpy.linalg.LinAlgError: It is not positive definite.
    """
    for start in range(0, len(matrix), _BLOCK):
        block = slice(start, start + _BLOCK)
        np.linalg.cholesky(matrix[block, block])  # raises unless it is positive definite
        pivot = np.linalg.inv(matrix[block, block])
        rows, columns = pivot @ matrix[block], matrix[:, block].copy()
        _subtract_product(matrix, columns, rows)
        matrix[block], matrix[:, block] = rows, columns @ -pivot
        matrix[block, block] = pivot
    return matrix


def _subtract_product(matrix: Doubles, left: Doubles | Covariance, right: npt.NDArray[Any]) -> None:
    for rows in _parts(len(matrix)):
        matrix[rows] -= left[rows] @ right


def _parts(count: int) -> Iterator[slice]:
    """Cut rows or columns into those that are worked on at a time."""
    return (slice(start, min(start + _PART, count)) for start in range(0, count, _PART))
