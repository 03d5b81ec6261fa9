"""flax_model.msgpack, as transformers' Flax classes save it: a tree of arrays.

The types of msgpack that stand for arrays are those of flax/serialization.py.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.checkpoint.formats.base import COPY_AGAIN, MOST_AXES, StoredTensor
from albert_edge.checkpoint.formats.layout import in_pytorch_layout, pytorch_name
from albert_edge.disk.reading import read_regular
from albert_edge.errors import CheckpointError
from albert_edge.packages import import_extra

_ARRAY = 1
_TYPES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64"}


def read_flax(path: Path) -> list[StoredTensor]:
    """Read the arrays of a .msgpack file."""
    # ml_dtypes teaches numpy the name bfloat16.
    msgpack = import_extra("msgpack", "ml_dtypes", extra="formats", purpose=f"Reading {path.name}")
    try:
        tree = msgpack.unpackb(read_regular(path, largest=None), ext_hook=_read_array)
        return [_stored(path, parts, values) for parts, values in _leaves(tree)]
    except Exception as error:  # a malformed file can raise any class
        raise CheckpointError(f"{path} is damaged: {error}", tip=COPY_AGAIN) from error


def _read_array(kind: int, packed: bytes) -> npt.NDArray[Any]:
    import msgpack

    if kind != _ARRAY:
        raise ValueError(f"a value of type {kind}, which is not an array")
    shape, name, values = msgpack.unpackb(packed)
    if name not in _TYPES or len(shape) > MOST_AXES:
        raise ValueError(f"an array of {reprlib.repr(name)} with {len(shape)} axes")
    array = np.frombuffer(values, np.dtype(name))
    if array.size != math.prod(shape):
        raise ValueError(f"{array.size} values for an array of shape {shape}")
    return array.reshape(shape)


def _leaves(tree: Any) -> Iterator[tuple[list[str], npt.NDArray[Any]]]:
    """Walk a tree: the keys on the way to each array, and the array."""
    waiting: list[tuple[list[str], Any]] = [([], tree)]
    while waiting:
        parts, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [([*parts, str(key)], child) for key, child in value.items()]
        elif isinstance(value, np.ndarray) and parts:
            yield parts, value
        else:
            raise ValueError(f"{'/'.join(parts) or 'the root'} is not an array")


def _stored(path: Path, parts: list[str], values: npt.NDArray[Any]) -> StoredTensor:
    stored = StoredTensor(
        path.name, "/".join(parts), _TYPES[values.dtype.name], values.shape, lambda: values
    )
    return in_pytorch_layout(stored, pytorch_name(parts))
