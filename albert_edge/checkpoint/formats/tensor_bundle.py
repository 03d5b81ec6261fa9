"""Checkpoints of TensorFlow: PREFIX.index says where each variable lies in PREFIX.data-*.

The index is a table of LevelDB from a variable's name to a small message, field by field that of
TensorFlow's core/protobuf/tensor_bundle.proto; what the data of texts looks like is in
core/util/tensor_bundle/tensor_bundle.cc.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.checkpoint.formats.base import COPY_AGAIN, MOST_AXES, Shape, StoredTensor
from albert_edge.checkpoint.formats.checksum import crc32c, unmask
from albert_edge.checkpoint.formats.leveldb import read_table
from albert_edge.disk.reading import read_regular
from albert_edge.errors import CheckpointError
from albert_edge.onnx_format.wire_format import (
    content,
    fields,
    number,
    read_varint,
    signed_number,
    text,
)

# DataType of core/framework/types.proto -> the name of safetensors, and that of numpy.
_TYPES = {
    1: ("F32", "<f4"),
    2: ("F64", "<f8"),
    3: ("I32", "<i4"),
    9: ("I64", "<i8"),
    10: ("BOOL", "?"),
    14: ("BF16", "bfloat16"),
    19: ("F16", "<f2"),
}
_TEXT = 7
_NOTHING = memoryview(b"")
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a variable lies: the message BundleEntryProto."""

    type: int
    shape: Shape
    shard: int
    offset: int
    size: int
    checksum: int


def read_tensor_bundle(index: Path) -> list[StoredTensor]:
    """Read the index of a checkpoint.

    Returns:
        Its variables that are numbers, in TensorFlow's layout, by the name of tf.Variable; which
        of them a checkpoint of TensorFlow 2 keeps in its graph of objects.

    Raises:
        CheckpointError: It is damaged or hostile, a data file is missing or too short, or a
            variable is partitioned.
    """
    try:
        bundle = _read_index(index)
        names = _read_names(bundle)
    except (OSError, ValueError, IndexError) as error:
        raise CheckpointError(f"{index} is damaged: {error}", tip=COPY_AGAIN) from error
    return [
        _stored(bundle, names.get(key, key), entry)
        for key, entry in bundle.entries.items()
        if entry.type != _TEXT
    ]


@dataclass(frozen=True, slots=True)
class _Bundle:
    index: Path
    shards: int
    entries: dict[str, _Entry]

    def read(self, entry: _Entry) -> bytes:
        """Read the data of a variable."""
        with self.file(entry).open("rb") as data:
            data.seek(entry.offset)
            return data.read(entry.size)

    def file(self, entry: _Entry) -> Path:
        """Return the file that holds a variable."""
        name = f"{self.index.stem}.data-{entry.shard:05}-of-{self.shards:05}"
        return self.index.with_name(name)


def _read_index(path: Path) -> _Bundle:
    rows = read_table(memoryview(read_regular(path)))
    key, header = next(rows, (None, _NOTHING))
    if key != b"":
        raise ValueError("it has no header")
    facts = dict(fields(header))
    if facts.get(2, 0) != 0:
        raise ValueError("it was written on a big-endian machine")
    shards = number(facts.get(1, 0))
    entries = {str(name, "utf-8"): _read_entry(value) for name, value in rows}
    bundle = _Bundle(path, shards, entries)
    sizes: dict[int, int] = {}
    for name, entry in entries.items():
        if entry.shard not in sizes:
            sizes[entry.shard] = _size(bundle.file(entry))
        if entry.shard >= shards or entry.offset + entry.size > sizes[entry.shard]:
            raise ValueError(f"{name} lies outside {bundle.file(entry).name}")
    return bundle


def _size(file: Path) -> int:
    if not file.is_file():
        raise ValueError(f"{file.name} is missing beside it")
    return file.stat().st_size


def _read_entry(message: memoryview) -> _Entry:
    facts = dict(fields(message))
    if 7 in facts:
        raise ValueError("it has a partitioned variable, which is not supported")
    shape = facts.get(2, _NOTHING)
    entry = _Entry(
        type=number(facts.get(1, 0)),
        shape=tuple(islice(_read_dimensions(content(shape)), MOST_AXES + 1)),
        shard=number(facts.get(3, 0)),
        offset=number(facts.get(4, 0)),
        size=number(facts.get(5, 0)),
        checksum=unmask(int.from_bytes(content(facts.get(6, _NOTHING)), "little")),
    )
    if len(entry.shape) > MOST_AXES:
        raise ValueError(f"a variable with more than {MOST_AXES} axes")
    if entry.type in _TYPES and entry.size != math.prod(entry.shape) * _type(entry).itemsize:
        raise ValueError(f"{entry.size} bytes for shape {entry.shape}")
    return entry


def _read_dimensions(shape: memoryview) -> Iterator[int]:
    for field, dimension in fields(shape):
        if field == 2:
            size = signed_number(dict(fields(content(dimension))).get(1, 0))
            if size < 0:
                raise ValueError("a variable of unknown shape")
            yield size


def _type(entry: _Entry) -> np.dtype[Any]:
    import ml_dtypes  # noqa: F401  (teaches numpy the name bfloat16)

    return np.dtype(_TYPES[entry.type][1])


def _stored(bundle: _Bundle, name: str, entry: _Entry) -> StoredTensor:
    def read() -> npt.NDArray[Any]:
        data = bundle.read(entry)
        if crc32c(data) != entry.checksum:
            raise CheckpointError(
                f"{bundle.file(entry)} is damaged: the checksum of {name} is wrong.",
                tip=COPY_AGAIN,
            )
        return np.frombuffer(data, _type(entry)).reshape(entry.shape)

    known, _ = _TYPES.get(entry.type, (f"type {entry.type} of TensorFlow", ""))
    return StoredTensor(bundle.file(entry).name, name, known, entry.shape, read)


def _read_names(bundle: _Bundle) -> dict[str, str]:
    """Read the name of the variable under each key from the graph of objects, if there is one.

    The message is TrackableObjectGraph of core/protobuf/trackable_object_graph.proto.
    """
    graph = bundle.entries.get(_OBJECT_GRAPH)
    if graph is None:
        return {}
    names: dict[str, str] = {}
    for _, node in fields(memoryview(_read_text(bundle, graph))):
        for field, attribute in fields(content(node)):
            if field == 2:
                facts = dict(fields(content(attribute)))
                names[text(facts.get(3, _NOTHING))] = text(facts.get(2, _NOTHING))
    return {key: name for key, name in names.items() if name}


def _read_text(bundle: _Bundle, entry: _Entry) -> bytes:
    """Read a single text: its length, a checksum of the length, and its bytes."""
    data = bundle.read(entry)
    length, at = read_varint(memoryview(data), 0)
    encoded = data[at + 4 :]
    size = length.to_bytes(4 if length < 2**32 else 8, "little")
    if len(encoded) != length or crc32c(size + data[at:]) != entry.checksum:
        raise ValueError(f"the checksum of {_OBJECT_GRAPH} is wrong")
    return encoded
