"""Quantizing activations at run time, in standard operators, each activation once.

    x ~ magnitude * step * (q - zero_point)

The magnitude is measured at run time: of every token's features, or of all that enters a matrix.
Written out like this rather than as DynamicQuantizeMatMul because then tokens do not share a scale
with their neighbours, matrices that read the same activation share the work, and a CPU that needs
a narrower range gets it by two scalars (see `albert_edge.activation_range`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnxscript import OpBuilder

from albert_edge.activation_range import EIGHT_BITS, ONE_SIDED_STEP, STEP, ZERO_POINT
from albert_edge.graph.plan import Activations


@dataclass(frozen=True, slots=True)
class Quantized:
    """An activation as integers.

    Attributes:
        integers: (..., features), uint8.
        magnitude: (..., 1) or scalar, float32.
        step: Scalar, float32.
        zero_point: Scalar, uint8.
    """

    integers: ir.Value
    magnitude: ir.Value
    step: ir.Value
    zero_point: ir.Value


class Quantizer:
    """Writes the quantization of activations into a graph, and remembers what it wrote.

    Args:
        activations: What shares a magnitude.
    """

    def __init__(self, activations: Activations) -> None:
        self._axes = [-1] if activations == "per-token" else None
        self._known: dict[ir.Value, Quantized] = {}

    def symmetric(self, op: OpBuilder, x: ir.Value) -> Quantized:
        """Quantize (..., features), as much above zero as below."""
        if x not in self._known:
            step = _scalar(op, STEP, np.float32(EIGHT_BITS.step))
            zero_point = _scalar(op, ZERO_POINT, np.uint8(EIGHT_BITS.zero_point))
            self._known[x] = self._quantize(op, x, op.Abs(x), step, zero_point)
        return self._known[x]

    def one_sided(self, op: OpBuilder, x: ir.Value) -> Quantized:
        """Quantize (..., features) of which none is below zero, in twice as fine steps."""
        step = _scalar(op, ONE_SIDED_STEP, np.float32(EIGHT_BITS.one_sided_step))
        return self._quantize(op, x, x, step, _scalar(op, "zero", np.uint8(0)))

    def remainder(self, op: OpBuilder, x: ir.Value, quantized: Quantized) -> ir.Value:
        """What quantization left of (..., features)."""
        seen = op.DequantizeLinear(quantized.integers, quantized.step, quantized.zero_point)
        return op.Sub(x, op.Mul(seen, quantized.magnitude))

    def _quantize(
        self,
        op: OpBuilder,
        x: ir.Value,
        magnitudes: ir.Value,
        step: ir.Value,
        zero_point: ir.Value,
    ) -> Quantized:
        # A token of zeros is 0 / 0 here: whatever integers that gives, they are multiplied by the
        # magnitude again, which is zero.
        magnitude = op.ReduceMax(magnitudes, self._axes, keepdims=1 if self._axes else 0)
        integers = op.QuantizeLinear(op.Div(x, magnitude), step, zero_point)
        return Quantized(integers, magnitude, step, zero_point)


def _scalar(op: OpBuilder, name: str, value: np.generic) -> ir.Value:
    """A named initializer of the whole model, written once."""
    initializers = op.builder.root.graph.initializers
    if name not in initializers:
        tensor = ir.tensor(np.asarray(value), name=name)
        initializers[name] = ir.Value(
            name=name, shape=ir.Shape([]), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
    return initializers[name]
