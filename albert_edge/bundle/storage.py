"""Where the files of a bundle are: in a folder, or one after the other in a packed file.

Standard library only, since the runtime and the exporter both import this module.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from albert_edge.bundle.change import COMMIT
from albert_edge.bundle.manifest import MANIFEST, SIGNATURE, FileRecord
from albert_edge.disk.reading import open_regular
from albert_edge.errors import BundleError

_CHUNK = 2**20  # bytes


class Storage(Protocol):
    """The files of a bundle, by their paths in it. Safe to use from many threads."""

    @property
    def path(self) -> Path:
        """The folder or the packed file."""

    def open(self, file: str) -> BufferedReader:
        """Open a file. Raises OSError if there is none."""

    def read_signature(self) -> bytes:
        """Read the line that signs the manifest, see `signature`; empty if there is none."""

    def model(self, records: Sequence[FileRecord]) -> Path | EmbeddedModel:
        """Return an .onnx file, the first of the records; the others are its external data.

        Raises:
            BundleError: A file cannot be read, or its sha256 differs.
        """


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
        weakref.finalize(self, _close_all, self._held)
        if hasattr(os, "pread"):
            for file in files:
                with contextlib.suppress(OSError):  # reading it will report this
                    self._held[file] = self._open(file)

    def __reduce__(self) -> tuple[Any, ...]:  # for another process, which opens them again
        return Folder, (self.path, tuple(self._held))

    def descriptor(self, file: str) -> int:
        """Return an open file, which stays open as long as this object exists."""
        if file not in self._held:
            self._held[file] = self._open(file)
        return self._held[file]

    def open(self, file: str) -> BufferedReader:
        """Open a file."""
        if file in self._held:
            return BufferedReader(_HeldFile(self, self._held[file]))
        return open(self._open(file), "rb")

    def _open(self, file: str) -> int:
        """Open a file, which is in another place while a change is not finished."""
        with contextlib.suppress(OSError):
            return open_regular(self.path / COMMIT / file)
        return open_regular(self.path / file)

    def read_signature(self) -> bytes:
        """Read the signature."""
        try:
            with self.open(SIGNATURE) as file:
                return file.read()
        except OSError:
            return b""

    def model(self, records: Sequence[FileRecord]) -> Path:
        """Check an .onnx file and its external data, and return its path."""
        for record in records:
            check(self, record)
        return self.path / records[0].file


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


def _close_all(held: dict[str, int]) -> None:
    for descriptor in held.values():
        os.close(descriptor)


class Contents(Storage, Protocol):
    """A storage whose files have no paths of their own."""

    def view(self, file: str) -> memoryview:
        """Map a file into memory."""


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """An .onnx file inside another file, so that no path leads to it.

    What is checked is what is returned: nothing is read a second time.

    Attributes:
        storage: Where it is.
        records: Its file, and then its external data.
    """

    storage: Contents
    records: tuple[FileRecord, ...]

    @property
    def path(self) -> Path:
        """What errors call it."""
        return self.storage.path / self.records[0].file

    def read(self) -> bytes:
        """Read the .onnx file, checked."""
        return read(self.storage, self.records[0])

    def view(self, name: str) -> memoryview:
        """Map the .onnx file or its external data into memory, checked.

        Args:
            name: The name of the file, without that of its folder.

        Raises:
            BundleError: The content has another sha256.
            ValueError: The manifest lists no such file for this model.
        """
        for record in self.records:
            if PurePosixPath(record.file).name == name:
                try:
                    view = self.storage.view(record.file)
                except (OSError, ValueError) as error:
                    raise _unreadable(self.storage, record, error) from error
                _require(self.storage, record, hashlib.sha256(view).hexdigest())
                return view
        raise ValueError(f"{MANIFEST} lists no {name!r} for this model")

    def external_data(self) -> dict[str, memoryview]:
        """Map all external data into memory, checked, by name."""
        names = [PurePosixPath(record.file).name for record in self.records[1:]]
        return {name: self.view(name) for name in names}


def read(storage: Storage, record: FileRecord) -> bytes:
    """Read a file and check its content.

    Raises:
        BundleError: It cannot be read, or its sha256 differs.
    """
    try:
        with storage.open(record.file) as file:
            content = file.read()
    except OSError as error:
        raise _unreadable(storage, record, error) from error
    _require(storage, record, hashlib.sha256(content).hexdigest())
    return content


def chunks(storage: Storage, record: FileRecord) -> Iterator[bytes]:
    """Read a file piece by piece; its content is checked when the last piece has been taken.

    Raises:
        BundleError: It cannot be read, or its sha256 differs.
    """
    sha256 = hashlib.sha256()
    try:
        with storage.open(record.file) as file:
            while chunk := file.read(_CHUNK):
                sha256.update(chunk)
                yield chunk
    except OSError as error:
        raise _unreadable(storage, record, error) from error
    _require(storage, record, sha256.hexdigest())


def check(storage: Storage, record: FileRecord) -> None:
    """Check the content of a file without keeping it in memory.

    Raises:
        BundleError: It cannot be read, or its sha256 differs.
    """
    for _ in chunks(storage, record):
        pass


def _require(storage: Storage, record: FileRecord, sha256: str) -> None:
    if sha256 != record.sha256:
        raise BundleError(
            f"{storage.path / record.file} is not the file {MANIFEST} lists: its sha256 is "
            f"{sha256[:12]}..., not {record.sha256[:12]}....",
            tip="It was changed or damaged. Export the model again, or restore the file.",
        )


def _unreadable(storage: Storage, record: FileRecord, error: Exception) -> BundleError:
    return BundleError(
        f"{storage.path / record.file} is listed in {MANIFEST} but cannot be read: "
        f"{getattr(error, 'strerror', None) or error}.",
        tip="Export the model again, or restore the file.",
    )
