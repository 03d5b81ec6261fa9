"""Write a file so that it appears as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from albert_edge.disk.writing import refuse_link, replaced
from albert_edge.errors import UsageError


def require_folder(path: Path) -> None:
    """Check that a file can be written there, before the work that produces its content.

    Raises:
        UsageError: The path is a folder or a link, or its parent is not a folder.
    """
    refuse_link(path)
    if not path.resolve().parent.is_dir() or path.is_dir():
        reason = "it is a folder" if path.is_dir() else f"{path.parent} is not a folder"
        raise UsageError(
            f"{path} cannot be written: {reason}.", tip="Name a file in an existing folder."
        )


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file as a whole or not at all.

    Raises:
        UsageError: The name is that of a link.
        AlbertEdgeError: It cannot be written, or another process is writing it.
    """
    with replaced(Path(path)) as file:
        file.write(content)
