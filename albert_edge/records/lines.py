"""The lines of a text file, as bytes of UTF-8."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial

from albert_edge.records.parquet import PARQUET_MAGIC
from albert_edge.records.rows import Damaged, Unreadable
from albert_edge.records.stream import Buffered, CountedFile, decompressed, reading

LONGEST = 1 << 25
"""The most bytes of a line, and the most characters of a cell."""

NOT_UTF8 = Unreadable(
    "is not UTF-8",
    "Convert the file, from Windows-1252 for instance: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW",
)
NUL = Unreadable("has a NUL character", "Take it out; a file with many of them is not a text file.")

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF32_MARKS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")


class Lines:
    """Reads the lines of a file one by one; a byte order mark is skipped, and UTF-16 converted.

    Args:
        file: The file, at its start.
        suffix: ".gz" or ".zst" if its name says that it is compressed.

    Attributes:
        first: The first line. Nothing after it is waited for.
        number: How many lines were read.

    Raises:
        Damaged: It is not a text file, or in another encoding.
    """

    def __init__(self, file: CountedFile, suffix: str = "") -> None:
        self._file = file
        content, is_converted = decompressed(file, suffix)
        with reading():
            start = content.peek(4)[:4]
            if start in _UTF32_MARKS:
                raise _other_encoding("UTF-32")
            if is_utf16 := start.startswith(_UTF16_MARKS):
                self._lines = _from_utf16(content)
            else:
                self._lines = iter(partial(content.readline, LONGEST + 1), b"")
            # Of a file that is stored as it is, the bytes of the lines are exact.
            self._counts_lines = not (is_converted or is_utf16)
            first = next(self._lines, b"")
        self._skipped = len(_UTF8_MARK) if first.startswith(_UTF8_MARK) else 0
        self.first = first[self._skipped :]
        self.number = 0
        self._size = 0
        _require_text(self.first)

    @property
    def bytes_read(self) -> int:
        """How many bytes of the stored file are read so far."""
        return self._size if self._counts_lines else self._file.count

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines that are left, with their ends.

        Raises:
            Damaged: The file ends in the middle of its compressed data, or a line has no end.
        """
        if self.number == 0 and self.first:
            self.number = 1
            self._size = self._skipped + len(self.first)
            yield _bounded(self.first, 1)
        with reading():
            for line in self._lines:
                self.number += 1
                self._size += len(line)
                yield line if len(line) <= LONGEST else _bounded(line, self.number)


def decoded(lines: Lines) -> Iterator[str | Unreadable]:
    """Yield the lines that are left as texts, with their ends.

    Raises:
        Damaged: Nothing more can be read.
    """
    for line in lines:
        try:
            yield line.decode()
        except UnicodeDecodeError:
            yield NOT_UTF8


def _bounded(line: bytes, number: int) -> bytes:
    if len(line) > LONGEST:
        raise Damaged(
            f"cannot be read: line {number} has more than {LONGEST >> 20} MB",
            "Split its text, or see whether the file has lines at all.",
        )
    return line


def _from_utf16(content: Buffered) -> Iterator[bytes]:
    text = io.TextIOWrapper(content, "utf-16", errors="surrogatepass", newline="\n")
    # A lone surrogate becomes invalid UTF-8, which is an error of its record.
    for line in iter(partial(text.readline, LONGEST + 1), ""):
        yield line.encode("utf-8", "surrogatepass")


def _require_text(first: bytes) -> None:
    """Raise `Damaged` if the first line is not that of a text file."""
    if first.startswith(PARQUET_MAGIC):
        raise Damaged(
            "is Parquet, which can only be read from a file", "Save it first.", is_whole=True
        )
    if b"\0" in first:
        for name, places in (("UTF-16LE", first[1::2]), ("UTF-16BE", first[::2])):
            if places.count(0) * 2 > len(places):
                raise _other_encoding(name)
        raise Damaged("is not a text file: it has NUL characters", _TEXT, is_whole=True)
    if b"\r" in first.rstrip(b"\r\n") and not first.endswith(b"\n"):
        raise Damaged(
            "has lines that end in CR only, as on old Macintoshes",
            "Convert it: tr '\\r' '\\n' < OLD > NEW",
            is_whole=True,
        )


_TEXT = "Give a text file, or name its format."


def _other_encoding(name: str) -> Damaged:
    return Damaged(
        f"is in {name}{' without a byte order mark' * name.startswith('UTF-16')}",
        f"Convert it: iconv -f {name} -t UTF-8 OLD > NEW",
        is_whole=True,
    )
