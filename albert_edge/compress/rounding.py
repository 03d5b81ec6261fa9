"""Round scaled weights to integers: to the nearest, or so that errors compensate each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from albert_edge.graph.observer import groups

Floats = npt.NDArray[np.float32]

# Rows rounded one by one before their errors are passed on to all others in one product.
_BLOCK = 128

# Relative damping of variances, since unseen texts vary differently.
_DAMPING = 0.01


def round_weights(
    matrix: Floats,
    scale: Floats,
    lowest: int,
    highest: int,
    covariance: Sequence[Floats] | None = None,
) -> Floats:
    """Round every weight to a multiple of its scale.

    Args:
        matrix: (in_features, out_features).
        scale: That of every weight, in a shape that broadcasts to the matrix.
        lowest: The least integer there is.
        highest: The largest.
        covariance: Of what enters the matrix, for each of `groups`, if it is known and finite.
            The mean is left out of it: a bias makes up for that.

    Returns:
        Integers, as floats, (in_features, out_features).
    """
    if covariance is None or not all(np.isfinite(within).all() for within in covariance):
        return _round_to_nearest(matrix, scale, lowest, highest)
    scale = np.broadcast_to(scale, matrix.shape)
    parts = [
        _round_together(matrix[cut], scale[cut], lowest, highest, within)
        for cut, within in zip(groups(len(matrix)), covariance, strict=True)
    ]
    return np.concatenate(parts)


def _round_to_nearest(matrix: Floats, scale: Floats, lowest: int, highest: int) -> Floats:
    rounded: Floats = matrix / scale
    np.rint(rounded, out=rounded)
    return rounded.clip(lowest, highest, out=rounded)


def _round_together(
    matrix: Floats, scale: Floats, lowest: int, highest: int, covariance: Floats
) -> Floats:
    """Round so that the product with what enters the matrix changes least.

    What rounding a row did wrong, other rows make up for as far as their features vary together:
    GPTQ (Frantar et al. 2022, https://arxiv.org/abs/2210.17323), as the nearest-plane algorithm
    it is equal to (Chen et al. 2025, https://arxiv.org/abs/2507.18553), which takes one Cholesky
    decomposition and no inverse.
    """
    shares = _shares(covariance)
    integers, error = np.empty_like(matrix), np.empty_like(matrix)
    for stop in range(len(matrix), 0, -_BLOCK):
        start = max(0, stop - _BLOCK)
        wanted = matrix[start:stop] + shares[start:stop, stop:] @ error[stop:]
        for row in reversed(range(start, stop)):
            wanted[row - start] += shares[row, row + 1 : stop] @ error[row + 1 : stop]
            integers[row] = _round_to_nearest(wanted[row - start], scale[row], lowest, highest)
            error[row] = matrix[row] - integers[row] * scale[row]
    return integers


def _shares(covariance: Floats) -> Floats:
    """How much of the error of every later row a row takes up, (rows, rows), upper triangular."""
    damped = covariance.astype(np.float64)
    variance = np.diag(covariance) * (1 + _DAMPING)
    # A feature that never varied takes nothing up, and gives nothing away.
    np.fill_diagonal(damped, np.where(variance > 0, variance, 1))
    try:
        upper = np.linalg.cholesky(damped).T.astype(np.float32)
    except np.linalg.LinAlgError:  # no covariance, but what 32 bits left of numbers far too large
        return np.eye(len(damped), dtype=np.float32)
    upper /= np.diag(upper)[:, None].copy()
    return upper
