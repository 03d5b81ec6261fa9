"""How large the results of nodes are: a rule for each operator, from the sizes of its inputs.

The sizes are those of a run, not names of axes, so a rule is arithmetic. Lists of sizes, as the new
shape that a Reshape takes, are followed too, but nothing is computed from the sizes of a run: so a
result that is small in the shortest and in the longest run is small in all of them. A rule refuses
operands that the operator cannot take, above all where a kernel might read beyond the end of one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
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
    Measured,
    Rule,
    Shape,
    Size,
    Sizes,
    axes_of,
    axis_of,
    broadcast,
    constant,
    is_measured,
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
    if node.operator not in (*_COMPUTED, "Where") or prod(shape) > MOST_KNOWN:
        return [Size(shape)]
    lists = [size.values for size in inputs if size.values is not None]
    if len(lists) < len(inputs) or any(len(values) not in (1, prod(shape)) for values in lists):
        return [Size(shape)]
    full = [values if len(values) > 1 else values * prod(shape) for values in lists]
    return [Size(shape, _computed(node.operator, full))]


def _computed(operator: str, lists: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """Compute integers; those that differ between runs are only chosen from, see `Measured`."""
    if operator == "Where":
        conditions, chosen, others = lists
        if is_measured(conditions):
            return None
        choices = zip(conditions, chosen, others, strict=True)
        return tuple(one if condition else other for condition, one, other in choices)
    if any(map(is_measured, lists)):
        # A size is never -1, which stands for an axis that keeps its own.
        is_comparison = operator == "Equal" and any(set(values) == {-1} for values in lists)
        if not is_comparison:
            return None
    results = tuple(int(_COMPUTED[operator](*entry)) for entry in zip(*lists, strict=True))
    require(all(abs(one) < _TOO_LARGE for one in results), "a number of more than 32 bits")
    return results


_TOO_LARGE = 2**31  # far more than any size, and far from where int64 wraps around

_COMPUTED: dict[str, Callable[..., int]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Equal": lambda a, b: a == b,
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
    if value is None or is_measured(shape) or prod(shape) > MOST_KNOWN:
        return [Size(shape)]
    return [Size(shape, value * prod(shape))]


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
    if data.values is None or indices.values is None or is_measured(indices.values):
        return [Size(shape)]
    if len(data.shape) != 1:
        return [Size(shape)]
    places = [axis_of(index, len(data.values)) for index in indices.values]
    return [Size(shape, tuple(data.values[place] for place in places))]


def _gather_nd(_: Node, inputs: Sizes) -> list[Size]:
    data, indices = (size.shape for size in inputs)
    require(len(indices) > 0 and 0 < indices[-1] <= len(data), "indices of too many axes")
    return [Size(indices[:-1] + data[indices[-1] :])]


def _nonzero(_: Node, inputs: Sizes) -> list[Size]:
    return [Size((len(inputs[0].shape), prod(inputs[0].shape)))]


def _pad(_: Node, inputs: Sizes) -> list[Size]:
    shape, pads = inputs[0].shape, constant(inputs[1])
    require(len(pads) == 2 * len(shape) and all(0 <= pad <= 1 for pad in pads), f"pads {pads}")
    before, after = pads[: len(shape)], pads[len(shape) :]
    return [Size(tuple(map(sum, zip(shape, before, after, strict=True))))]


def _reduce(node: Node, inputs: Sizes) -> list[Size]:
    shape = inputs[0].shape
    axes = constant(inputs[1]) if len(inputs) > 1 else range(len(shape))
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
        place = new.index(-1)
        new[place] = _rest(old, new[:place] + new[place + 1 :])
    require(prod(new) == prod(old), f"a new shape {new} of {old}")
    return [Size(tuple(new), None if is_measured(new) else values)]


def _rest(old: Shape, others: Sequence[int]) -> int:
    """Return the size of the axis of -1; it must not be longer, the shorter the others are."""
    measured = [size for size in others if isinstance(size, Measured)]
    axes = Counter(axes_of(old))
    is_factor = all(size.axes for size in measured) and Counter(axes_of(measured)) <= axes
    require(prod(others) > 0 and is_factor, f"a new shape of -1 and {others} of {old}")
    size = prod(old) // prod(others)
    axes.subtract(axes_of(measured))
    named = prod(size for size in old if axes_of([size])) // prod(measured)
    return Measured(size, axes.elements()) if size == named else size


def _shape(node: Node, inputs: Sizes) -> list[Size]:
    shape = inputs[0].shape
    kept = shape[node.attributes.get("start", 0) : node.attributes.get("end")]
    # A list that is followed is of the same length in all runs.
    is_fixed = inputs[0].values is not None
    measured = tuple(size if isinstance(size, Measured) else Measured(size) for size in kept)
    return [Size((len(kept),), kept if is_fixed else measured)]


def _slice(_: Node, inputs: Sizes) -> list[Size]:
    shape, values = list(inputs[0].shape), inputs[0].values
    starts, ends, *others = map(known, inputs[1:])
    require(not any(map(is_measured, (starts, *others))), "a bound depends on the text")
    axes = others[0] if others else tuple(range(len(starts)))
    steps = others[1] if len(others) > 1 else (1,) * len(starts)
    require(len(starts) == len(ends) == len(axes) == len(steps), "bounds of another number")
    require(all(step == 1 for step in steps), f"steps {steps}")
    for start, end, axis in zip(starts, ends, axes, strict=True):
        place = axis_of(axis, len(shape))
        kept = range(shape[place])[start:end]
        shape[place] = end if (start, end) == (0, len(kept)) else len(kept)
        if values is not None:
            values = values[start:end]
    return [Size(tuple(shape), None if len(shape) != 1 or is_measured(ends) else values)]


def _split(node: Node, inputs: Sizes) -> list[Size]:
    shape, parts = inputs[0].shape, constant(inputs[1])
    axis = axis_of(node.attributes["axis"], len(shape))
    require(sum(parts) == shape[axis] and all(part > 0 for part in parts), f"parts of {parts}")
    require(len(parts) == len(node.outputs), f"parts of {parts}")
    return [Size((*shape[:axis], part, *shape[axis + 1 :])) for part in parts]


def _squeeze(_: Node, inputs: Sizes) -> list[Size]:
    (shape, values), axes = inputs[0], constant(inputs[1])
    places = {axis_of(axis, len(shape)) for axis in axes}
    require(all(shape[place] == 1 for place in places), f"axes {axes} of {shape} are not 1")
    return [Size(tuple(size for i, size in enumerate(shape) if i not in places), values)]


def _unsqueeze(_: Node, inputs: Sizes) -> list[Size]:
    (shape, values), axes = inputs[0], constant(inputs[1])
    rank = len(shape) + len(axes)
    places = {axis_of(axis, rank) for axis in axes}
    require(len(places) == len(axes), f"axes {axes}")
    kept = iter(shape)
    return [Size(tuple(1 if i in places else next(kept) for i in range(rank)), values)]


def _top(node: Node, inputs: Sizes) -> list[Size]:
    shape, (count, *_) = inputs[0].shape, constant(inputs[1])
    axis = axis_of(node.attributes["axis"], len(shape))
    require(0 < count <= shape[axis], f"{count} of {shape[axis]}")
    return [Size((*shape[:axis], count, *shape[axis + 1 :]))] * 2


def _transpose(node: Node, inputs: Sizes) -> list[Size]:
    shape = inputs[0].shape
    order = node.attributes.get("perm", tuple(reversed(range(len(shape)))))
    require(sorted(order) == [*range(len(shape))], f"axes {order} of {shape}")
    return [Size(tuple(shape[axis] for axis in order))]


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ("Abs", "Cast", "Erf", "Exp", "Gelu", "HardSwish", "LeakyRelu", "LogSoftmax"), _same
    ),
    **dict.fromkeys(("Neg", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt", "Tanh"), _same),
    "Identity": _copy,
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
