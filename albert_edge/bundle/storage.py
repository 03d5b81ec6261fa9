"""Where the files of a bundle are: in a folder, or one after the other in a packed file.

Standard library only, since the runtime and the exporter both import this module.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import weakref
from collections.abc import Iterable, Iterator
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, Protocol

from albert_edge.bundle.change import COMMIT
from albert_edge.bundle.manifest import MANIFEST, SIGNATURE, FileRecord
from albert_edge.disk.reading import link_refused, open_regular
from albert_edge.errors import BundleError

_CHUNK = 2**20  # bytes
_LARGEST_READ = 2**30  # bytes; systems read at most 2 GB at once


class Storage(Protocol):
    """The files of a bundle, by their paths in it. Safe to use from many threads."""

    @property
    def path(self) -> Path:
        """The folder or the packed file."""

    def open(self, file: str, *, follow: bool = True) -> BufferedReader:
        """Open a file.

        Args:
            file: Its path in the bundle.
            follow: Whether it may be a link to another file.

        Raises:
            OSError: There is none, it is not a regular file, or it is a link and must not be.
        """

    def view(self, file: str) -> memoryview:
        """Map the content of a file into memory: of the one that `open` opens from now on.

        Raises:
            OSError: As `open`.
        """

    def read_signature(self) -> bytes:
        """Read the line that signs the manifest, see `signature`; empty if there is none."""


class Folder:
    """A bundle whose files lie in a folder.

    Holds open the files that it is given, so that another version of the bundle may take their
    place meanwhile. Every read names its own position, so threads and forked processes do not
    disturb each other. Windows could not replace files that are open; there they are not held.

    Args:
        path: The folder.
        files: The files to hold.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path, files: Iterable[str] = ()) -> None:
        self.path = path
        self._held: dict[str, int] = {}
        self._links: set[str] = set()  # of the files held
        weakref.finalize(self, _close_all, self._held)
        if hasattr(os, "pread"):
            for file in files:
                with contextlib.suppress(OSError):  # reading it will report this
                    self._hold(file)

    def __reduce__(self) -> tuple[Any, ...]:  # for another process, which opens them again
        return Folder, (self.path, tuple(self._held))

    def open(self, file: str, *, follow: bool = True) -> BufferedReader:
        """Open a file."""
        if file not in self._held:
            return open(self._open(file, follow=follow), "rb")
        if file in self._links and not follow:
            raise link_refused(self.path / file)
        return BufferedReader(_HeldFile(self, self._held[file]))

    def view(self, file: str) -> memoryview:
        """Map a file into memory, and hold it."""
        if file not in self._held:
            self._hold(file)
        return memoryview(mmap.mmap(self._held[file], 0, access=mmap.ACCESS_READ))

    def _hold(self, file: str) -> None:
        try:
            self._held[file] = self._open(file, follow=False)
        except OSError:
            self._held[file] = self._open(file)
            self._links.add(file)

    def _open(self, file: str, *, follow: bool = True) -> int:
        """Open a file, which is in another place while a change is not finished."""
        with contextlib.suppress(OSError):
            return open_regular(self.path / COMMIT / file, follow=follow)
        return open_regular(self.path / file, follow=follow)

    def read_signature(self) -> bytes:
        """Read the signature."""
        try:
            with self.open(SIGNATURE) as file:
                return file.read()
        except OSError:
            return b""


class _HeldFile(RawIOBase):
    """A file that a folder holds open, read from its start to its end."""

    def __init__(self, folder: Folder, descriptor: int) -> None:
        self._folder = folder  # closes the descriptor when nothing refers to it any more
        self._descriptor = descriptor
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        self._position = offset + (os.fstat(self._descriptor).st_size if start is None else start)
        return self._position

    def readinto(self, buffer: Any) -> int:
        content = os.pread(self._descriptor, len(buffer), self._position)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def readall(self) -> bytes:  # at once: a model is not to be in memory twice
        left = os.fstat(self._descriptor).st_size - self._position
        content = os.pread(self._descriptor, min(max(left, 0), _LARGEST_READ), self._position)
        self._position += len(content)
        if len(content) in (0, left):
            return content
        return content + super().readall()


def _close_all(held: dict[str, int]) -> None:
    for descriptor in held.values():
        os.close(descriptor)


def read(storage: Storage, record: FileRecord, *, follow: bool = True) -> bytes:
    """Read a file and check its content.

    Args:
        storage: Where it is.
        record: What the manifest says about it.
        follow: Whether it may be a link to another file.

    Raises:
        BundleError: It cannot be read, its sha256 differs, or it is a link and must not be.
    """
    try:
        with storage.open(record.file, follow=follow) as file:
            content = file.read()
    except OSError as error:
        raise unreadable(storage, record, error) from error
    _require(storage, record, hashlib.sha256(content).hexdigest())
    return content


def chunks(storage: Storage, record: FileRecord, *, follow: bool = True) -> Iterator[bytes]:
    """Read a file piece by piece; its content is checked when the last piece has been taken.

    Args and errors are those of `read`.
    """
    sha256 = hashlib.sha256()
    try:
        with storage.open(record.file, follow=follow) as file:
            while chunk := file.read(_CHUNK):
                sha256.update(chunk)
                yield chunk
    except OSError as error:
        raise unreadable(storage, record, error) from error
    _require(storage, record, sha256.hexdigest())


def check(storage: Storage, record: FileRecord, *, follow: bool = True) -> None:
    """Check the content of a file without keeping it in memory.

    Args and errors are those of `read`.
    """
    for _ in chunks(storage, record, follow=follow):
        pass


def _require(storage: Storage, record: FileRecord, sha256: str) -> None:
    if sha256 != record.sha256:
        raise BundleError(
            f"{storage.path / record.file} is not the file {MANIFEST} lists: its sha256 is "
            f"{sha256[:12]}..., not {record.sha256[:12]}....",
            tip="It was changed or damaged. Export the model again, or restore the file.",
        )


def unreadable(storage: Storage, record: FileRecord, error: Exception) -> BundleError:
    """Return the error for a listed file that cannot be read."""
    return BundleError(
        f"{storage.path / record.file} is listed in {MANIFEST} but cannot be read: "
        f"{getattr(error, 'strerror', None) or error}.",
        tip="Export the model again, or restore the file.",
    )
