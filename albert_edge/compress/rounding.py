"""Round scaled weights to integers: to the nearest, or so that errors compensate each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from albert_edge.graph.observer import groups

Floats = npt.NDArray[np.float32]

# Rows rounded one by one before one product passes their errors on to all other rows.
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
        scale: Of every weight, in a shape that broadcasts to the matrix.
        lowest: The smallest integer.
        highest: The largest.
        covariance: Of the input of the matrix, for each of `groups`; ignored unless finite. The
            error of the mean input is not part of it, since the bias corrects that.

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
    """Round so that the product with the input of the matrix changes least.

    Rows compensate for the rounding errors of other rows, as far as their features vary together:
    GPTQ (Frantar et al. 2022, https://arxiv.org/abs/2210.17323), in the form of the equivalent
    nearest-plane algorithm (Chen et al. 2025, https://arxiv.org/abs/2507.18553), which needs one
    Cholesky decomposition and no inverse.
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
    """Return the share of each later row's error that a row compensates, upper triangular."""
    damped = covariance.astype(np.float64)
    variance = np.diag(covariance) * (1 + _DAMPING)
    # A feature that never varied compensates nothing, and no other compensates its errors.
    np.fill_diagonal(damped, np.where(variance > 0, variance, 1))
    try:
        upper = np.linalg.cholesky(damped).T.astype(np.float32)
    except np.linalg.LinAlgError:  # 32 bits were too few for these numbers
        return np.eye(len(damped), dtype=np.float32)
    upper /= np.diag(upper)[:, None].copy()
    return upper
