"""Matrices whose values share a scale by blocks: how they are declared and multiplied with."""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.graph.plan import Blocks
from albert_edge.graph.values import MICROSOFT, dimension, with_features


def parameters(blocks: Blocks, rows: int, values: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Declare the integers, (rows, blocks, bytes), and scales, (rows, blocks), of a matrix."""
    count = -(-values // blocks.size)
    shape = [rows, count, blocks.size * blocks.bits // 8]
    return nn.Parameter(shape, ir.DataType.UINT8), nn.Parameter([rows, count])


def multiply(
    blocks: Blocks,
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
        blocks: How the matrix is cut.
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
        bits=blocks.bits,
        block_size=blocks.size,
        accuracy_level=1 if fine else 4,
        _domain=MICROSOFT,
    )
    return with_features(y, x, rows)


def floats(
    blocks: Blocks, op: OpBuilder, integers: ir.Value, scale: ir.Value, shape: list[int]
) -> ir.Value:
    """Map (..., blocks, bytes) and (..., blocks) to floats of `shape`, its last one -1."""
    if blocks.bits == 4:  # two values a byte, the first one in the low half
        low = op.BitwiseAnd(integers, 15)
        high = op.BitShift(integers, 4, direction="RIGHT")
        pairs = op.Concat(op.Unsqueeze(low, [-1]), op.Unsqueeze(high, [-1]), axis=-1)
        integers = op.Reshape(pairs, [*[0] * len(shape), blocks.size])
    centred = op.Sub(op.Cast(integers, to=ir.DataType.FLOAT), float(1 << blocks.bits - 1))
    return op.Reshape(op.Mul(centred, op.Unsqueeze(scale, [-1])), shape)
