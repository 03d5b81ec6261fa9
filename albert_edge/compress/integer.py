"""Quantize a float matrix to integers and scales, symmetrically around zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.compress.rounding import Floats, round_weights

Int8s = npt.NDArray[np.int8]
Bytes = npt.NDArray[np.uint8]

# Tried for 4 bits, times the scale that maps the value furthest from zero to -8. Below 1 a
# few values are clipped, which can cost less than coarser steps for all; at 8/7 both signs fit.
_MULTIPLES = np.append(np.linspace(0.7, 1.1, 9), 8 / 7).astype(np.float32)


def quantize_columns(
    matrix: Floats, covariance: Sequence[Floats] | None = None
) -> tuple[Int8s, Floats]:
    """Quantize to 8 bits with a scale for each column.

    Args:
        matrix: (in_features, out_features).
        covariance: Of the input of the matrix (see `rounding.round_weights`).

    Returns:
        Integers from -127 to 127, (in_features, out_features), and scales, (out_features,).
    """
    scale = _nonzero(np.abs(matrix).max(axis=0) / np.float32(127))
    return round_weights(matrix, scale, -127, 127, covariance).astype(np.int8), scale


def as_unsigned(integers: npt.NDArray[Any]) -> Bytes:
    """Convert int8 to uint8 with a zero point of 128; in bits, flip the top one.

    >>> as_unsigned(np.array([-127, 0, 127], np.int8)).tolist()
    [1, 128, 255]
    """
    return integers.view(np.uint8) ^ np.uint8(128)


def quantize_blocks(
    matrix: Floats, bits: int, block: int, covariance: Sequence[Floats] | None = None
) -> tuple[Bytes, Floats]:
    """Quantize with a scale for every `block` values of a row, as MatMulNBits lays them out.

    Args:
        matrix: (rows, values). Rows are padded with zeros to a multiple of `block`.
        bits: 8 or 4.
        block: Values that share a scale.
        covariance: Of the features the rows are multiplied with (see `rounding.round_weights`).

    Returns:
        Unsigned integers whose zero is the middle of their range, (rows, blocks, bytes), and
        scales, (rows, blocks). With 4 bits, two integers share a byte, the first in its low half,
        and scales may be negative.
    """
    rows, values = matrix.shape
    blocks = -(-values // block)
    padded = np.zeros((rows, blocks * block), np.float32)
    padded[:, :values] = matrix
    cut = padded.reshape(rows, blocks, block)
    middle = 1 << bits - 1
    lowest = -8 if bits == 4 else -127
    scale = _best_scale(cut) if bits == 4 else _nonzero(np.abs(cut).max(axis=2) / np.float32(127))
    scales = np.repeat(scale, block, axis=1)[:, :values]
    padded[:, :values] = round_weights(matrix.T, scales.T, lowest, middle - 1, covariance).T
    integers = (padded + np.float32(middle)).astype(np.uint8).reshape(cut.shape)
    if bits == 8:
        return integers, scale
    packed: Bytes = integers[..., 0::2] | integers[..., 1::2] << np.uint8(4)
    return packed, scale


def dequantize_blocks(integers: Bytes, scale: Floats, bits: int, values: int) -> Floats:
    """Convert what `quantize_blocks` returned to floats, (rows, values)."""
    if bits == 4:
        halves = np.stack([integers & 15, integers >> 4], axis=-1)
        integers = halves.reshape(*integers.shape[:2], -1)
    middle = np.float32(1 << bits - 1)
    floats: Floats = (integers.astype(np.float32) - middle) * scale[..., None]
    return floats.reshape(len(floats), -1)[:, :values]


def _best_scale(cut: Floats) -> Floats:
    """Find the scale of least squared error for each block.

    Four bits range from -8 to 7, so the scale takes the sign that maps the value furthest from zero
    to -8.
    """
    furthest = np.take_along_axis(cut, np.abs(cut).argmax(axis=2)[..., None], axis=2)[..., 0]
    best = _nonzero(furthest / np.float32(-8))
    least = _squared_error(cut, best)
    for multiple in _MULTIPLES:
        scale = _nonzero(furthest * (multiple / np.float32(-8)))
        error = _squared_error(cut, scale)
        better = error < least
        best[better], least[better] = scale[better], error[better]
    return best


def _squared_error(cut: Floats, scale: Floats) -> Floats:
    error = np.rint(cut / scale[..., None]).clip(-8, 7)
    error *= scale[..., None]
    error -= cut
    sums: Floats = np.einsum("rbv,rbv->rb", error, error)
    return sums


def _nonzero(scale: Floats) -> Floats:
    """Replace scales that are zero, or too small to divide by, with 1."""
    return np.where(np.abs(scale) < np.finfo(np.float32).tiny, np.float32(1), scale)
