"""How large the results of nodes are: a rule for each operator, from the sizes of its inputs.

The sizes are those of a run, not names of axes, so a rule is arithmetic. Integers that are computed
from sizes, as the new shape that a Reshape takes, are followed too. A rule refuses operands that
the operator cannot take, above all where a kernel might read beyond the end of one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import zip_longest
from math import prod
from typing import Any, NamedTuple

from albert_edge.validation.graph_messages import INT64, Node, Refused, Tensor

Shape = tuple[int, ...]

_MOST_KNOWN = 16  # integers of a list that is followed


class Size(NamedTuple):
    """The size of a value.

    Attributes:
        shape: Its shape.
        values: Its entries, of short lists of integers that do not depend on what a text says.
    """

    shape: Shape
    values: tuple[int, ...] | None = None


Sizes = Sequence[Size]
Rule = Callable[[Node, Sequence[Any]], list[Size]]


def size_of(tensor: Tensor) -> Size:
    """Return the size of a tensor of the file, with its values if it is a short list."""
    count = prod(tensor.shape)
    if tensor.type == INT64 and count <= _MOST_KNOWN and tensor.data is not None:
        return Size(tensor.shape, struct.unpack(f"<{count}q", tensor.data))
    return Size(tensor.shape)


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise Refused(what)


def _known(size: Size) -> tuple[int, ...]:
    _require(size.values is not None, "a shape, an axis or a bound is not a constant")
    assert size.values is not None
    return size.values


def _axis(axis: int, rank: int) -> int:
    _require(-rank <= axis < rank, f"there is no axis {axis} of {rank}")
    return axis % rank


def broadcast(*shapes: Shape) -> Shape:
    """Return the shape of a result that numbers of these shapes are broadcast to."""
    found = []
    for sizes in zip_longest(*map(reversed, shapes), fillvalue=1):
        larger = {size for size in sizes if size != 1}
        _require(len(larger) < 2, f"shapes {', '.join(map(str, shapes))} do not fit together")
        found.append(larger.pop() if larger else 1)
    return tuple(reversed(found))


def _same(_: Node, inputs: Sizes) -> list[Size]:
    return [Size(inputs[0].shape)]


def _copy(_: Node, inputs: Sizes) -> list[Size]:
    return [inputs[0]]


def _elementwise(node: Node, inputs: Sizes) -> list[Size]:
    shape = broadcast(*(size.shape for size in inputs))
    compute = _COMPUTED.get(node.operator)
    if compute and prod(shape) <= _MOST_KNOWN and all(size.values is not None for size in inputs):
        lists = [_known(size) for size in inputs]
        if all(len(values) in (1, prod(shape)) for values in lists):
            full = [values if len(values) > 1 else values * prod(shape) for values in lists]
            return [Size(shape, tuple(int(compute(*entry)) for entry in zip(*full, strict=True)))]
    return [Size(shape)]


_COMPUTED: dict[str, Callable[..., int]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Equal": lambda a, b: a == b,
    "Where": lambda condition, a, b: a if condition else b,
}


def _with_features(node: Node, inputs: Sizes) -> list[Size]:
    """Normalize or shift the features of the first input; all others have one number for each."""
    x, *others = (size.shape for size in inputs)
    if node.operator.endswith("SkipLayerNormalization"):
        _require(others.pop(0) == x, "the residual has another shape")
    _require(all(other == x[-1:] for other in others), "there is not one number for each feature")
    return [Size(x)]


def _per_scalar(_: Node, inputs: Sizes) -> list[Size]:
    _require(not any(size.shape for size in inputs[1:]), "a scale or zero point is not a scalar")
    return [Size(inputs[0].shape)]


def _dynamic_quantize(_: Node, inputs: Sizes) -> list[Size]:
    return [Size(inputs[0].shape), Size(()), Size(())]


def _constant(node: Node, _: Sizes) -> list[Size]:
    if "value_ints" in node.attributes:
        values = node.attributes["value_ints"]
        return [Size((len(values),), values)]
    return [size_of(node.attributes["value"])]


def _constant_of_shape(node: Node, inputs: Sizes) -> list[Size]:
    shape = _known(inputs[0])
    _require(all(size >= 0 for size in shape), f"a tensor of the shape {shape}")
    value = size_of(node.attributes["value"]).values
    few = value is not None and prod(shape) <= _MOST_KNOWN
    return [Size(shape, value * prod(shape) if value is not None and few else None)]


def _concat(node: Node, inputs: Sizes) -> list[Size]:
    first = inputs[0].shape
    axis = _axis(node.attributes["axis"], len(first))
    rest = {size.shape[:axis] + size.shape[axis + 1 :] for size in inputs}
    _require(
        len(rest) == 1 and all(len(size.shape) == len(first) for size in inputs),
        "the parts do not fit side by side",
    )
    length = sum(size.shape[axis] for size in inputs)
    shape = (*first[:axis], length, *first[axis + 1 :])
    if len(shape) == 1 and length <= _MOST_KNOWN and all(s.values is not None for s in inputs):
        return [Size(shape, tuple(value for size in inputs for value in _known(size)))]
    return [Size(shape)]


def _expand(_: Node, inputs: Sizes) -> list[Size]:
    shape = _known(inputs[1])
    _require(all(size >= 0 for size in shape), f"a tensor of the shape {shape}")
    return [Size(broadcast(inputs[0].shape, shape))]


def _gather(node: Node, inputs: Sizes) -> list[Size]:
    data, indices = inputs
    axis = _axis(node.attributes.get("axis", 0), len(data.shape))
    shape = data.shape[:axis] + indices.shape + data.shape[axis + 1 :]
    if data.values is not None and indices.values is not None and len(data.shape) == 1:
        places = [_axis(index, len(data.values)) for index in indices.values]
        return [Size(shape, tuple(data.values[place] for place in places))]
    return [Size(shape)]


def _gather_nd(_: Node, inputs: Sizes) -> list[Size]:
    data, indices = (size.shape for size in inputs)
    _require(len(indices) > 0 and 0 < indices[-1] <= len(data), "indices of too many axes")
    return [Size(indices[:-1] + data[indices[-1] :])]


def _gemm(node: Node, inputs: Sizes) -> list[Size]:
    a, b, c = (size.shape for size in inputs)
    _require(len(a) == len(b) == 2, "a product of what is no matrix")
    inner, columns = reversed(b) if node.attributes.get("transB") else b
    _require(a[1] == inner, f"a product of {a} and {b}")
    _require(broadcast(c, (a[0], columns)) == (a[0], columns), "what is added is larger")
    return [Size((a[0], columns))]


def _matmul(_: Node, inputs: Sizes) -> list[Size]:
    a, b = (size.shape for size in inputs)
    _require(len(a) > 1 and len(b) > 1 and a[-1] == b[-2], f"a product of {a} and {b}")
    return [Size((*broadcast(a[:-2], b[:-2]), a[-2], b[-1]))]


def _matmul_integer(_: Node, inputs: Sizes) -> list[Size]:
    x, weight, scale, weight_scale = (size.shape for size in inputs[:4])
    zeros, biases = ([s.shape for s in sizes if s] for sizes in (inputs[4:6], inputs[6:]))
    _require(len(weight) == 2 and len(x) > 1 and x[-1] == weight[0], f"a product of {x}, {weight}")
    columns = weight[1:]
    _require(scale == () and weight_scale == columns, "scales of another number")
    _require(not any(zeros), "zero points of another number")
    _require(biases in ([], [columns]), "biases of another number")
    return [Size((*x[:-1], *columns))]


def _matmul_blocks(node: Node, inputs: Sizes) -> list[Size]:
    at = node.attributes
    x, weight, scale, *others = (size.shape for size in inputs if size is not None)
    values, rows, length = at["K"], at["N"], at["block_size"]
    blocks = -(-values // length)
    _require(len(x) > 1 and x[-1] == values, f"a product of {x} with rows of {values}")
    _require(weight == (rows, blocks, length * at["bits"] // 8), "a matrix of another size")
    _require(scale in ((rows, blocks), (rows * blocks,)), "scales of another number")
    _require(all(other == (rows,) for other in others), "biases of another number")
    return [Size((*x[:-1], rows))]


def _attention(node: Node, inputs: Sizes) -> list[Size]:
    """Attention over projected queries, keys and values, whatever the operator is called."""
    query, key, value, *bias = (size.shape for size in inputs if size is not None)
    names = "num_heads", "q_num_heads", "kv_num_heads"
    heads = {node.attributes[name] for name in names if name in node.attributes}
    _require(len(heads) == 1, "keys with another number of heads than queries")
    (heads_,) = heads
    _require(
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
    _require(found == [expected], f"a bias of scores is not {expected}")


def _projecting_attention(node: Node, inputs: Sizes) -> list[Size]:
    """com.microsoft's Attention, which projects to queries, keys and values itself."""
    x, weight, shift, *bias = (size.shape for size in inputs if size is not None)
    heads = node.attributes["num_heads"]
    _require(len(x) == 3 and len(weight) == 2 and weight[0] == x[2], f"a product of {x}, {weight}")
    _require(shift == weight[1:] and weight[1] % (3 * heads) == 0, f"{heads} heads of {weight}")
    _require_bias(bias, (x[0], heads, x[1], x[1]))
    return [Size((*x[:2], weight[1] // 3))]


def _nonzero(_: Node, inputs: Sizes) -> list[Size]:
    return [Size((len(inputs[0].shape), prod(inputs[0].shape)))]


def _pad(_: Node, inputs: Sizes) -> list[Size]:
    shape, pads = inputs[0].shape, _known(inputs[1])
    _require(len(pads) == 2 * len(shape) and all(0 <= pad <= 1 for pad in pads), f"pads {pads}")
    before, after = pads[: len(shape)], pads[len(shape) :]
    return [Size(tuple(map(sum, zip(shape, before, after, strict=True))))]


def _reduce(node: Node, inputs: Sizes) -> list[Size]:
    shape = inputs[0].shape
    axes = _known(inputs[1]) if len(inputs) > 1 else range(len(shape))
    places = {_axis(axis, len(shape)) for axis in axes}
    if node.attributes.get("keepdims", 1):
        return [Size(tuple(1 if i in places else size for i, size in enumerate(shape)))]
    return [Size(tuple(size for i, size in enumerate(shape) if i not in places))]


def _reshape(_: Node, inputs: Sizes) -> list[Size]:
    (old, values), new = inputs[0], list(_known(inputs[1]))
    for place, size in enumerate(new):
        if size == 0:
            _require(place < len(old), f"there is no axis {place} to keep")
            new[place] = old[place]
    _require(new.count(-1) < 2 and all(size >= -1 for size in new), f"a new shape {new}")
    if -1 in new:
        rest = prod(size for size in new if size != -1)
        _require(rest > 0, f"a new shape {new}")
        new[new.index(-1)] = prod(old) // rest
    _require(prod(new) == prod(old), f"a new shape {new} of {old}")
    return [Size(tuple(new), values)]


def _shape(node: Node, inputs: Sizes) -> list[Size]:
    shape = inputs[0].shape
    kept = shape[node.attributes.get("start", 0) : node.attributes.get("end")]
    return [Size((len(kept),), kept)]


def _slice(_: Node, inputs: Sizes) -> list[Size]:
    shape, values = list(inputs[0].shape), inputs[0].values
    starts, ends, *others = map(_known, inputs[1:])
    axes = others[0] if others else tuple(range(len(starts)))
    steps = others[1] if len(others) > 1 else (1,) * len(starts)
    _require(len(starts) == len(ends) == len(axes) == len(steps), "bounds of another number")
    _require(all(step == 1 for step in steps), f"steps {steps}")
    for start, end, axis in zip(starts, ends, axes, strict=True):
        place = _axis(axis, len(shape))
        kept = range(shape[place])[start:end]
        shape[place] = len(kept)
        if values is not None and len(shape) == 1:
            values = values[start:end]
    return [Size(tuple(shape), values if len(shape) == 1 else None)]


def _split(node: Node, inputs: Sizes) -> list[Size]:
    shape, parts = inputs[0].shape, _known(inputs[1])
    axis = _axis(node.attributes["axis"], len(shape))
    _require(sum(parts) == shape[axis] and all(part > 0 for part in parts), f"parts of {parts}")
    _require(len(parts) == len(node.outputs), f"parts of {parts}")
    return [Size((*shape[:axis], part, *shape[axis + 1 :])) for part in parts]


def _squeeze(_: Node, inputs: Sizes) -> list[Size]:
    (shape, values), axes = inputs[0], _known(inputs[1])
    places = {_axis(axis, len(shape)) for axis in axes}
    _require(all(shape[place] == 1 for place in places), f"axes {axes} of {shape} are not 1")
    return [Size(tuple(size for i, size in enumerate(shape) if i not in places), values)]


def _unsqueeze(_: Node, inputs: Sizes) -> list[Size]:
    (shape, values), axes = inputs[0], _known(inputs[1])
    rank = len(shape) + len(axes)
    places = {_axis(axis, rank) for axis in axes}
    _require(len(places) == len(axes), f"axes {axes}")
    kept = iter(shape)
    return [Size(tuple(1 if i in places else next(kept) for i in range(rank)), values)]


def _top(node: Node, inputs: Sizes) -> list[Size]:
    shape, (count, *_) = inputs[0].shape, _known(inputs[1])
    axis = _axis(node.attributes["axis"], len(shape))
    _require(0 < count <= shape[axis], f"{count} of {shape[axis]}")
    return [Size((*shape[:axis], count, *shape[axis + 1 :]))] * 2


def _transpose(node: Node, inputs: Sizes) -> list[Size]:
    shape = inputs[0].shape
    order = node.attributes.get("perm", tuple(reversed(range(len(shape)))))
    _require(sorted(order) == [*range(len(shape))], f"axes {order} of {shape}")
    return [Size(tuple(shape[axis] for axis in order))]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Abs", "Erf", "Exp", "Gelu", "HardSwish", "LeakyRelu", "LogSoftmax"), _same),
    **dict.fromkeys(("Neg", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt", "Tanh"), _same),
    **dict.fromkeys(("Cast", "Identity"), _copy),
    **dict.fromkeys(("Add", "Clip", "Div", "Equal", "Greater", "Less", "Min"), _elementwise),
    **dict.fromkeys(("Mul", "PRelu", "Pow", "Sub", "Where"), _elementwise),
    **dict.fromkeys(("BitShift", "BitwiseAnd"), _elementwise),
    **dict.fromkeys(("ReduceL1", "ReduceMax", "ReduceMin"), _reduce),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _per_scalar),
    **dict.fromkeys(("Attention", "com.microsoft.MultiHeadAttention"), _attention),
    **dict.fromkeys(("LayerNormalization", "com.microsoft.BiasGelu"), _with_features),
    **dict.fromkeys(
        ("com.microsoft.FastGelu", "com.microsoft.SkipLayerNormalization"), _with_features
    ),
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "Expand": _expand,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "NonZero": _nonzero,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "TopK": _top,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "com.microsoft.Attention": _projecting_attention,
    "com.microsoft.MatMulIntegerToFloat": _matmul_integer,
    "com.microsoft.MatMulNBits": _matmul_blocks,
}
"""The rule of each operator but Loop and If."""
