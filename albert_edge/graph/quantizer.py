"""Quantize activations at run time in standard operators, each activation once.

    x ~ magnitude * scale * (q - zero_point)

Per token, the magnitude is that of the token's largest feature, so tokens do not affect each other.
All matrices that read an activation share its quantization, as its nodes are separate from those of
the products. Per tensor, one operator takes the minimum and maximum of the whole activation: less
work, but answers depend on what else is in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnxscript import OpBuilder

from albert_edge.architecture.levels import POSITIVE, SYMMETRIC, Levels
from albert_edge.graph.plan import Activations


@dataclass(frozen=True, slots=True)
class Quantized:
    """An activation as integers.

    Attributes:
        integers: (..., features), uint8.
        scale: Scalar, float32.
        zero_point: Scalar, uint8.
        magnitude: (..., 1), float32; None where it is 1.
    """

    integers: ir.Value
    scale: ir.Value
    zero_point: ir.Value
    magnitude: ir.Value | None = None


class Quantizer:
    """Writes the quantization of activations into a graph, each activation once.

    Args:
        activations: What shares a scale.
    """

    def __init__(self, activations: Activations) -> None:
        self._per_token = activations == "per-token"
        self._known: dict[ir.Value, Quantized] = {}

    def quantize(self, op: OpBuilder, x: ir.Value) -> Quantized:
        """Quantize (..., features); per token, symmetrically around zero."""
        if x not in self._known:
            self._known[x] = (
                _by_magnitude(op, x, op.Abs(x), SYMMETRIC)
                if self._per_token
                else Quantized(*op.DynamicQuantizeLinear(x, _outputs=3))
            )
        return self._known[x]

    def quantize_positive(self, op: OpBuilder, x: ir.Value) -> Quantized:
        """Quantize (..., features), all at least zero; per token, with twice the resolution."""
        return _by_magnitude(op, x, x, POSITIVE) if self._per_token else self.quantize(op, x)

    def error(self, op: OpBuilder, x: ir.Value, quantized: Quantized) -> ir.Value:
        """Return the quantization error of (..., features)."""
        floats = op.DequantizeLinear(quantized.integers, quantized.scale, quantized.zero_point)
        return op.Sub(x, op.Mul(floats, quantized.magnitude) if quantized.magnitude else floats)


def _by_magnitude(op: OpBuilder, x: ir.Value, magnitudes: ir.Value, levels: Levels) -> Quantized:
    # A token of zeros is 0 / 0 here. Its integers do not matter, since they are multiplied by the
    # magnitude, zero, in the end.
    magnitude = op.ReduceMax(magnitudes, [-1], keepdims=1)
    scale = scalar(op, levels.scale_name, np.float32(1 / levels.steps))
    zero = scalar(op, levels.zero_point_name, np.uint8(levels.zero_point))
    return Quantized(op.QuantizeLinear(op.Div(x, magnitude), scale, zero), scale, zero, magnitude)


def scalar(op: OpBuilder, name: str, value: np.generic) -> ir.Value:
    """Return a named scalar initializer of the model, added at its first use."""
    initializers = op.builder.root.graph.initializers
    if name not in initializers:
        tensor = ir.tensor(np.asarray(value), name=name)
        initializers[name] = ir.Value(
            name=name, shape=ir.Shape([]), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
    return initializers[name]
