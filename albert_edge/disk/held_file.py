"""A file that is held open, whose reads each name their own position.

So threads and forked processes do not disturb each other, and the file may be replaced or removed
meanwhile. Standard library only.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from io import BufferedReader, RawIOBase
from typing import Any

_LARGEST_READ = 2**30  # bytes; systems read at most 2 GB at once


class HeldFile:
    """A file that is open as long as anything refers to this object.

    Args:
        descriptor: The open file, which is closed with the object.

    Attributes:
        descriptor: The open file.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, descriptor)

    @property
    def size(self) -> int:
        """How many bytes it has now."""
        return os.fstat(self.descriptor).st_size

    def open(self, offset: int = 0, length: int | None = None) -> BufferedReader:
        """Open a part of it, by default all that it has now."""
        return BufferedReader(_Part(self, offset, self.size if length is None else length))

    def view(self, offset: int = 0, length: int | None = None) -> memoryview:
        """Map a part of it into memory, by default all that it has now."""
        length = self.size if length is None else length
        if not length:
            return memoryview(b"")
        before = offset % mmap.ALLOCATIONGRANULARITY
        mapped = mmap.mmap(
            self.descriptor, before + length, offset=offset - before, access=mmap.ACCESS_READ
        )
        return memoryview(mapped)[before:]

    def read_at(self, offset: int, length: int) -> bytes:
        """Read from a position.

        Raises:
            OSError: The file ends before.
        """
        content = self.read_some(offset, length)
        if len(content) < length:
            parts = [content]
            while (done := sum(map(len, parts))) < length:
                parts.append(self.read_some(offset + done, length - done))
                if not parts[-1]:
                    raise OSError("the file was cut off")
            content = b"".join(parts)
        return content

    def read_some(self, offset: int, length: int) -> bytes:
        """Read at most `length` bytes from a position; none at the end of the file."""
        length = min(length, _LARGEST_READ)
        if hasattr(os, "pread"):
            return os.pread(self.descriptor, length, offset)
        with self._lock:  # Windows has no read that names its position
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            return os.read(self.descriptor, length)


class _Part(RawIOBase):
    """A part of a held file, read from its start to its end."""

    def __init__(self, file: HeldFile, offset: int, length: int) -> None:
        self._file = file
        self._offset, self._length = offset, length
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        content = self._take(len(memoryview(buffer)))
        buffer[: len(content)] = content
        return len(content)

    def readall(self) -> bytes:  # at once: a model is not to be in memory twice
        return self._take(self._length)

    def _take(self, most: int) -> bytes:
        length = max(0, min(most, self._length - self._position))
        content = self._file.read_at(self._offset + self._position, length)
        self._position += len(content)
        return content
