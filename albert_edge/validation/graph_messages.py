"""Read .onnx files so strictly that onnxruntime cannot read anything else in them.

A message may only have the fields that the exporters write, each encoded as they encode it, and
those that have one value only once: protobuf would merge them, and skip a field whose encoding it
does not expect. The values of tensors stay views of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

from albert_edge.onnx_format.wire_format import (
    CONTENT,
    NUMBER,
    SINGLE,
    Value,
    content,
    keyed_fields,
    signed_number,
    single,
    text,
)
from albert_edge.validation.graph_parts import (
    ITEM_BYTES,
    MOST_DIMENSIONS,
    Described,
    Dimension,
    Graph,
    Model,
    Node,
    Refused,
    Tensor,
)

# Nodes and descriptions are short; only tensors and graphs are as long as they are.
_LONGEST = 2**16
_DEEPEST = 3  # a loop in a branch of the graph
# What is read before it is known which nodes there are; far more than models of many layers have.
_MOST_ENTRIES = 20_000  # of a list
_MOST_STRUCTURE = 2 * 2**20  # bytes of all nodes and descriptions


class _Field(NamedTuple):
    name: str
    read: Callable[[Value], Any]
    repeated: bool = False


_Fields = Mapping[int, _Field]


def _message(message: memoryview, known: _Fields, what: str) -> dict[str, Any]:
    """Read a message whose fields are all known; repeated fields are lists."""
    found: dict[str, Any] = {}
    for key, _, value in keyed_fields(message):
        field = known.get(key)
        if field is None:
            raise Refused(f"{what} has a field (number {key >> 3}) that exporters do not write")
        if field.repeated:
            entries = found.setdefault(field.name, [])
            entries.append(field.read(value))
            if len(entries) > _MOST_ENTRIES:
                raise Refused(f"{what} has more than {_MOST_ENTRIES:,} {field.name}")
        elif field.name in found:
            raise Refused(f"{what} has two fields {field.name}")
        else:
            found[field.name] = field.read(value)
    return found


def _short(value: Value) -> memoryview:
    message = content(value)
    if len(message) > _LONGEST:
        raise Refused(f"a description of {len(message)} bytes; none is that long")
    return message


def _text(value: Value) -> str:
    return text(_short(value))


def _field(number: int, wire: int) -> int:
    return number << 3 | wire


# Tensors.

_ENTRY: _Fields = {
    _field(1, CONTENT): _Field("key", _text),
    _field(2, CONTENT): _Field("value", _text),
}

_TENSOR: _Fields = {
    _field(1, NUMBER): _Field("dims", signed_number, repeated=True),
    _field(2, NUMBER): _Field("data_type", signed_number),
    _field(8, CONTENT): _Field("name", _text),
    _field(9, CONTENT): _Field("raw_data", content),
    _field(13, CONTENT): _Field(
        "external_data", lambda value: _message(_short(value), _ENTRY, "external data"), True
    ),
    _field(14, NUMBER): _Field("data_location", signed_number),
}


def read_tensor(value: Value) -> Tensor:
    """Read a tensor whose shape fits its bytes exactly."""
    found = _message(content(value), _TENSOR, "a tensor")
    name = found.get("name", "")
    type_, shape = found.get("data_type", 0), tuple(found.get("dims", ()))
    if type_ not in ITEM_BYTES:
        raise Refused(f"tensor {name!r} is of type {type_}, which exporters do not write")
    if len(shape) > MOST_DIMENSIONS or any(size < 0 for size in shape):
        raise Refused(f"tensor {name!r} has the shape {shape}")
    data, external = found.get("raw_data"), None
    length = None if data is None else len(data)
    if "external_data" in found or found.get("data_location", 0):
        external = _external(name, found)
        length = external[2]
    if length != ITEM_BYTES[type_] * prod(shape):
        raise Refused(f"tensor {name!r} has {length} bytes, which do not fit its shape {shape}")
    return Tensor(name, type_, shape, data, external)


def _external(name: str, found: Mapping[str, Any]) -> tuple[str, int, int]:
    entries = found.get("external_data", [])
    place = {entry.get("key"): entry.get("value", "") for entry in entries}
    numbers = place.get("offset", ""), place.get("length", "")
    if (
        found.get("data_location") != 1
        or "raw_data" in found
        or place.keys() != {"location", "offset", "length"}
        or len(entries) != len(place)
        or not all(n.isascii() and n.isdigit() and len(n) < 20 for n in numbers)
    ):
        raise Refused(f"tensor {name!r} has external data that the exporter would not describe so")
    return place["location"], int(numbers[0]), int(numbers[1])


# Inputs, outputs and other values with a type.

_DIMENSION: _Fields = {
    _field(1, NUMBER): _Field("size", signed_number),
    _field(2, CONTENT): _Field("name", _text),
}
_SHAPE: _Fields = {
    _field(1, CONTENT): _Field(
        "dims", lambda value: _message(_short(value), _DIMENSION, "a dimension"), True
    )
}
_TENSOR_TYPE: _Fields = {
    _field(1, NUMBER): _Field("type", signed_number),
    _field(2, CONTENT): _Field("shape", lambda value: _message(_short(value), _SHAPE, "a shape")),
}
_TYPE: _Fields = {
    _field(1, CONTENT): _Field(
        "tensor", lambda value: _message(_short(value), _TENSOR_TYPE, "a tensor type")
    )
}
_VALUE: _Fields = {
    _field(1, CONTENT): _Field("name", _text),
    _field(2, CONTENT): _Field("type", lambda value: _message(_short(value), _TYPE, "a type")),
}


def _described(value: Value) -> Described:
    found = _message(_short(value), _VALUE, "an input or output")
    tensor = found.get("type", {}).get("tensor", {})
    shape = None
    if "shape" in tensor:
        dims = tensor["shape"].get("dims", [])
        shape = tuple(Dimension(dim.get("size"), dim.get("name", "")) for dim in dims)
    return Described(found.get("name", ""), tensor.get("type", 0), shape)


# Nodes.

# The field of an attribute that holds its value, by the number of its type.
_OF_TYPE = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 7: "ints"}


class _Reader:
    """Reads graphs; what repeats in every layer is read once."""

    def __init__(self) -> None:
        self.attributes: dict[bytes, tuple[str, Any]] = {}
        self.depth = self.structure = 0
        self.attribute: _Fields = {
            _field(1, CONTENT): _Field("name", _text),
            _field(2, SINGLE): _Field("f", single),
            _field(3, NUMBER): _Field("i", signed_number),
            _field(4, CONTENT): _Field("s", _text),
            _field(5, CONTENT): _Field("t", read_tensor),
            _field(6, CONTENT): _Field("g", self.graph),
            _field(8, NUMBER): _Field("ints", signed_number, repeated=True),
            _field(20, NUMBER): _Field("type", signed_number),
        }
        self.node: _Fields = {
            _field(1, CONTENT): _Field("inputs", _text, repeated=True),
            _field(2, CONTENT): _Field("outputs", _text, repeated=True),
            _field(3, CONTENT): _Field("name", _text),
            _field(4, CONTENT): _Field("op_type", _text),
            _field(5, CONTENT): _Field("attributes", self.read_attribute, repeated=True),
            _field(7, CONTENT): _Field("domain", _text),
        }
        self.parts: _Fields = {
            _field(1, CONTENT): _Field("nodes", self.read_node, repeated=True),
            _field(2, CONTENT): _Field("name", _text),
            _field(5, CONTENT): _Field("initializers", read_tensor, repeated=True),
            _field(11, CONTENT): _Field("inputs", self.described, repeated=True),
            _field(12, CONTENT): _Field("outputs", self.described, repeated=True),
            _field(13, CONTENT): _Field("described", self.described, repeated=True),
        }

    def graph(self, value: Value) -> Graph:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise Refused(f"graphs are nested more than {_DEEPEST} deep")
        found = _message(content(value), self.parts, "a graph")
        self.depth -= 1
        lists = (found.get(f.name, []) for f in self.parts.values() if f.repeated)
        return Graph(found.get("name", ""), *lists)

    def read_node(self, value: Value) -> Node:
        found = _message(self._counted(value), self.node, "a node")
        attributes = dict(found.get("attributes", ()))
        operator, domain = found.get("op_type", ""), found.get("domain")
        operator = f"{domain}.{operator}" if domain else operator
        name = found.get("name", "")
        if len(attributes) != len(found.get("attributes", ())):
            raise Refused(f"node {name!r} ({operator}) has an attribute twice")
        inputs, outputs = tuple(found.get("inputs", ())), tuple(found.get("outputs", ()))
        return Node(name, operator, inputs, outputs, attributes)

    def described(self, value: Value) -> Described:
        return _described(self._counted(value))

    def _counted(self, value: Value) -> memoryview:
        message = content(value)
        self.structure += len(message)
        if self.structure > _MOST_STRUCTURE:
            raise Refused(f"its nodes take more than {_MOST_STRUCTURE:,} bytes")
        return message

    def read_attribute(self, value: Value) -> tuple[str, Any]:
        message = content(value)
        if len(message) > _LONGEST:
            return self._attribute(message)
        key = bytes(message)
        if key not in self.attributes:
            self.attributes[key] = self._attribute(message)
        return self.attributes[key]

    def _attribute(self, message: memoryview) -> tuple[str, Any]:
        found = _message(message, self.attribute, "an attribute")
        name, kind = found.pop("name", ""), _OF_TYPE.get(found.pop("type", 0), "")
        if [*found] != [kind]:
            raise Refused(f"attribute {name!r} has the fields {', '.join(found)}, of another type")
        value = found[kind]
        return name, tuple(value) if isinstance(value, list) else value


_OPSET: _Fields = {
    _field(1, CONTENT): _Field("domain", _text),
    _field(2, NUMBER): _Field("version", signed_number),
}


def read_model(file: memoryview) -> Model:
    """Read an .onnx file.

    Raises:
        Refused: It has something that no exporter writes.
        ValueError, IndexError: It is not a protobuf message.
    """
    known: _Fields = {
        _field(1, NUMBER): _Field("ir_version", signed_number),
        _field(2, CONTENT): _Field("producer", _text),
        _field(3, CONTENT): _Field("producer_version", _text),
        _field(7, CONTENT): _Field("graph", _Reader().graph),
        _field(8, CONTENT): _Field(
            "opsets", lambda value: _message(_short(value), _OPSET, "an operator set"), True
        ),
    }
    found = _message(file, known, "the model")
    if "graph" not in found:
        raise Refused("it has no graph")
    opsets = {entry.get("domain", ""): entry.get("version", 0) for entry in found.get("opsets", ())}
    if len(opsets) != len(found.get("opsets", ())):
        raise Refused("it names an operator set twice")
    return Model(found.get("ir_version", 0), found.get("producer", ""), opsets, found["graph"])


def all_nodes(graph: Graph) -> Iterator[Node]:
    """Yield the nodes of a graph and of the graphs in it."""
    for node in graph.nodes:
        yield node
        for value in node.attributes.values():
            if isinstance(value, Graph):
                yield from all_nodes(value)
