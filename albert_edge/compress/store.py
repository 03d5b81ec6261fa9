"""Convert float weights to those a compressed graph asks for, one matrix at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.compress.integer import (
    as_unsigned,
    dequantize_blocks,
    quantize_blocks,
    quantize_columns,
)
from albert_edge.compress.rounding import Floats
from albert_edge.compress.statistics import InputStatistics
from albert_edge.graph.authored import Authored, Weight
from albert_edge.graph.plan import Blocks


@dataclass(frozen=True, slots=True)
class Stored:
    """A quantized matrix.

    Attributes:
        integers: As stored in the file; those by column are int8, also where the file has uint8.
        scale: As stored in the file.
        shift: What rounding adds to the product with the mean input, (out_features,), or None if
            the mean is unknown.
        column_sums: Column sums of the dequantized matrix, (out_features,).
    """

    integers: npt.NDArray[Any]
    scale: Floats
    shift: Floats | None
    column_sums: Floats


Cache = dict[tuple[str, Blocks | None], Stored]


class CompressedWeights:
    """Computes the weights of a graph from the float weights of the portable file.

    Weights may be asked for in any order. Where the mean input of a matrix is known, its bias is
    corrected by the mean error that rounding causes (Nagel et al. 2019,
    https://arxiv.org/abs/1906.04721): a layer that is applied many times would repeat that error.

    Args:
        authored: The graph.
        floats: The float weights by name, matrices as (in_features, out_features).
        statistics: Of the input of matrices, by name.
        cache: Keeps quantized matrices for other graphs of the same floats.
    """

    def __init__(
        self,
        authored: Authored,
        floats: Mapping[str, Floats],
        statistics: Mapping[str, InputStatistics],
        cache: Cache,
    ) -> None:
        self._weights = authored.weights
        self._floats = floats
        self._statistics = statistics
        self._cache = cache

    def __call__(self, name: str) -> npt.NDArray[Any]:
        """Return the values of a weight, or of a part of a packed one."""
        weight = self._weights.get(name)
        if weight is None:
            return self._floats[name]
        if weight.is_quantized:
            integers = self._stored(name).integers
            return integers if integers.dtype == weight.dtype else as_unsigned(integers)
        if weight.scale_of:
            return self._stored(weight.scale_of).scale
        if weight.bias_of and self._weights[weight.bias_of].is_quantized:
            return self._corrected(name, weight.bias_of)
        with np.errstate(over="ignore"):  # a value too large for fp16 fails the quality check
            return self._floats[name].astype(weight.dtype, copy=False)

    def _stored(self, matrix: str) -> Stored:
        weight = self._weights[matrix]
        key = matrix, weight.blocks
        if key not in self._cache:
            self._cache[key] = _store(weight, self._floats[matrix], self._statistics.get(matrix))
        return self._cache[key]

    def _corrected(self, bias: str, matrix: str) -> Floats:
        stored = self._stored(matrix)
        corrected = self._floats[bias].copy()
        if stored.shift is not None:
            corrected -= stored.shift
        if shift := self._weights[matrix].shift:
            corrected += np.float32(shift) * stored.column_sums
        return corrected


def _store(weight: Weight, matrix: Floats, statistics: InputStatistics | None) -> Stored:
    integers: npt.NDArray[Any]
    covariance = statistics.covariance if statistics else None
    if weight.blocks is None:
        integers, scale = quantize_columns(matrix, covariance)
        floats = integers * scale
    else:
        bits, size = weight.blocks.bits, weight.blocks.size
        # Tables are cut along their rows, the matrices of linear layers along their columns.
        rows = matrix.T if weight.spec.transposed else matrix
        integers, scale = quantize_blocks(rows, bits, size, covariance)
        floats, matrix = dequantize_blocks(integers, scale, bits, rows.shape[1]).T, rows.T
    sums = floats.sum(axis=0, dtype=np.float64).astype(np.float32)
    floats -= matrix  # in place: a third copy of the largest matrix would be the peak of memory
    return Stored(integers, scale, statistics.mean @ floats if statistics else None, sums)
