"""Models of the right answers that ask for far more memory than the checker could think.

Each ends in a list of infinities, as long as some computed number, and the least of it and the
logits. The number is small in a run that is easily foreseen, and large in others.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LARGE = 2**20

Growth = Callable[["Builder"], str]


class Builder:
    """Adds nodes to the end of a graph."""

    def __init__(self, model: onnx.ModelProto, longest: int) -> None:
        self.graph, self.longest, self.count = model.graph, longest, 0

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """Add an initializer."""
        name = self._name()
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one result."""
        name = self._name()
        node = helper.make_node(operator, inputs, [name], name=name, **attributes)
        self.graph.node.append(node)
        return name

    def length(self) -> str:
        """The number of tokens of a text, (1,)."""
        return self.node("Shape", "input_ids", start=1, end=2)

    def unless(self, condition: str) -> str:
        """LARGE if a condition holds, else 1."""
        return self.node("Where", condition, self.constant([LARGE]), self.constant([1]))

    def _name(self) -> str:
        self.count += 1
        return f"grown_{self.count}"


def _compared(b: Builder) -> str:
    longest = b.node("Equal", b.length(), b.constant([b.longest]))
    return b.node("Where", longest, b.constant([1]), b.constant([LARGE]))


def _chosen(b: Builder) -> str:
    texts = b.node("Shape", "input_ids", start=0, end=1)
    return b.node("Gather", b.constant([1, LARGE, 1, *[1] * 13]), texts)


def _cut(b: Builder) -> str:
    texts = b.node("Shape", "input_ids", start=0, end=1)
    kept = b.node(
        "Slice", b.constant([1, LARGE, 1]), texts, b.constant([2**31 - 1]), b.constant([0])
    )
    return b.node("Gather", kept, b.constant([0]))


def _subtracted(b: Builder) -> str:
    less = b.node("Sub", b.constant([b.longest]), b.length())
    return b.node("Mul", less, b.constant([LARGE // 8]))


def _divided(b: Builder) -> str:
    shape = b.node("Concat", b.constant([-1]), b.length(), axis=0)
    rows = b.node("Reshape", b.constant([1] * 8 * b.longest), shape)
    count = b.node("Shape", rows, start=0, end=1)
    return b.node("Concat", count, count, axis=0)


def _many_texts(b: Builder) -> str:
    texts = b.node("Shape", "input_ids", start=0, end=1)
    pair = b.node("Concat", texts, texts, axis=0)
    four = b.node("Concat", pair, pair, axis=0)
    return b.node("Concat", four, four, axis=0)


def _wrapped(b: Builder) -> str:
    square = b.node("Mul", b.constant([2**40]), b.constant([2**40]))  # 0 in 64 bits
    return b.unless(b.node("Equal", square, b.constant([0])))


def _cast(b: Builder) -> str:
    one, other = (b.node("Cast", b.constant([n]), to=TensorProto.FLOAT) for n in (2**24, 2**24 + 1))
    return b.unless(b.node("Equal", one, other))  # which float32 does not tell apart


def _looped(b: Builder) -> str:
    """A body that makes a list as long as the number that it carries, which grows."""
    value = helper.make_tensor_value_info
    factor = b.constant([LARGE // 8])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["still"], ["again"], name="again"),
            helper.make_node("Mul", ["size", factor], ["larger"], name="larger"),
            _infinities("size", "list"),
            helper.make_node("ReduceMin", ["list"], ["least"], name="least", keepdims=0),
            helper.make_node("Identity", ["least"], ["kept"], name="kept"),
        ],
        "body",
        [value("turn", TensorProto.INT64, []), value("still", TensorProto.BOOL, []),
         value("size", TensorProto.INT64, [1]), value("last", TensorProto.FLOAT, [])],
        [value("again", TensorProto.BOOL, []), value("larger", TensorProto.INT64, [1]),
         value("least", TensorProto.FLOAT, []), value("kept", TensorProto.FLOAT, [])],
    )  # fmt: skip
    names = ["size_after", "least_after", "all"]
    inputs = [b.constant(2), b.constant(True, np.bool_), b.constant([1])]
    inputs.append(b.constant(0, np.float32))
    b.graph.node.append(helper.make_node("Loop", inputs, names, name=names[0], body=body))
    return b.constant([1])


GROWTHS: Mapping[str, Growth] = {
    "compared with the length": _compared,
    "chosen by the number of texts": _chosen,
    "cut at the number of texts": _cut,
    "computed from the length": _subtracted,
    "divided by the length": _divided,
    "a power of the number of texts": _many_texts,
    "wrapped around": _wrapped,
    "rounded": _cast,
    "another in the second turn": _looped,
}
"""Ways to a number that is large in some runs only; the last one needs a layout with loops."""


def grown(content: bytes, output: str, longest: int, growth: Growth) -> bytes:
    """Make the number, and let an output depend on it without changing it.

    Args:
        content: An .onnx file of the portable target.
        output: One of its outputs, of floats.
        longest: The most tokens of a text.
        growth: How to make it.
    """
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        node.output[:] = ["answer" if name == output else name for name in node.output]
    builder = Builder(model, longest)
    model.graph.node.append(_infinities(growth(builder), "infinities"))
    least = builder.node("ReduceMin", "infinities", keepdims=0)
    model.graph.node.append(helper.make_node("Min", ["answer", least], [output], name="min"))
    return bytes(model.SerializeToString())


def _infinities(shape: str, name: str) -> onnx.NodeProto:
    value = helper.make_tensor("", TensorProto.FLOAT, [1], struct.pack("<f", math.inf), raw=True)
    return helper.make_node("ConstantOfShape", [shape], [name], name=name, value=value)
