"""model.safetensors, which is memory-mapped."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

from albert_edge.checkpoint.formats.base import COPY_AGAIN, StoredTensor
from albert_edge.errors import CheckpointError
from albert_edge.packages import import_extra


def read_safetensors(path: Path) -> list[StoredTensor]:
    """Read the headers of a .safetensors file."""
    # ml_dtypes teaches numpy the name bfloat16.
    purpose = f"Reading {path.name}"
    safetensors = import_extra("safetensors", "ml_dtypes", extra="export", purpose=purpose)
    try:
        file: Any = safetensors.safe_open(path, framework="numpy")
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged: {error}", tip=COPY_AGAIN) from error

    def stored(name: str) -> StoredTensor:
        header = file.get_slice(name)
        return StoredTensor(
            file=path.name,
            name=name,
            dtype=header.get_dtype(),
            shape=tuple(header.get_shape()),
            read=lambda: file.get_tensor(name),
        )

    return [stored(name) for name in file.keys()]  # noqa: SIM118  (not a mapping)


def write_safetensors(
    tensors: dict[str, Any], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a .safetensors file.

    Raises:
        OSError: It cannot be written. safetensors has another error for this.
        ImportError: safetensors is not installed.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:
        code = re.search(r"os error (\d+)|code: (\d+)", str(error))
        number = int(code[1] or code[2]) if code else errno.EIO
        raise OSError(number, os.strerror(number), os.fspath(path)) from error
