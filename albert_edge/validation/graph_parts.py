"""The parts of an .onnx file as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# Bytes of an element, of the types that files of the exporters have.
FLOAT, UINT8, INT8, INT64, BOOL, FLOAT16 = 1, 2, 3, 7, 9, 10
ITEM_BYTES = {FLOAT: 4, UINT8: 1, INT8: 1, INT64: 8, BOOL: 1, FLOAT16: 2}


MOST_DIMENSIONS = 8  # of a value; those of the exporters have up to five


class Refused(Exception):
    """What is wrong with a file, in words."""


class Tensor(NamedTuple):
    """An initializer, or the value of an attribute.

    Attributes:
        name: Its name.
        type: Its element type, see `ITEM_BYTES`.
        shape: Its dimensions.
        data: Its values as little-endian bytes, or None if they are external data.
        external: Where its external data is: location, offset, length.
    """

    name: str
    type: int
    shape: tuple[int, ...]
    data: memoryview | None
    external: tuple[str, int, int] | None


class Dimension(NamedTuple):
    """The size of an axis, its name, or neither."""

    size: int | None
    name: str


class Described(NamedTuple):
    """An input, an output or another value, with its type. The shape is None if it is not known."""

    name: str
    type: int
    shape: tuple[Dimension, ...] | None


class Node(NamedTuple):
    """A node. Attributes are numbers, texts, tuples of numbers, tensors and graphs."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


class Graph(NamedTuple):
    """A graph: the whole model, the body of a loop or a branch."""

    name: str
    nodes: list[Node]
    initializers: list[Tensor]
    inputs: list[Described]
    outputs: list[Described]
    described: list[Described]


class Model(NamedTuple):
    """An .onnx file: its format, who wrote it, the operator sets by domain, and its graph."""

    ir_version: int
    producer: str
    opsets: Mapping[str, int]
    graph: Graph
