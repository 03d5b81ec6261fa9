"""How large the results of nodes are: a rule for each operator, from the sizes of its inputs.

The sizes are those of a run, not names of axes, so a rule is arithmetic. Integers that are computed
from sizes, as the new shape that a Reshape takes, are followed too. A rule refuses operands that
the operator cannot take, above all where a kernel might read beyond the end of one.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from albert_edge.validation.graph_parts import Node
from albert_edge.validation.graph_products import (
    attention,
    gemm,
    matmul,
    matmul_blocks,
    matmul_integer,
    projecting_attention,
)
from albert_edge.validation.graph_size import (
    MOST_KNOWN,
    Rule,
    Size,
    Sizes,
    axis_of,
    broadcast,
    known,
    require,
    size_of,
)


def _same(_: Node, inputs: Sizes) -> list[Size]:
    return [Size(inputs[0].shape)]


def _copy(_: Node, inputs: Sizes) -> list[Size]:
    return [inputs[0]]


def _elementwise(node: Node, inputs: Sizes) -> list[Size]:
    shape = broadcast(*(size.shape for size in inputs))
    compute = _COMPUTED.get(node.operator)
    if compute and prod(shape) <= MOST_KNOWN and all(size.values is not None for size in inputs):
        lists = [known(size) for size in inputs]
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
        require(others.pop(0) == x, "the residual has another shape")
    require(all(other == x[-1:] for other in others), "there is not one number for each feature")
    return [Size(x)]


def _per_scalar(_: Node, inputs: Sizes) -> list[Size]:
    require(not any(size.shape for size in inputs[1:]), "a scale or zero point is not a scalar")
    return [Size(inputs[0].shape)]


def _dynamic_quantize(_: Node, inputs: Sizes) -> list[Size]:
    return [Size(inputs[0].shape), Size(()), Size(())]


def _constant(node: Node, _: Sizes) -> list[Size]:
    if "value_ints" in node.attributes:
        values = node.attributes["value_ints"]
        return [Size((len(values),), values)]
    return [size_of(node.attributes["value"])]


def _constant_of_shape(node: Node, inputs: Sizes) -> list[Size]:
    shape = known(inputs[0])
    require(all(size >= 0 for size in shape), f"a tensor of the shape {shape}")
    value = size_of(node.attributes["value"]).values
    few = value is not None and prod(shape) <= MOST_KNOWN
    return [Size(shape, value * prod(shape) if value is not None and few else None)]


def _concat(node: Node, inputs: Sizes) -> list[Size]:
    first = inputs[0].shape
    axis = axis_of(node.attributes["axis"], len(first))
    rest = {size.shape[:axis] + size.shape[axis + 1 :] for size in inputs}
    require(
        len(rest) == 1 and all(len(size.shape) == len(first) for size in inputs),
        "the parts do not fit side by side",
    )
    length = sum(size.shape[axis] for size in inputs)
    shape = (*first[:axis], length, *first[axis + 1 :])
    if len(shape) == 1 and length <= MOST_KNOWN and all(s.values is not None for s in inputs):
        return [Size(shape, tuple(value for size in inputs for value in known(size)))]
    return [Size(shape)]


def _expand(_: Node, inputs: Sizes) -> list[Size]:
    shape = known(inputs[1])
    require(all(size >= 0 for size in shape), f"a tensor of the shape {shape}")
    return [Size(broadcast(inputs[0].shape, shape))]


def _gather(node: Node, inputs: Sizes) -> list[Size]:
    data, indices = inputs
    axis = axis_of(node.attributes.get("axis", 0), len(data.shape))
    shape = data.shape[:axis] + indices.shape + data.shape[axis + 1 :]
    if data.values is not None and indices.values is not None and len(data.shape) == 1:
        places = [axis_of(index, len(data.values)) for index in indices.values]
        return [Size(shape, tuple(data.values[place] for place in places))]
    return [Size(shape)]


def _gather_nd(_: Node, inputs: Sizes) -> list[Size]:
    data, indices = (size.shape for size in inputs)
    require(len(indices) > 0 and 0 < indices[-1] <= len(data), "indices of too many axes")
    return [Size(indices[:-1] + data[indices[-1] :])]


def _nonzero(_: Node, inputs: Sizes) -> list[Size]:
    return [Size((len(inputs[0].shape), prod(inputs[0].shape)))]


def _pad(_: Node, inputs: Sizes) -> list[Size]:
    shape, pads = inputs[0].shape, known(inputs[1])
    require(len(pads) == 2 * len(shape) and all(0 <= pad <= 1 for pad in pads), f"pads {pads}")
    before, after = pads[: len(shape)], pads[len(shape) :]
    return [Size(tuple(map(sum, zip(shape, before, after, strict=True))))]


def _reduce(node: Node, inputs: Sizes) -> list[Size]:
    shape = inputs[0].shape
    axes = known(inputs[1]) if len(inputs) > 1 else range(len(shape))
    places = {axis_of(axis, len(shape)) for axis in axes}
    if node.attributes.get("keepdims", 1):
        return [Size(tuple(1 if i in places else size for i, size in enumerate(shape)))]
    return [Size(tuple(size for i, size in enumerate(shape) if i not in places))]


def _reshape(_: Node, inputs: Sizes) -> list[Size]:
    (old, values), new = inputs[0], list(known(inputs[1]))
    for place, size in enumerate(new):
        if size == 0:
            require(place < len(old), f"there is no axis {place} to keep")
            new[place] = old[place]
    require(new.count(-1) < 2 and all(size >= -1 for size in new), f"a new shape {new}")
    if -1 in new:
        rest = prod(size for size in new if size != -1)
        require(rest > 0, f"a new shape {new}")
        new[new.index(-1)] = prod(old) // rest
    require(prod(new) == prod(old), f"a new shape {new} of {old}")
    return [Size(tuple(new), values)]


def _shape(node: Node, inputs: Sizes) -> list[Size]:
    shape = inputs[0].shape
    kept = shape[node.attributes.get("start", 0) : node.attributes.get("end")]
    return [Size((len(kept),), kept)]


def _slice(_: Node, inputs: Sizes) -> list[Size]:
    shape, values = list(inputs[0].shape), inputs[0].values
    starts, ends, *others = map(known, inputs[1:])
    axes = others[0] if others else tuple(range(len(starts)))
    steps = others[1] if len(others) > 1 else (1,) * len(starts)
    require(len(starts) == len(ends) == len(axes) == len(steps), "bounds of another number")
    require(all(step == 1 for step in steps), f"steps {steps}")
    for start, end, axis in zip(starts, ends, axes, strict=True):
        place = axis_of(axis, len(shape))
        kept = range(shape[place])[start:end]
        shape[place] = len(kept)
        if values is not None and len(shape) == 1:
            values = values[start:end]
    return [Size(tuple(shape), values if len(shape) == 1 else None)]


def _split(node: Node, inputs: Sizes) -> list[Size]:
    shape, parts = inputs[0].shape, known(inputs[1])
    axis = axis_of(node.attributes["axis"], len(shape))
    require(sum(parts) == shape[axis] and all(part > 0 for part in parts), f"parts of {parts}")
    require(len(parts) == len(node.outputs), f"parts of {parts}")
    return [Size((*shape[:axis], part, *shape[axis + 1 :])) for part in parts]


def _squeeze(_: Node, inputs: Sizes) -> list[Size]:
    (shape, values), axes = inputs[0], known(inputs[1])
    places = {axis_of(axis, len(shape)) for axis in axes}
    require(all(shape[place] == 1 for place in places), f"axes {axes} of {shape} are not 1")
    return [Size(tuple(size for i, size in enumerate(shape) if i not in places), values)]


def _unsqueeze(_: Node, inputs: Sizes) -> list[Size]:
    (shape, values), axes = inputs[0], known(inputs[1])
    rank = len(shape) + len(axes)
    places = {axis_of(axis, rank) for axis in axes}
    require(len(places) == len(axes), f"axes {axes}")
    kept = iter(shape)
    return [Size(tuple(1 if i in places else next(kept) for i in range(rank)), values)]


def _top(node: Node, inputs: Sizes) -> list[Size]:
    shape, (count, *_) = inputs[0].shape, known(inputs[1])
    axis = axis_of(node.attributes["axis"], len(shape))
    require(0 < count <= shape[axis], f"{count} of {shape[axis]}")
    return [Size((*shape[:axis], count, *shape[axis + 1 :]))] * 2


def _transpose(node: Node, inputs: Sizes) -> list[Size]:
    shape = inputs[0].shape
    order = node.attributes.get("perm", tuple(reversed(range(len(shape)))))
    require(sorted(order) == [*range(len(shape))], f"axes {order} of {shape}")
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
    **dict.fromkeys(("Attention", "com.microsoft.MultiHeadAttention"), attention),
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
    "Gemm": gemm,
    "MatMul": matmul,
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
    "com.microsoft.Attention": projecting_attention,
    "com.microsoft.MatMulIntegerToFloat": matmul_integer,
    "com.microsoft.MatMulNBits": matmul_blocks,
}
"""The rule of each operator but Loop and If."""
