"""An authored graph, and the weights to fill in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from albert_edge.architecture.weights import WeightSpec
from albert_edge.graph.plan import Blocks, Optimization

if TYPE_CHECKING:  # this module is imported where graphs cannot be authored
    import onnx_ir as ir


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight to fill in.

    Attributes:
        spec: Its row in the table of weights; for a scale, the row of its matrix.
        shape: Its shape in the file.
        dtype: Its type in the file.
        blocks: The blocks of its rows that share a scale, or None.
        scale_of: The name of the quantized matrix, if it is a scale.
        bias_of: The name of the matrix whose product it is added to, if it is a bias.
        parts: The weights whose columns it holds side by side, if it is packed.
        shift: The number that the graph subtracts from the input of the matrix, or None.
    """

    spec: WeightSpec
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    blocks: Blocks | None = None
    scale_of: str | None = None
    bias_of: str | None = None
    parts: tuple[str, ...] = ()
    shift: float | None = None

    @property
    def transposed(self) -> bool:
        """Whether the checkpoint stores its transpose."""
        return self.spec.transposed and self.blocks is None

    @property
    def is_quantized(self) -> bool:
        """Whether it is stored as integers, with a scale beside them."""
        return self.dtype.kind in "iu"

    @property
    def checkpoint_shape(self) -> tuple[int, ...]:
        """Its shape in the checkpoint."""
        return self.shape[::-1] if self.transposed else self.shape

    @property
    def bytes(self) -> int:
        """Its size in the file."""
        return self.dtype.itemsize * prod(self.shape)


@dataclass(frozen=True, slots=True)
class Authored:
    """A graph without its weights, and the optimizations applied to it.

    Attributes:
        model: Nodes, inputs, outputs and small constants.
        weights: The weights to fill in, by name.
        applied: How often each optimization was applied.
    """

    model: ir.Model
    weights: Mapping[str, Weight]
    applied: Mapping[Optimization, int]

    @property
    def weight_bytes(self) -> int:
        """Size of all weights in the file."""
        return sum(weight.bytes for weight in self.weights.values())

    @property
    def file_bytes(self) -> int:
        """Size of the file, but for a few bytes of each weight's header."""
        import onnx_ir as ir

        return ir.to_proto(self.model).ByteSize() + self.weight_bytes
