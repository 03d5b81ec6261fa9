"""Writing that survives a full disk, a kill and a power cut.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from albert_edge.disk.writing import open_own, sync_folder
from albert_edge.errors import AlbertEdgeError, Argument, Message


class GrowingFile:
    """A file that grows at its end.

    An append that failed or was interrupted leaves `size` as it was; the next one writes over what
    it left.

    Args:
        path: The file; created if it does not exist.
        size: How many bytes of it are valid; the rest is cut off.

    Attributes:
        size: How many bytes of it are valid.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        self._descriptor = open_own(path)
        self.size = size
        os.ftruncate(self._descriptor, size)

    def append(self, data: bytes) -> None:
        """Write bytes at the end."""
        os.lseek(self._descriptor, self.size, os.SEEK_SET)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self.size += len(data)

    def sync(self) -> None:
        """Wait until the disk has all of it, and nothing after its end."""
        os.ftruncate(self._descriptor, self.size)
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; once more has no effect."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextlib.contextmanager
def naming_output(target: Path, saved: Callable[[], int] = int) -> Iterator[None]:
    """Name the output, and what is kept of it, in an error of the operating system.

    Args:
        target: The output.
        saved: Returns how many answers are kept.

    Raises:
        AlbertEdgeError: The output cannot be written.
    """
    try:
        yield
    except OSError as error:
        kept = f" Answers kept: {saved():,}." if saved() else ""
        raise AlbertEdgeError(
            f"{target} cannot be written: {error.strerror or error}.{kept}",
            tip=Message("Make room for it, then continue with ", Argument("resume"), "."),
            where=target,
        ) from error


def sync_file(path: Path) -> None:
    """Wait until the disk has the contents of a file."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def write_whole(path: Path, data: bytes) -> None:
    """Replace the contents of a small file, completely or not at all."""
    new = path.with_name(path.name + ".new")
    file = GrowingFile(new)
    try:
        file.append(data)
        file.sync()
    finally:
        file.close()
    move(new, path)


def move(source: Path, target: Path) -> None:
    """Rename a file whose contents are on the disk; a file of that name is replaced."""
    os.replace(source, target)
    sync_folder(target.parent)
