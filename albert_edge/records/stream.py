"""The bytes of an input: a file or stdin, as it is or compressed with gzip or Zstandard."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeAlias, cast

from albert_edge.records.arrow import load_pyarrow
from albert_edge.records.rows import Damaged

GZIP, ZSTANDARD = ".gz", ".zst"
_MAGIC = {GZIP: b"\x1f\x8b", ZSTANDARD: b"\x28\xb5\x2f\xfd"}
Buffered: TypeAlias = "io.BufferedReader[Any]"
# Small, so that progress follows what is read of a compressed file.
_CHUNK = 1 << 13


class CountedFile(io.RawIOBase):
    """A file that counts the bytes read of it.

    Attributes:
        count: How many were read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # Of a buffered file, such as stdin, what is there is taken, and no more is waited for.
        self._read = getattr(file, "readinto1", None) or cast(Any, file).readinto
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        size: int | None = self._read(buffer)
        self.count += size or 0
        return size


def decompressed(file: CountedFile, suffix: str) -> tuple[Buffered, bool]:
    """Return the content of a file and whether it is stored compressed.

    Args:
        file: The file, at its start.
        suffix: ".gz" or ".zst" if its name says that it is compressed. Else its first bytes do.

    Raises:
        Damaged: It is not compressed as its name says.
        MissingExtraError: It is Zstandard, and pyarrow is not installed.
    """
    stored: Buffered = io.BufferedReader(file, _CHUNK)
    with reading():
        start = stored.peek(4)
    compression = next((name for name, magic in _MAGIC.items() if start.startswith(magic)), None)
    if suffix in _MAGIC and compression != suffix:
        raise Damaged(
            f"is named {suffix}, but is not compressed so",
            f"If it is complete and not compressed, take {suffix} off its name.",
            is_whole=True,
        )
    if compression is None:
        return stored, False
    content = _gunzip(stored) if compression == GZIP else _Zstandard(stored)
    return io.BufferedReader(content), True


def _gunzip(stored: Buffered) -> CountedFile:
    from gzip import GzipFile  # for compressed files only

    # Of a torn file, what precedes the tear is read: GzipFile itself would read on before.
    return CountedFile(cast(BinaryIO, GzipFile(fileobj=stored)))


class _Zstandard(io.RawIOBase):
    """Decompresses Zstandard, also several frames in one file."""

    def __init__(self, stored: Buffered) -> None:
        pyarrow = load_pyarrow("Reading Zstandard files")
        self._content = pyarrow.CompressedInputStream(stored, "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._content.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def reading() -> Iterator[None]:
    """Turn errors of reading and decompressing into `Damaged`."""
    import zlib

    try:
        yield
    except EOFError as error:  # of gzip
        raise Damaged("is cut off: the compressed data ends there", _COPY) from error
    except (OSError, zlib.error, ValueError) as error:
        raise Damaged(f"cannot be read: {error}", _COPY) from error


_COPY = "Copy or compress the file again."
