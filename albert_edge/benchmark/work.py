"""How much work an operator is: multiply-accumulates of its products, and bytes it moves.

Shapes are those that the operators of a graph had when it was run (see
`albert_edge.benchmark.profile`). So loops count by the turns they took and rewrites by what they
left, and graphs that others traced are counted as well as our own.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from albert_edge.benchmark.profile import CONTROL_FLOW, NodeRun

# Bytes of a value by onnxruntime's name of its type.
_SIZES = {
    **{"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "bfloat16": 2},
    **{"int32": 4, "uint32": 4, "float": 4, "int64": 8, "uint64": 8, "double": 8},
}

# What gives an array another shape and leaves its values where they are.
_VIEWS = {"Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity"}

# What reads no more of its first input than it writes.
_LOOKUPS = {"Gather", "Slice", "GatherND", "GatherElements"}

# Products of weights in blocks. It quantizes activations itself, but in the head, which is little
# work.
BLOCK_PRODUCT = "MatMulNBits"

# Whose products are of integers.
INTEGER_PRODUCTS = frozenset(
    {"MatMulIntegerToFloat", BLOCK_PRODUCT, "MatMulInteger", "DynamicQuantizeMatMul"}
)


def multiply_accumulates(node: NodeRun) -> int:
    """Multiply-accumulates of an operator's matrix products; 0 if it has none.

    Elementwise work is not counted: it is of lower order, and bound by the bytes it moves.
    """
    count = _PRODUCTS.get(node.operator)
    return count(node) if count else 0


def moved_bytes(node: NodeRun) -> int:
    """Bytes an operator reads and writes, as if nothing stayed in a cache from one to the next."""
    if node.operator in CONTROL_FLOW | _VIEWS:
        return 0
    written = sum(_bytes(array.dtype, array.shape) for array in node.outputs)
    if node.operator == "Shape":
        return written
    read = [_bytes(array.dtype, array.shape) for array in node.inputs]
    if node.operator in _LOOKUPS:
        read[0] = min(read[0], written)
    return sum(read) + written


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return _SIZES.get(dtype, 0) * prod(shape)  # texts do not count


def _product(node: NodeRun) -> int:
    """(..., m, k) times (k, n): every value that comes out takes k."""
    return prod(node.outputs[0].shape) * node.inputs[0].shape[-1]


def _gemm(node: NodeRun) -> int:
    """The same, where the first matrix may be given as (k, m)."""
    rows, columns = node.outputs[0].shape
    return columns * rows * (prod(node.inputs[0].shape) // max(rows, 1))


def _attention(node: NodeRun) -> int:
    """Scores and mixing, and in onnxruntime's own Attention the projections too."""
    first, second = node.inputs[0].shape, node.inputs[1].shape
    if len(second) == 2:  # com.microsoft: hidden states, and a matrix of all three projections
        batch, length, features = first
        hidden = second[1] // 3
        return batch * length * (features * second[1] + 2 * length * hidden)
    if len(first) == 4:  # (batch, heads, tokens, features of a head)
        batch, heads, queries, size = first
        return 2 * batch * heads * queries * second[2] * size
    batch, queries, hidden = first
    return 2 * batch * queries * second[1] * hidden


_PRODUCTS: dict[str, Callable[[NodeRun], int]] = {
    **dict.fromkeys(("MatMul", "FusedMatMul", *INTEGER_PRODUCTS), _product),
    "Gemm": _gemm,
    "Attention": _attention,
    "MultiHeadAttention": _attention,
}
