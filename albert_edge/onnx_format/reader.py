"""Read .onnx files without the onnx package and without loading their weights.

An .onnx file is a protobuf message. Its fields are read from a memory map, so that a tensor takes
memory only while its values are read.
"""

from __future__ import annotations

import functools
import mmap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from albert_edge.disk.reading import open_regular
from albert_edge.errors import BundleError
from albert_edge.onnx_format.external_data import require_file_name, require_inside
from albert_edge.onnx_format.wire_format import (
    content,
    fields,
    integers,
    located_fields,
    number,
    text,
)

# Field numbers of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_OP_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_GRAPH = 6
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_EXTERNAL = 1, 2, 8, 9, 13

# onnx.TensorProto.DataType -> numpy, for the types of weights.
_TYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}
UINT8, INT8 = 2, 3
_MOST_DIMENSIONS = 8  # of a tensor; weights have up to three
_LONGEST_FAULT = 300  # characters; names of the file are part of it


@dataclass(frozen=True, slots=True)
class Tensor:
    """An initializer; its values are a view of the file."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    data: memoryview

    @property
    def bytes(self) -> int:
        """Size in the file."""
        return len(self.data)

    def array(self) -> npt.NDArray[Any]:
        """Return the values, as a read-only view of the file."""
        return np.frombuffer(self.data, self.dtype).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """The content of an .onnx file.

    Attributes:
        tensors: Its initializers by name.
        operators: How often each operator occurs, including the bodies of loops.
    """

    tensors: dict[str, Tensor]
    operators: Counter[str]


View = Callable[[str], memoryview]
"""Returns the content of an .onnx file or of its external data, by the file's name."""


class OnnxSource(Protocol):
    """An .onnx file and its external data, where they are not files of a folder."""

    @property
    def path(self) -> Path:
        """What errors call the .onnx file."""

    def view(self, name: str) -> memoryview:
        """Return the content of the .onnx file or of its external data, by the file's name."""


@dataclass(frozen=True, slots=True)
class _OnDisk:
    path: Path

    def view(self, name: str) -> memoryview:
        path = self.path.with_name(name)
        with open(open_regular(path, follow=path == self.path), "rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def read_onnx(source: Path | OnnxSource) -> OnnxFile:
    """Read the initializers and operators of an .onnx file and of its external data.

    Raises:
        BundleError: It is not an .onnx file, or its external data is missing or in another folder.
    """
    onnx_file = OnnxFile({}, Counter())
    if isinstance(source, Path):
        source = _OnDisk(source)
    path = source.path
    view = functools.cache(source.view)  # many tensors may be in one file
    try:
        for field, value in fields(view(path.name)):
            if field == _MODEL_GRAPH:
                _read_graph(content(value), view, onnx_file)
    except (OSError, ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise BundleError(
            f"{path} is not a readable ONNX file: {str(error)[:_LONGEST_FAULT]}",
            tip="Export the model again.",
        ) from error
    return onnx_file


@dataclass(frozen=True, slots=True)
class RawTensor:
    """An initializer of an .onnx file in memory, whose parts can be changed in place.

    Attributes:
        name: Its name.
        data_type: The byte of its type.
        raw: The bytes of its values, or None if they are elsewhere.
    """

    name: str
    data_type: memoryview
    raw: memoryview | None

    @property
    def values(self) -> memoryview:
        """The bytes of its values.

        Raises:
            ValueError: They are external data, or in a field of their type.
        """
        if self.raw is None:
            raise ValueError(f"a tensor without raw data: {self.name!r}")
        return self.raw


def raw_tensors(model: bytearray) -> Iterator[RawTensor]:
    """Yield the initializers of an .onnx file in memory.

    Raises:
        ValueError: It is not an .onnx file.
    """
    for field, graph in fields(memoryview(model)):
        for inner, value in fields(content(graph)) if field == _MODEL_GRAPH else ():
            if inner != _GRAPH_INITIALIZER:
                continue
            tensor = content(value)
            places = {name: (at, value) for name, at, value in located_fields(tensor)}
            at, _ = places[_TENSOR_TYPE]
            name = text(places[_TENSOR_NAME][1]) if _TENSOR_NAME in places else ""
            raw = content(places[_TENSOR_RAW][1]) if _TENSOR_RAW in places else None
            yield RawTensor(name, tensor[at : at + 1], raw)


def _read_graph(graph: memoryview, view: View, into: OnnxFile) -> None:
    for field, value in fields(graph):
        if field == _GRAPH_INITIALIZER:
            tensor = _read_tensor(content(value), view)
            into.tensors[tensor.name] = tensor
        elif field == _GRAPH_NODE:
            _read_node(content(value), view, into)


def _read_node(node: memoryview, view: View, into: OnnxFile) -> None:
    op_type = domain = ""
    for field, value in fields(node):
        if field == _NODE_OP_TYPE:
            op_type = text(value)
        elif field == _NODE_DOMAIN:
            domain = text(value)
        elif field == _NODE_ATTRIBUTE:
            for inner, body in fields(content(value)):
                if inner == _ATTRIBUTE_GRAPH:
                    _read_graph(content(body), view, into)
    into.operators[f"{domain}.{op_type}" if domain else op_type] += 1


def _read_tensor(message: memoryview, view: View) -> Tensor:
    shape: list[int] = []
    name, data_type = "", 0
    data: memoryview | None = None
    external: dict[str, str] = {}
    for field, value in fields(message):
        if field == _TENSOR_DIMS:
            for size in integers(value):
                shape.append(size)
                if len(shape) > _MOST_DIMENSIONS:
                    raise ValueError(f"a tensor of more than {_MOST_DIMENSIONS} axes")
        elif field == _TENSOR_TYPE:
            data_type = number(value)
        elif field == _TENSOR_NAME:
            name = text(value)
        elif field == _TENSOR_RAW:
            data = content(value)
        elif field == _TENSOR_EXTERNAL:
            entry = dict(fields(content(value)))
            external[text(entry[1])] = text(entry[2])
    if external:
        data = _external(external, view)
    if data_type not in _TYPES:
        raise ValueError(f"tensor {name} has values of type {data_type}, as no weights have")
    dtype = np.dtype(_TYPES[data_type])
    if data is None:  # small tensors may use a field of their type, which is not needed here
        data = memoryview(b"")
    elif len(data) != dtype.itemsize * prod(shape):
        raise ValueError(f"tensor {name} has {len(data)} bytes, which do not fit its shape {shape}")
    return Tensor(name, dtype, tuple(shape), data)


def _external(entry: dict[str, str], view: View) -> memoryview:
    require_file_name(entry["location"])
    content, offset = view(entry["location"]), int(entry["offset"])
    require_inside(offset, length := int(entry["length"]), len(content))
    return content[offset : offset + length]
