"""Float weights -> the weights a compressed graph asks for, one matrix at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from albert_edge.compress.integer import (
    dequantize_blocks,
    quantize_blocks,
    quantize_columns,
)
from albert_edge.compress.rounding import Floats
from albert_edge.compress.statistics import Seen

if TYPE_CHECKING:
    from albert_edge.graph.blocks import Blocks
    from albert_edge.graph.build import Authored, Weight

SCALE = "_scale"


@dataclass(frozen=True, slots=True)
class Stored:
    """A matrix as the file holds it.

    Attributes:
        integers: As the file holds them.
        scale: Likewise.
        shift: What rounding adds to the product with the mean input, (out_features,), or None
            where the mean is not known.
        column_sums: Of the matrix the integers stand for, (out_features,).
    """

    integers: npt.NDArray[Any]
    scale: Floats
    shift: Floats | None
    column_sums: Floats


Cache = dict[tuple[str, "Blocks | None"], Stored]


class CompressedWeights:
    """Gives every weight of a graph from the float weights of the portable file.

    Where the mean of what enters a matrix is known, the bias takes up the mean of what rounding
    the matrix does to the answer: bias correction (Nagel et al. 2019,
    https://arxiv.org/abs/1906.04721). In a layer that is applied many times the same error would
    come back every time.

    Args:
        authored: The graph.
        floats: The float weights by name, matrices as (in_features, out_features).
        seen: What is known of what enters a matrix, by the name of its weight.
        lower_bound: What the features that enter the second matrix of the feed-forward layer are
            shifted by where it multiplies integers, if they are.
        cache: Keeps integers from one graph of these floats to the next.
    """

    def __init__(
        self,
        authored: Authored,
        floats: Mapping[str, Floats],
        seen: Mapping[str, Seen],
        lower_bound: float | None,
        cache: Cache,
    ) -> None:
        self._weights = authored.weights
        self._floats = floats
        self._seen = seen
        self._lower_bound = lower_bound
        self._cache = cache
        self._made: dict[str, npt.NDArray[Any]] = {}

    def __call__(self, name: str) -> npt.NDArray[Any]:
        """The values of a weight; those that belong together are asked for one after the other."""
        if name in self._made:
            return self._made.pop(name)
        if name not in self._weights:  # part of one, and put together with the others on writing
            return self._floats[name]
        if name + SCALE not in self._weights:
            with np.errstate(over="ignore"):  # what is too large for fp16 fails at the gate
                return self._floats[name].astype(self._weights[name].dtype.numpy(), copy=False)
        stored = self._stored(name)
        self._made[name + SCALE] = stored.scale
        bias = name.removesuffix("weight") + "bias"
        if bias in self._weights:
            self._made[bias] = self._corrected(name, bias, stored)
        return stored.integers

    def _stored(self, name: str) -> Stored:
        key = (name, self._weights[name].blocks)
        if key not in self._cache:
            self._cache[key] = _store(self._weights[name], self._floats[name], self._seen.get(name))
        return self._cache[key]

    def _corrected(self, name: str, bias: str, stored: Stored) -> Floats:
        corrected = self._floats[bias].copy()
        if stored.shift is not None:
            corrected -= stored.shift
        is_shifted = name.endswith("ffn_output.weight") and not self._weights[name].blocks
        if is_shifted and self._lower_bound is not None:
            corrected += np.float32(self._lower_bound) * stored.column_sums
        return corrected


def _store(weight: Weight, matrix: Floats, seen: Seen | None) -> Stored:
    covariance = seen.covariance if seen else None
    if weight.blocks is None:
        integers, scale = quantize_columns(matrix, covariance)
        return _with_sums(integers, scale, integers * scale, matrix, seen)
    bits, size = weight.blocks.bits, weight.blocks.size
    # Tables are cut along their rows, the matrices of linear layers along their columns.
    rows = matrix if weight.blocks.is_table else matrix.T
    packed, scale = quantize_blocks(rows, bits, size, covariance)
    floats = dequantize_blocks(packed, scale, bits, rows.shape[1])
    return _with_sums(packed, scale, floats.T, rows.T, seen)


def _with_sums(
    integers: npt.NDArray[Any],
    scale: Floats,
    floats: Floats,
    matrix: Floats,
    seen: Seen | None,
) -> Stored:
    sums = floats.sum(axis=0, dtype=np.float64).astype(np.float32)
    floats -= matrix  # in place: a third copy of the largest matrix is what memory peaks with
    return Stored(integers, scale, seen.mean @ floats if seen else None, sums)
