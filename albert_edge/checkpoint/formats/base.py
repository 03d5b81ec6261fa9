"""The interface of a file format of weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from albert_edge.errors import CheckpointError
from albert_edge.json_fields import read_object

Shape = tuple[int, ...]

# Types of weights, as safetensors spells them.
FLOATS = frozenset({"F16", "BF16", "F32", "F64"})

# Axes of a tensor; the size of one with a million would take minutes to compute.
MOST_AXES = 8

COPY_AGAIN = "Copy or download the checkpoint again."
BEFORE_QUANTIZING = "Save the checkpoint before quantizing it; albert-edge compresses it for you."


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file, whose values have not been read yet.

    Attributes:
        file: The name of the file.
        name: Its name in PyTorch's layout, any legacy spelling included.
        dtype: Its type as safetensors spells it, such as "F32".
        shape: Its shape in PyTorch's layout.
        read: Reads the values.
    """

    file: str
    name: str
    dtype: str
    shape: Shape
    read: Callable[[], npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Format:
    """A file format of weights.

    Attributes:
        file: The name that save_pretrained gives the file; its shards have the same suffix, and
            their index the same name followed by ".index.json".
        read: Reads the headers of a file. Raises CheckpointError if it is damaged or hostile, and
            MissingExtraError if the package that reads it is not installed.
        is_standard: Whether transformers reads it with torch only.
    """

    file: str
    read: Callable[[Path], list[StoredTensor]]
    is_standard: bool = True

    @property
    def patterns(self) -> tuple[str, ...]:
        """Patterns of the files to download: the file, or its shards and their index."""
        stem, suffix = Path(self.file).stem, Path(self.file).suffix
        return f"{stem}*{suffix}", f"{self.file}.index.json"

    def files(self, folder: Path) -> list[Path]:
        """List the files of this format in a folder; none if the weights have another one.

        Raises:
            CheckpointError: The index is malformed, or names a file that is missing or elsewhere.
        """
        if (folder / self.file).is_file():
            return [folder / self.file]
        index = folder / f"{self.file}.index.json"
        return _shards(index, Path(self.file).suffix) if index.is_file() else []


def _shards(path: Path, suffix: str) -> list[Path]:
    """Read the shards of an index, which are plain file names in its folder."""
    index = read_object(path, partial(CheckpointError, tip=COPY_AGAIN)).object("weight_map")
    shards = sorted({index.text(name) for name in index.values})
    for shard in shards:
        if not shard.endswith(suffix) or set(shard) & set("/\\:\0"):
            raise CheckpointError(
                f"{path} names the shard {shard!r}; expected a plain {suffix} file name.",
                tip="Do not use this checkpoint: its index points outside its folder.",
            )
        if not (path.parent / shard).is_file():
            raise CheckpointError(f"{path} names the missing shard {shard}.", tip=COPY_AGAIN)
    return [path.parent / shard for shard in shards]
