"""Linear layers: one Module for each way to store the matrix; `floats` has floating point.

All map (..., in_features) to (..., out_features); `linear` chooses the Module for a plan.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.architecture.weights import WEIGHTS, Matrix
from albert_edge.graph.blocks import BlockMatrix
from albert_edge.graph.floats import Linear
from albert_edge.graph.operators.base import Portable
from albert_edge.graph.plan import Blocks, IntegerWeights, Precision
from albert_edge.graph.quantizer import Quantized, Quantizer, scalar
from albert_edge.graph.values import MICROSOFT, dimension, with_features


class Int8Linear(nn.Module):
    """y = x W + b with W and x as 8-bit integers, multiplied exactly.

    W has a scale per output feature; x is quantized at run time (see `Quantizer`).

    Args:
        in_features: Features of x.
        out_features: Features of y.
        quantizer: Quantizes x.
        bias: Whether there is a b.
        lower_bound: The minimum of x, or None if it is unknown. It is subtracted from x, so b must
            include it times the column sums of W.
        fine: Whether the quantization error of x is quantized and multiplied too. It doubles the
            work, which is negligible where a head reads a single token.
        weights: Whether W is stored as int8, or as uint8 with a zero point of 128.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        quantizer: Quantizer,
        *,
        bias: bool,
        lower_bound: float | None,
        fine: bool,
        weights: IntegerWeights,
    ) -> None:
        super().__init__()
        self.quantizer = quantizer
        self.lower_bound = lower_bound
        self.fine = fine
        self.zero_point = np.int8(0) if weights == "signed" else np.uint8(128)
        dtype = ir.DataType.from_numpy(self.zero_point.dtype)
        self.weight = nn.Parameter([in_features, out_features], dtype)
        self.weight_scale = nn.Parameter([out_features])
        self.bias = nn.Parameter([out_features]) if bias else None

    def forward(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """Map (..., in_features) to (..., out_features)."""
        quantizer = self.quantizer
        if self.lower_bound is not None:
            shifted = op.Sub(x, self.lower_bound) if self.lower_bound else x
            return self._product(op, quantizer.quantize_positive(op, shifted), self.bias)
        quantized = quantizer.quantize(op, x)
        y = self._product(op, quantized, self.bias)
        if self.fine:
            error = quantizer.quantize(op, quantizer.error(op, x, quantized))
            y = op.Add(y, self._product(op, error))
        return y

    def _product(self, op: OpBuilder, x: Quantized, bias: ir.Value | None = None) -> ir.Value:
        """Multiply and add the bias, which the operator does itself where tokens share a scale."""
        # The runtime changes this zero where it has to make signed weights unsigned.
        zero = scalar(op, "weight_zero_point", self.zero_point)
        operands = [x.integers, self.weight, x.scale, self.weight_scale, x.zero_point, zero]
        if bias and not x.magnitude:
            operands.append(bias)
        y = op.MatMulIntegerToFloat(*operands, _domain=MICROSOFT)
        y = with_features(y, x.integers, dimension(self.weight, 1))
        if not x.magnitude:
            return y
        y = op.Mul(y, x.magnitude)
        return op.Add(y, bias) if bias else y


class BlockLinear(BlockMatrix):
    """y = x W + b with a scale for every few weights of a column (MatMulNBits).

    W is stored as in the checkpoint, (out_features, in_features), cut into blocks.
    """

    def __init__(
        self, in_features: int, out_features: int, blocks: Blocks, *, bias: bool, fine: bool
    ) -> None:
        super().__init__(out_features, in_features, blocks)
        self.fine = fine
        self.bias = nn.Parameter([out_features]) if bias else None

    def forward(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """Map (..., in_features) to (..., out_features)."""
        return self.multiply(op, x, self.bias, fine=self.fine)


def linear(
    operators: Portable, name: str, in_features: int, out_features: int, *, bias: bool = True
) -> nn.Module:
    """Make the linear layer for a plan.

    Args:
        operators: The target's operators, and the plan.
        name: The path of its module, as in `WEIGHTS`.
        in_features: Features of the input.
        out_features: Features of the output.
        bias: Whether a bias is added.
    """
    spec = WEIGHTS[f"{name}.weight"]
    sizes = in_features, out_features
    fine = spec.matrix is Matrix.HEAD  # little work, and its output is the answer
    precision = operators.precision(spec)
    if precision is Precision.INT8:
        bound = operators.lower_bound(spec)
        return Int8Linear(
            *sizes,
            operators.quantizer,
            bias=bias,
            lower_bound=bound,
            fine=fine,
            weights=operators.plan.weights,
        )
    if precision.blocks:
        return BlockLinear(*sizes, precision.blocks, bias=bias, fine=fine)
    return Linear(*sizes, operators.observer, bias=bias)
