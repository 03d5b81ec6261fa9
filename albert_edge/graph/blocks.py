"""Matrices whose values share a scale by blocks, as MatMulNBits reads them."""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.graph.plan import Blocks
from albert_edge.graph.values import MICROSOFT, dimension, with_features


class BlockMatrix(nn.Module):
    """A matrix of integers, (rows, values), with a scale for every block of a row.

    Attributes:
        weight: (rows, blocks, bytes); zero is the middle of their range.
        weight_scale: (rows, blocks).
    """

    def __init__(self, rows: int, values: int, blocks: Blocks) -> None:
        super().__init__()
        self.blocks = blocks
        self.rows = rows
        count = -(-values // blocks.size)
        shape = [rows, count, blocks.size * blocks.bits // 8]
        self.weight = nn.Parameter(shape, ir.DataType.UINT8)
        self.weight_scale = nn.Parameter([rows, count])

    def multiply(
        self, op: OpBuilder, x: ir.Value, bias: ir.Value | None, *, fine: bool = False
    ) -> ir.Value:
        """Multiply (..., values) with every row, and add the bias: (..., rows).

        Args:
            op: The graph being written.
            x: (..., values).
            bias: (rows,), or None.
            fine: Whether x stays in floating point, which is slower.
        """
        optional = (None, None, bias) if bias else ()
        # At accuracy_level 4 the kernel multiplies integers and quantizes x by block and token; at
        # 1 it multiplies floats.
        y = op.MatMulNBits(
            *(x, self.weight, self.weight_scale, *optional),
            K=dimension(x, -1),
            N=self.rows,
            bits=self.blocks.bits,
            block_size=self.blocks.size,
            accuracy_level=1 if fine else 4,
            _domain=MICROSOFT,
        )
        return with_features(y, x, self.rows)
