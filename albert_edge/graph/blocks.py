"""Matrices whose values share a scale by blocks: how they lie, and how they are multiplied with."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.graph.operators.base import MICROSOFT, dimension, typed_like


@dataclass(frozen=True, slots=True)
class Blocks:
    """How the rows of a matrix are cut into blocks, as MatMulNBits reads them.

    Attributes:
        bits: 4 or 8.
        size: Values that share a scale, a power of two from 16 up.
        is_table: Whether it is an embedding table, whose rows are those of the portable file; the
            rows of a linear layer are that file's columns.
    """

    bits: int
    size: int
    is_table: bool = False

    def parameters(self, rows: int, values: int) -> tuple[nn.Parameter, nn.Parameter]:
        """Integers, (rows, blocks, bytes), and scales, (rows, blocks), of a matrix."""
        blocks = -(-values // self.size)
        shape = [rows, blocks, self.size * self.bits // 8]
        return nn.Parameter(shape, ir.DataType.UINT8), nn.Parameter([rows, blocks])

    def multiply(
        self,
        op: OpBuilder,
        x: ir.Value,
        integers: ir.Value,
        scale: ir.Value,
        bias: ir.Value | None,
        *,
        fine: bool = False,
    ) -> ir.Value:
        """Multiply (..., values) with every row: (..., rows).

        Args:
            op: The graph being written.
            x: (..., values).
            integers: (rows, blocks, bytes); zero is the middle of their range.
            scale: (rows, blocks).
            bias: (rows,), or None.
            fine: Whether x stays in floating point, which is slower.
        """
        rows = dimension(integers, 0)
        # At accuracy_level 4 the kernel multiplies integers and quantizes x by block and token; at
        # 1 it multiplies floats.
        y = op.MatMulNBits(
            *(x, integers, scale, None, None, bias)[: 6 if bias else 3],
            K=dimension(x, -1),
            N=rows,
            bits=self.bits,
            block_size=self.size,
            accuracy_level=1 if fine else 4,
            _domain=MICROSOFT,
        )
        return typed_like(y, x, rows)

    def floats(
        self, op: OpBuilder, integers: ir.Value, scale: ir.Value, shape: list[int]
    ) -> ir.Value:
        """Map (..., blocks, bytes) and (..., blocks) to floats of `shape`, its last one -1."""
        if self.bits == 4:  # two values a byte, the first one in the low half
            low = op.BitwiseAnd(integers, 15)
            high = op.BitShift(integers, 4, direction="RIGHT")
            pairs = op.Concat(op.Unsqueeze(low, [-1]), op.Unsqueeze(high, [-1]), axis=-1)
            integers = op.Reshape(pairs, [*[0] * len(shape), self.size])
        centred = op.Sub(op.Cast(integers, to=ir.DataType.FLOAT), float(1 << self.bits - 1))
        return op.Reshape(op.Mul(centred, op.Unsqueeze(scale, [-1])), shape)
