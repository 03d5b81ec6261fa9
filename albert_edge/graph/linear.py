"""Linear layers: one Module per way of storing the matrix.

Each maps (..., in_features) to (..., out_features); `linear` picks the one a plan asks for.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.graph.blocks import Blocks
from albert_edge.graph.operators.base import MICROSOFT, Portable, dimension, typed_like
from albert_edge.graph.plan import Matrix, Precision
from albert_edge.graph.quantizer import Quantized, scalar


class Linear(nn.Module):
    """y = x W + b in floating point.

    The checkpoint keeps W as (out_features, in_features). The file keeps it the way MatMul reads
    it, (in_features, out_features), so that no Transpose node ever hides a weight.
    """

    def __init__(
        self, in_features: int, out_features: int, operators: Portable, *, bias: bool = True
    ) -> None:
        super().__init__()
        self.operators = operators
        self.weight = nn.Parameter([in_features, out_features])
        self.bias = nn.Parameter([out_features]) if bias else None

    def forward(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """Map (..., in_features) to (..., out_features)."""
        if self.operators.observer:
            self.operators.observer.observe(op, self.weight, x)
        y = self.product(op, x)
        return op.Add(y, self.bias) if self.bias else y

    def product(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """The same without the bias, for an operator that adds it itself."""
        return op.MatMul(x, self.weight)


class PackedLinear(Linear):
    """Linear layers that read the same x, as one matrix with their columns side by side.

    Args:
        in_features: Features of x.
        out_features: Features of each layer's y.
        operators: The target's operators.
        parts: Names of the layers, siblings of this one in the checkpoint.
    """

    def __init__(
        self, in_features: int, out_features: int, operators: Portable, parts: tuple[str, ...]
    ) -> None:
        super().__init__(in_features, len(parts) * out_features, operators)
        self.parts = parts


class Int8Linear(nn.Module):
    """y = x W + b with W and x as 8-bit integers, multiplied exactly.

    W has a scale per output feature; x is quantized at run time (see `Quantizer`).

    Args:
        in_features: Features of x.
        out_features: Features of y.
        operators: The target's operators.
        bias: Whether there is a b.
        lower_bound: What x is never below, if that is known; b must then hold W's column sums
            times it, since x is shifted by it.
        fine: Whether what quantizing x left over is quantized and multiplied too. It doubles the
            work, which is nothing where a head reads a single token.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        operators: Portable,
        *,
        bias: bool = True,
        lower_bound: float | None = None,
        fine: bool = False,
    ) -> None:
        super().__init__()
        self.operators = operators
        self.lower_bound = lower_bound
        self.fine = fine
        self.weight = nn.Parameter([in_features, out_features], ir.DataType.INT8)
        self.weight_scale = nn.Parameter([out_features])
        self.bias = nn.Parameter([out_features]) if bias else None

    def forward(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """Map (..., in_features) to (..., out_features)."""
        quantizer = self.operators.quantizer
        if self.lower_bound is not None:
            shifted = op.Sub(x, self.lower_bound) if self.lower_bound else x
            return self._product(op, quantizer.quantize_positive(op, shifted), self.bias)
        quantized = quantizer.quantize(op, x)
        y = self._product(op, quantized, self.bias)
        if self.fine:
            rest = quantizer.quantize(op, quantizer.remainder(op, x, quantized))
            y = op.Add(y, self._product(op, rest))
        return y

    def _product(self, op: OpBuilder, x: Quantized, bias: ir.Value | None = None) -> ir.Value:
        """Multiply; the operator itself adds the bias where tokens share their scale."""
        # Zero, and there for the runtime, which may have to store the weights another way.
        zero = scalar(op, "weight_zero_point", np.int8(0))
        operands = [x.integers, self.weight, x.scale, self.weight_scale, x.zero_point, zero]
        if bias and not x.magnitude:
            operands.append(bias)
        y = op.MatMulIntegerToFloat(*operands, _domain=MICROSOFT)
        y = typed_like(y, x.integers, dimension(self.weight, 1))
        if not x.magnitude:
            return y
        y = op.Mul(y, x.magnitude)
        return op.Add(y, bias) if bias else y


class BlockLinear(nn.Module):
    """y = x W + b with a scale for every few weights of a column (MatMulNBits).

    W lies as in the checkpoint, (out_features, in_features), cut into blocks.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        operators: Portable,
        blocks: Blocks,
        *,
        bias: bool = True,
        fine: bool = False,
    ) -> None:
        super().__init__()
        self.operators = operators
        self.blocks = blocks
        self.fine = fine
        self.weight, self.weight_scale = blocks.parameters(out_features, in_features)
        self.bias = nn.Parameter([out_features]) if bias else None

    def forward(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """Map (..., in_features) to (..., out_features)."""
        return self.blocks.multiply(
            op, x, self.weight, self.weight_scale, self.bias, fine=self.fine
        )


def linear(
    operators: Portable,
    matrix: Matrix,
    in_features: int,
    out_features: int,
    *,
    bias: bool = True,
    lower_bound: float | None = None,
) -> nn.Module:
    """The linear layer a plan asks for.

    Args:
        operators: The target's operators, and the plan.
        matrix: Which of the model's matrices it is.
        in_features: Features of what comes in.
        out_features: Features of what goes out.
        bias: Whether a bias is added.
        lower_bound: What comes in is never below this, if that is known.
    """
    sizes = in_features, out_features, operators
    fine = matrix is Matrix.HEAD  # little work, and the answer is read off it
    match operators.plan.precision(matrix):
        case Precision.INT8:
            return Int8Linear(*sizes, bias=bias, lower_bound=lower_bound, fine=fine)
        case Precision.INT8_BLOCK | Precision.INT4 as precision:
            return BlockLinear(*sizes, Blocks(*precision.block), bias=bias, fine=fine)
        case _:
            return Linear(*sizes, bias=bias)


class LayerNorm(nn.Module):
    """Layer normalization (Ba et al. 2016) over the last dimension."""

    def __init__(self, features: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter([features])
        self.bias = nn.Parameter([features])

    def forward(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """Map (..., features) to (..., features)."""
        return op.LayerNormalization(x, self.weight, self.bias, epsilon=self.epsilon)
