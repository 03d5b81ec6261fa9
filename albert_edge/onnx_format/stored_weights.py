"""The weights of an .onnx file by name, each of them in memory only while it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from albert_edge.onnx_format.reader import OnnxSource, read_onnx


class StoredWeights(Mapping[str, npt.NDArray[Any]]):
    """Reads a weight from its file whenever it is asked for.

    A view of a file keeps what was read of it in memory, as long as anything refers to the file. So
    each array is a view of its own, and its memory is free again when the array is dropped.

    Args:
        source: The .onnx file.

    Raises:
        BundleError: It is not an .onnx file, see `read_onnx`.
    """

    def __init__(self, source: Path | OnnxSource) -> None:
        self._source = source
        self._names = tuple(read_onnx(source).tensors)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return the values of a weight, read-only."""
        return read_onnx(self._source).tensors[name].array()

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return how many weights there are."""
        return len(self._names)
