"""Files that appear as a whole or not at all, and errors that name what could not be written."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

from albert_edge.cleanup import cleaned_up
from albert_edge.disk.holding import HeldError, hold
from albert_edge.errors import AlbertEdgeError, UsageError

_NEW = "new"
_AS_IT_IS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
TIP = "Check free space and permissions, or name a file elsewhere."


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the operating system name the file; those of a write name none."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names of the files in a folder."""
    if os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with naming(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_link(path: Path) -> None:
    """Check that the name of an output is not that of a link.

    In a folder where others may write, such as /tmp, one of them could have planted it.

    Raises:
        UsageError: It is one.
    """
    if path.is_symlink():
        raise UsageError(
            f"{path} is a symbolic link, which output never follows.",
            tip="Name the file or folder that it leads to, or remove the link.",
            where=path,
        )


def open_own(path: str | os.PathLike[str], flags: int = os.O_RDWR) -> int:
    """Open a file, created if there is none, that has no other name and is not a link.

    Args:
        path: The file.
        flags: How to open it; what it holds stays.

    Raises:
        OSError: It is a link, has a second name, or is no regular file.
    """
    flags = flags & ~os.O_TRUNC | os.O_CREAT | _AS_IT_IS
    descriptor = os.open(path, flags, 0o666)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EEXIST, "another file or a link is in the way", os.fspath(path))
    return descriptor


@contextlib.contextmanager
def create(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing, from its start; errors of the operating system name it."""
    with naming(path), open(path, "wb", opener=open_own) as file:
        file.truncate()
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
    by the next one. Readers see the old content until then. Who may read and write it stays as it
    was.

    Args:
        path: The target.
        kind: The error to raise.

    Raises:
        UsageError: The target is a symbolic link.
        AlbertEdgeError: Another process is writing it, or the operating system refuses.
    """
    refuse_link(path)
    try:
        with hold(path.with_name(f".{path.name}.writing")) as held:
            temporary = held.path / _NEW
            with create(temporary) as file:
                _copy_mode(path, temporary)
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


def _copy_mode(source: Path, target: Path) -> None:
    with contextlib.suppress(OSError):  # there is none yet, or its file system has no permissions
        target.chmod(stat.S_IMODE(source.lstat().st_mode) & 0o777)


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
