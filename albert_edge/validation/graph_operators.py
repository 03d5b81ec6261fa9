"""The operators, with their inputs and attributes, that the exporters can write: an allow-list.

Tests author every head under every kind of plan and compare: the tables have all that occurs there,
and nothing else.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from albert_edge.validation.graph_parts import BOOL, FLOAT, FLOAT16, INT64, Graph, Tensor

Allowed = frozenset[Any] | Callable[[Any], bool]
"""The values of an attribute: these, or those for which it is true."""


class Operator(NamedTuple):
    """How nodes of an operator may look.

    Attributes:
        inputs: Which inputs they have, a character each: "x", or "_" for one that is left out.
        outputs: How many outputs they have.
        attributes: Their attributes. A node may leave any of them out; for those that an operator
            cannot do without, onnxruntime refuses that.
    """

    inputs: frozenset[str]
    outputs: frozenset[int]
    attributes: Mapping[str, Allowed]


def _op(inputs: str, outputs: int | frozenset[int] = 1, **attributes: Allowed) -> Operator:
    """Make a row; inputs of several forms are separated by spaces."""
    counts = frozenset({outputs}) if isinstance(outputs, int) else outputs
    return Operator(frozenset(inputs.split(" ")), counts, attributes)


def _one_of(*values: Any) -> frozenset[Any]:
    return frozenset(values)


def is_size(value: Any) -> bool:
    """Return whether a value is a positive number, as of heads or features."""
    return isinstance(value, int) and value > 0


def is_block(value: Any) -> bool:
    """Return whether a value is a number of values that can share a scale: 16, 32, 64 ..."""
    return is_size(value) and value >= 16 and value.bit_count() == 1


def is_epsilon(value: Any) -> bool:
    """Return whether a value is what config.json may have as layer_norm_eps."""
    return isinstance(value, float) and 0 < value <= 1


def is_graph(value: Any) -> bool:
    """Return whether a value is a graph."""
    return isinstance(value, Graph)


def is_count(value: Any) -> bool:
    """Return whether a value is a list of one positive number."""
    return isinstance(value, tuple) and len(value) == 1 and is_size(value[0])


def _is_only(type_: int, entry: bytes) -> Callable[[Any], bool]:
    """Return whether a value is a tensor of one entry, a list of these bytes."""

    def is_that(value: Any) -> bool:
        return isinstance(value, Tensor) and (
            value.type,
            value.shape,
            bytes(value.data or b""),
        ) == (type_, (1,), entry)

    return is_that


def is_constant(value: Any) -> bool:
    """Return whether a value is a tensor of numbers in the file."""
    return isinstance(value, Tensor) and value.type in (FLOAT, INT64) and value.external is None


_SWAPS = _one_of((0, 2, 1, 3), (0, 2, 3, 1), (1, 0))
_FLOATS = _one_of(FLOAT, FLOAT16)

# What all graphs authored here may have, whatever the target.
_COMMON = {
    **dict.fromkeys(
        ("Erf", "Exp", "HardSwish", "Identity", "Relu", "Sigmoid", "Softplus", "Sqrt", "Tanh"),
        _op("x"),
    ),
    **dict.fromkeys(("Add", "Div", "Greater", "Min", "Mul", "PRelu", "Sub"), _op("xx")),
    **dict.fromkeys(("MatMul", "Reshape", "Squeeze", "Unsqueeze"), _op("xx")),
    "Cast": _op("x", to=_FLOATS),
    "Clip": _op("xxx"),
    "Concat": _op("xx", axis=_one_of(0)),
    "Equal": _op("xx"),
    "Gather": _op("xx"),
    "GatherND": _op("xx"),
    "Gemm": _op("xxx", transB=_one_of(1)),
    "LayerNormalization": _op("xxx", epsilon=is_epsilon),
    "LeakyRelu": _op("x", alpha=_one_of(struct.unpack("<f", struct.pack("<f", 0.01))[0])),
    "Loop": _op("xxx", body=is_graph),
    "NonZero": _op("x"),
    "Shape": _op("x", start=_one_of(0, 1, 2), end=_one_of(1, 2)),
    "Slice": _op("xxxx"),
    "Softmax": _op("x", axis=_one_of(-1)),
    "Split": _op("xx", 2, axis=_one_of(-1)),
    "Transpose": _op("x", perm=_SWAPS),
    "Where": _op("xxx"),
}

# What early exits add.
_EXITS = {
    **dict.fromkeys(("Abs", "Neg"), _op("x")),
    **dict.fromkeys(("Less", "Pad"), _op("xx")),
    **dict.fromkeys(("ReduceL1", "ReduceMax", "ReduceMin"), _op("x", keepdims=_one_of(0))),
    "Constant": _op("", value_ints=is_count),
    "ConstantOfShape": _op("x", value=_is_only(FLOAT, struct.pack("<f", math.inf))),
    "Gather": _op("xx", axis=_one_of(1)),
    "If": _op("x", 2, then_branch=is_graph, else_branch=is_graph),
    "LogSoftmax": _op("x", axis=_one_of(-1, 0)),
    "Loop": _op("xxx xxxx", frozenset({1, 3}), body=is_graph),
    "TopK": _op("xx", 2, axis=_one_of(-1)),
    "Transpose": _op("x", perm=_SWAPS | {(0, 2, 1)}),
}

_PORTABLE = {**_COMMON, **_EXITS}

_CPU = {
    **_COMMON,
    **_EXITS,
    "Attention": _op("xxxx", q_num_heads=is_size, kv_num_heads=is_size),
    "Concat": _op("xx xxxx", axis=_one_of(0, -1)),
    "Expand": _op("xx"),
    "Gelu": _op("x", approximate=_one_of("none", "tanh")),
    # Integers.
    "BitShift": _op("xx", direction=_one_of("RIGHT")),
    "BitwiseAnd": _op("xx"),
    "DequantizeLinear": _op("xxx"),
    "DynamicQuantizeLinear": _op("x", 3),
    "QuantizeLinear": _op("xxx"),
    "ReduceMax": _op("x xx", keepdims=_one_of(0, 1)),
    "com.microsoft.MatMulIntegerToFloat": _op("xxxxxx xxxxxxx"),
    "com.microsoft.MatMulNBits": _op(
        "xxx xxx__x",
        K=is_size,
        N=is_size,
        bits=_one_of(4, 8),
        block_size=is_block,
        accuracy_level=_one_of(1, 4),
    ),
}

_CUDA = {
    **_COMMON,
    "Concat": _op("xx xxxx", axis=_one_of(0)),
    "Expand": _op("xx"),
    "Split": _op("xx", frozenset({2, 3}), axis=_one_of(-1)),
    "com.microsoft.Attention": _op("xxx__x", num_heads=is_size),
    "com.microsoft.BiasGelu": _op("xx"),
    "com.microsoft.FastGelu": _op("xx"),
    "com.microsoft.MultiHeadAttention": _op("xxx__x", num_heads=is_size),
    "com.microsoft.SkipLayerNormalization": _op("xxxxx", epsilon=is_epsilon),
}

# What torch traces of transformers' ALBERT, in the heads and activations that optimum exports.
OPTIMUM = {
    **dict.fromkeys(
        ("Erf", "Identity", "Relu", "Shape", "Sigmoid", "Softplus", "Sqrt", "Tanh"), _op("x")
    ),
    **dict.fromkeys(("Add", "Div", "Equal", "Mul", "PRelu", "Pow", "Sub"), _op("xx")),
    **dict.fromkeys(("Expand", "MatMul", "Squeeze", "Unsqueeze"), _op("xx")),
    "Cast": _op("x", to=_one_of(FLOAT, BOOL)),
    "Clip": _op("xxx"),
    "Concat": _op("xx xxx xxxx", axis=_one_of(0)),
    "Constant": _op("", value=is_constant),
    "ConstantOfShape": _op("x", value=_is_only(INT64, struct.pack("<q", 1))),
    "Gather": _op("xx", axis=_one_of(0, 1)),
    "Gemm": _op("xxx", alpha=_one_of(1.0), beta=_one_of(1.0), transB=_one_of(1)),
    "LayerNormalization": _op("xxx", axis=_one_of(-1), epsilon=is_epsilon),
    "LeakyRelu": _COMMON["LeakyRelu"],
    "Reshape": _op("xx", allowzero=_one_of(0)),
    "Slice": _op("xxx xxxx xxxxx"),
    "Softmax": _op("x", axis=_one_of(-1)),
    "Split": _op("xx", 2, axis=_one_of(-1)),
    "Transpose": _op("x", perm=_one_of((0, 2, 1, 3), (0, 2, 3, 1))),
    "Where": _op("xxx"),
}

# What graphs for a target had that earlier versions wrote, and no longer have.
FORMER: dict[str, Mapping[str, Operator]] = {
    "cpu": {
        "com.microsoft.BiasGelu": _op("xx"),  # until Gelu of opset 20 took its place
        "com.microsoft.MatMulIntegerToFloat": _op("xxxxx xxxxx_x"),  # without the weights' zero
    }
}

OPERATORS: dict[str, Mapping[str, Operator]] = {
    "portable": _PORTABLE,
    "cpu": _CPU,
    "cuda": _CUDA,
}
"""By target: the operators of graphs authored here, by name, with the domain if it has one."""
