"""Files that appear as a whole or not at all, and errors that name what could not be written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

from albert_edge.cleanup import cleaned_up
from albert_edge.disk.holding import HeldError, hold
from albert_edge.errors import AlbertEdgeError

_NEW = "new"
TIP = "Check free space and permissions, or name a file elsewhere."


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names of the files in a folder."""
    if os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the operating system name the file; those of a write name none."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextlib.contextmanager
def create(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file for writing; errors of the operating system name it."""
    with naming(path), path.open("wb") as file:
        yield file


def write_file(path: Path, content: bytes) -> None:
    """Write a small file; errors of the operating system name it."""
    with create(path) as file:
        file.write(content)


def cannot_write(
    path: Path, error: OSError, *, tip: str = TIP, kind: type[AlbertEdgeError] = AlbertEdgeError
) -> AlbertEdgeError:
    """Return the error about a file that could not be written."""
    return kind(f"{path} cannot be written: {error.strerror or error}.", tip=tip, where=path)


@contextlib.contextmanager
def replaced(path: Path, *, kind: type[AlbertEdgeError] = AlbertEdgeError) -> Iterator[IO[bytes]]:
    """Open a file for writing that takes the place of another when the block ends without an error.

    It is written in a hidden folder beside the target, which is removed; if the process is killed,
    by the next one. Readers see the old content until then, and a link of that name is replaced,
    not followed.

    Args:
        path: The target.
        kind: The error to raise.

    Raises:
        AlbertEdgeError: Another process is writing it, or the operating system refuses.
    """
    try:
        with hold(path.with_name(f".{path.name}.writing")) as held:
            temporary = held.path / _NEW
            with create(temporary) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            held.require()
            with naming(path):
                os.replace(temporary, path)
                sync_folder(path.parent)
    except HeldError as error:
        raise kind(
            f"Another process is writing {path}. {error}",
            tip="Wait for it to end, then try again.",
            where=path,
        ) from error
    except OSError as error:
        raise cannot_write(path, error, kind=kind) from error


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a private folder for temporary files, and remove it.

    Raises:
        AlbertEdgeError: There is no room for them.
    """
    place: str | None = None
    folder: str | None = None
    try:
        place = tempfile.gettempdir()
        make = partial(
            tempfile.TemporaryDirectory, prefix="albert-edge-", ignore_cleanup_errors=True
        )
        with cleaned_up(make, tempfile.TemporaryDirectory.cleanup) as temporary:
            folder = temporary.name
            yield Path(folder)
    except OSError as error:
        named = os.fsdecode(error.filename or "")
        if place and folder and not named.startswith(folder):
            raise  # about another file
        raise AlbertEdgeError(
            f"Temporary files cannot be written{f' to {place}' if place else ''}: "
            f"{error.strerror or error}.",
            tip="Make room there, or set TMPDIR to another folder.",
            where=place,
        ) from error
