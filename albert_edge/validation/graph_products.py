"""How large products of matrices and attention are, see `graph_sizes`.

Some of their kernels in onnxruntime do not look at the sizes of all operands, so these must fit.
"""

from __future__ import annotations

from albert_edge.validation.graph_parts import Node
from albert_edge.validation.graph_size import Shape, Size, Sizes, broadcast, require


def gemm(node: Node, inputs: Sizes) -> list[Size]:
    """Gemm: a matrix times a matrix, or its transpose, plus what is broadcast."""
    a, b, c = (size.shape for size in inputs)
    require(len(a) == len(b) == 2, "an operand is not a matrix")
    inner, columns = reversed(b) if node.attributes.get("transB") else b
    require(a[1] == inner, f"a product of {a} and {b}")
    require(broadcast(c, (a[0], columns)) == (a[0], columns), "the bias is larger than the product")
    return [Size((a[0], columns))]


def matmul(_: Node, inputs: Sizes) -> list[Size]:
    """MatMul: stacks of matrices."""
    a, b = (size.shape for size in inputs)
    require(len(a) > 1 and len(b) > 1 and a[-1] == b[-2], f"a product of {a} and {b}")
    return [Size((*broadcast(a[:-2], b[:-2]), a[-2], b[-1]))]


def matmul_integer(_: Node, inputs: Sizes) -> list[Size]:
    """MatMulIntegerToFloat: integers with a scale for each column of the matrix."""
    x, weight, scale, weight_scale = (size.shape for size in inputs[:4])
    zeros, biases = ([s.shape for s in sizes if s] for sizes in (inputs[4:6], inputs[6:]))
    require(len(weight) == 2 and len(x) > 1 and x[-1] == weight[0], f"a product of {x}, {weight}")
    columns = weight[1:]
    require(scale == () and weight_scale == columns, "scales of another number")
    require(not any(zeros), "zero points of another number")
    require(biases in ([], [columns]), "biases of another number")
    return [Size((*x[:-1], *columns))]


def matmul_blocks(node: Node, inputs: Sizes) -> list[Size]:
    """MatMulNBits: integers with a scale for each block of a row of the matrix."""
    at = node.attributes
    x, weight, scale, *others = (size.shape for size in inputs if size is not None)
    values, rows, length = at["K"], at["N"], at["block_size"]
    blocks = -(-values // length)
    require(len(x) > 1 and x[-1] == values, f"a product of {x} with rows of {values}")
    require(weight == (rows, blocks, length * at["bits"] // 8), "a matrix of another size")
    require(scale in ((rows, blocks), (rows * blocks,)), "scales of another number")
    require(all(other == (rows,) for other in others), "biases of another number")
    return [Size((*x[:-1], rows))]


def attention(node: Node, inputs: Sizes) -> list[Size]:
    """Attend with projected queries, keys and values, whatever the operator is called."""
    query, key, value, *bias = (size.shape for size in inputs if size is not None)
    names = "num_heads", "q_num_heads", "kv_num_heads"
    heads = {node.attributes[name] for name in names if name in node.attributes}
    require(len(heads) == 1, "keys with another number of heads than queries")
    (heads_,) = heads
    require(
        len(query) == 3
        and key == value
        and (len(key), key[0], key[2]) == (3, query[0], query[2])
        and query[2] % heads_ == 0,
        f"attention of {query} to {key} and {value}",
    )
    _require_bias(bias, (query[0], heads_, query[1], key[1]))
    return [Size(query)]


def _require_bias(found: list[Shape], scores: Shape) -> None:
    expected = (scores[0], 1, *scores[2:])
    require(found == [expected], f"a bias of scores is not {expected}")


def projecting_attention(node: Node, inputs: Sizes) -> list[Size]:
    """Project to queries, keys and values, and attend: com.microsoft's Attention."""
    x, weight, shift, *bias = (size.shape for size in inputs if size is not None)
    heads = node.attributes["num_heads"]
    require(len(x) == 3 and len(weight) == 2 and weight[0] == x[2], f"a product of {x}, {weight}")
    require(shift == weight[1:] and weight[1] % (3 * heads) == 0, f"{heads} heads of {weight}")
    _require_bias(bias, (x[0], heads, x[1], x[1]))
    return [Size((*x[:2], weight[1] // 3))]
