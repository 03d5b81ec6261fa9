"""Where the files of a bundle are: in a folder, or one after the other in a packed file.

Standard library only, since the runtime and the exporter both import this module.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, Protocol

from albert_edge.bundle.manifest import COMMIT, MANIFEST, SIGNATURE, FileRecord
from albert_edge.bundle.manifest_reader import read_content
from albert_edge.disk.held_file import HeldFile
from albert_edge.disk.reading import link_refused, open_regular
from albert_edge.errors import BundleError

_CHUNK = 2**20  # bytes
_LARGEST_SIGNATURE = 1000  # bytes; the line has under 200


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
            OSError: There is none, it is not a regular file, or is a link and `follow` is False.
        """

    def view(self, file: str) -> memoryview:
        """Map the content of a file into memory: of the one that `open` opens from now on.

        Raises:
            OSError: As `open`.
        """

    def holding(self, files: Iterable[str]) -> Storage:
        """Return the same files, of which only some are held open.

        Args:
            files: Which of those that are held now; the others are opened when they are read.
        """

    def read_signature(self) -> bytes:
        """Read the line that signs the manifest, see `signature`; empty if there is none."""


class Folder:
    """A bundle whose files lie in a folder.

    Holds open the files that it is given, so that another version of the bundle may take their
    place meanwhile. Windows could not replace files that are open; there they are not held.

    Args:
        path: The folder.
        files: The files to hold.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path, files: Iterable[str] = ()) -> None:
        self.path = path
        self._held: dict[str, HeldFile] = {}
        self._links: set[str] = set()  # of the files held
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
        return self._held[file].open()

    def view(self, file: str) -> memoryview:
        """Map a file into memory, and hold it."""
        if file not in self._held:
            self._hold(file)
        return self._held[file].view()

    def holding(self, files: Iterable[str]) -> Folder:
        """Return the same folder, which holds only some of the files."""
        other = Folder(self.path)
        other._held = {file: self._held[file] for file in files if file in self._held}
        other._links = self._links & other._held.keys()
        return other

    def _hold(self, file: str) -> None:
        try:
            self._held[file] = HeldFile(self._open(file, follow=False))
        except OSError:
            self._held[file] = HeldFile(self._open(file))
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
                return file.read(_LARGEST_SIGNATURE)
        except OSError:
            return b""


def read_manifest_content(storage: Storage) -> bytes:
    """Read the manifest as it was written.

    Raises:
        BundleError: It cannot be read, or is larger than any manifest.
    """
    path = storage.path / MANIFEST
    try:
        with storage.open(MANIFEST) as file:
            return read_content(file, path)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read: {error.strerror or error}.",
            tip="Check its permissions, or get the bundle again.",
            where=storage.path,
        ) from error


def read(storage: Storage, record: FileRecord, *, follow: bool = True) -> bytes:
    """Read a file and check its content.

    Args:
        storage: Where it is.
        record: What the manifest says about it.
        follow: Whether it may be a link to another file.

    Raises:
        BundleError: It cannot be read, its size or sha256 differs, or it is a link although
            `follow` is False.
    """
    with _opened(storage, record, follow=follow) as file:
        content = file.read()
    _require(storage, record, hashlib.sha256(content).hexdigest())
    return content


def chunks(storage: Storage, record: FileRecord, *, follow: bool = True) -> Iterator[bytes]:
    """Read a file piece by piece; its content is checked when the last piece has been taken.

    Args and errors are those of `read`.
    """
    sha256 = hashlib.sha256()
    with _opened(storage, record, follow=follow) as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            yield chunk
    _require(storage, record, sha256.hexdigest())


def check(storage: Storage, record: FileRecord, *, follow: bool = True) -> None:
    """Check the content of a file without keeping it in memory.

    Args and errors are those of `read`.
    """
    for _ in chunks(storage, record, follow=follow):
        pass


@contextlib.contextmanager
def _opened(storage: Storage, record: FileRecord, *, follow: bool) -> Iterator[BufferedReader]:
    """Open a file that has the listed size: what took its place may be larger than the memory."""
    try:
        with storage.open(record.file, follow=follow) as file:
            size = file.seek(0, os.SEEK_END)
            if size != record.bytes:
                raise _differs(storage, record, f"it has {size} bytes, not {record.bytes}")
            file.seek(0)
            yield file
    except OSError as error:
        raise unreadable(storage, record, error) from error


def _require(storage: Storage, record: FileRecord, sha256: str) -> None:
    if sha256 != record.sha256:
        listed = record.sha256[:12]
        raise _differs(storage, record, f"its sha256 is {sha256[:12]}..., not {listed}...")


def _differs(storage: Storage, record: FileRecord, how: str) -> BundleError:
    return BundleError(
        f"{storage.path / record.file} is not the file {MANIFEST} lists: {how}.",
        tip="It was changed or damaged. Export the model again, or restore the file.",
    )


def unreadable(storage: Storage, record: FileRecord, error: Exception) -> BundleError:
    """Return the error for a listed file that cannot be read."""
    return BundleError(
        f"{storage.path / record.file} is listed in {MANIFEST} but cannot be read: "
        f"{getattr(error, 'strerror', None) or error}.",
        tip="Export the model again, or restore the file.",
    )
