"""An authored graph, and what is known of each weight it asks for."""

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
    """A weight the graph asks for, by its name in the checkpoint.

    Attributes:
        spec: Its row in the table of weights; of a scale, that of the matrix it belongs to.
        shape: Its shape in the file.
        dtype: Its type in the file.
        blocks: How its rows are cut into blocks that share a scale, if they are.
        scale_of: The quantized matrix it is the scale of, if any.
        bias_of: The matrix whose product it is added to, if it is a bias.
        parts: The weights that stand side by side in it, if it is packed.
        shift: What the graph subtracts from the input of the matrix, or None.
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
