"""Embedding tables: one Module for each way to store them.

Lookup reads rows, and the masked-LM decoder multiplies with the table as stored, so both share the
same initializer in every precision.
"""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.architecture.weights import WEIGHTS
from albert_edge.graph.blocks import BlockMatrix
from albert_edge.graph.operators.base import Portable
from albert_edge.graph.plan import Blocks, Precision


class Embedding(nn.Module):
    """A table of vectors in floating point, (rows, features)."""

    def __init__(self, rows: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter([rows, features])

    def forward(self, op: OpBuilder, ids: ir.Value) -> ir.Value:
        """Map (batch, sequence) ids to (batch, sequence, features)."""
        return op.Gather(self.weight, ids)

    def leading(self, op: OpBuilder, count: ir.Value) -> ir.Value:
        """Return the first rows, (count, features)."""
        return op.Slice(self.weight, [0], count, [0])

    def score(self, op: OpBuilder, x: ir.Value, bias: ir.Value) -> ir.Value:
        """Multiply (n, features) with every row: (n, rows)."""
        return op.Gemm(x, self.weight, bias, transB=1)


class BlockEmbedding(BlockMatrix):
    """A table of integers with a scale for every block of a row."""

    def __init__(self, rows: int, features: int, blocks: Blocks) -> None:
        super().__init__(rows, features, blocks)
        self.features = features

    def forward(self, op: OpBuilder, ids: ir.Value) -> ir.Value:
        """Map (batch, sequence) ids to (batch, sequence, features)."""
        rows = (op.Gather(part, ids) for part in (self.weight, self.weight_scale))
        return self._floats(op, *rows, shape=[0, 0, -1])

    def leading(self, op: OpBuilder, count: ir.Value) -> ir.Value:
        """Return the first rows, (count, features)."""
        rows = (op.Slice(part, [0], count, [0]) for part in (self.weight, self.weight_scale))
        return self._floats(op, *rows, shape=[0, -1])

    def score(self, op: OpBuilder, x: ir.Value, bias: ir.Value) -> ir.Value:
        """Multiply (n, features) with every row: (n, rows)."""
        return self.multiply(op, x, bias)

    def _floats(
        self, op: OpBuilder, integers: ir.Value, scale: ir.Value, *, shape: list[int]
    ) -> ir.Value:
        """Dequantize (..., blocks, bytes) with scales (..., blocks); `shape` ends in -1."""
        bits, size = self.blocks.bits, self.blocks.size
        if bits == 4:  # two values a byte, the first one in the low half
            low = op.BitwiseAnd(integers, 15)
            high = op.BitShift(integers, 4, direction="RIGHT")
            pairs = op.Concat(op.Unsqueeze(low, [-1]), op.Unsqueeze(high, [-1]), axis=-1)
            integers = op.Reshape(pairs, [*[0] * len(shape), size])
        centred = op.Sub(op.Cast(integers, to=ir.DataType.FLOAT), float(1 << bits - 1))
        values = op.Reshape(op.Mul(centred, op.Unsqueeze(scale, [-1])), shape)
        if self.features % size:  # the last block is padded
            values = op.Slice(values, [0], [self.features], [-1])
        values.shape = ir.Shape([*[None] * (len(shape) - 1), self.features])
        return values


Table = Embedding | BlockEmbedding


def embedding(operators: Portable, name: str, rows: int, features: int) -> Table:
    """Make the table for a plan. In int8 a row has a single scale if a block can be that long.

    Args:
        operators: The target's operators, and the plan.
        name: The path of its module, as in `WEIGHTS`.
        rows: Number of vectors.
        features: Their size.
    """
    precision = operators.precision(WEIGHTS[f"{name}.weight"])
    if precision is Precision.INT8:
        # Blocks are powers of two from 16 up; rows of other sizes are cut, not padded.
        size = features if features >= 16 and features.bit_count() == 1 else 16
        return BlockEmbedding(rows, features, Blocks(8, size))
    if precision.blocks:
        return BlockEmbedding(rows, features, precision.blocks)
    return Embedding(rows, features)
