"""Open one input as a reader of its format."""

from __future__ import annotations

import contextlib
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from albert_edge.choices import nearest_word
from albert_edge.errors import Argument, Message, RecordError, UsageError
from albert_edge.records.fields import Fields, Record
from albert_edge.records.formats import (
    Format,
    format_of_content,
    format_of_name,
    require_room,
    split_suffix,
)
from albert_edge.records.json_lines import parse_json, read_json_lines
from albert_edge.records.lines import NOT_UTF8, Lines
from albert_edge.records.parquet import PARQUET_MAGIC, ParquetTable
from albert_edge.records.paths import STDIN, cannot_open
from albert_edge.records.plain import read_plain
from albert_edge.records.rows import Unreadable
from albert_edge.records.stream import CountedFile
from albert_edge.records.table import Table

Entries = Iterable[Record | Unreadable]


class Reader(Protocol):
    """Reads the records of one input.

    Attributes:
        columns: The columns of all records; None if each record has its own.
        schema: The pyarrow.Schema, if it is Parquet.
    """

    columns: tuple[str, ...] | None
    schema: Any

    @property
    def bytes_read(self) -> int:
        """How many bytes of the stored input are read so far."""

    def seek(self, count: int) -> int:
        """Leave out at most so many records at the start, if that is cheap; return how many."""

    def __iter__(self) -> Iterator[Record | Unreadable]:
        """Yield the records that are left."""

    def close(self) -> None:
        """Close the file."""


class TextReader:
    """Reads a file of lines: txt, jsonl, csv or tsv.

    Args:
        name: The input, for errors.
        file: The file, at its start.
        suffix: ".gz" or ".zst" if its name says that it is compressed.
        kind: The format; None to find it by the first line.
        fields: The fields that every record must have.

    Raises:
        Damaged: It is not a text file, or its header cannot be read.
        UsageError: Its format is not clear, or cannot hold the fields.
    """

    schema: Any = None

    def __init__(
        self, name: str, file: BinaryIO, suffix: str, kind: Format | None, fields: Fields
    ) -> None:
        self._file = file
        self._lines = Lines(CountedFile(file), suffix)
        kind = kind or format_of_content(name, self._lines.first, fields)
        require_room(kind, fields)
        self.columns: tuple[str, ...] | None = None
        self._entries: Entries
        match kind:
            case "txt":
                self.columns = ("text",)
                self._entries = read_plain(self._lines)
            case "jsonl":
                self._entries = read_json_lines(self._lines)
            case _:
                table = Table(self._lines, fields, quoted=kind == "csv")
                self._entries, self.columns = table, table.columns

    @property
    def bytes_read(self) -> int:
        return self._lines.bytes_read

    def seek(self, count: int) -> int:
        return 0

    def __iter__(self) -> Iterator[Record | Unreadable]:
        return iter(self._entries)

    def close(self) -> None:
        if self._file is not sys.stdin.buffer:
            self._file.close()


class GivenReader:
    """Reads records that are given as texts.

    Args:
        texts: The texts; objects as in .jsonl if an item is not a single text.
        fields: The fields that every record must have.
    """

    columns: tuple[str, ...] | None = None
    schema: Any = None
    bytes_read = 0

    def __init__(self, texts: Sequence[str], fields: Fields) -> None:
        self._texts, self._fields = texts, fields

    def seek(self, count: int) -> int:
        return 0

    def __iter__(self) -> Iterator[Record | Unreadable]:
        column = self._fields.column("text")
        for text in self._texts:
            try:
                text.encode()
            except UnicodeEncodeError:  # how Python reads bytes that the terminal's encoding lacks
                yield NOT_UTF8
                continue
            yield {column: text} if self._fields.bare else parse_json(text)

    def close(self) -> None:
        pass


def open_reader(path: Path, fields: Fields, chosen: str | None) -> Reader:
    """Open a file or stdin.

    Args:
        path: The file; "-" is stdin.
        fields: The fields that every record must have.
        chosen: The format, if the caller names it.

    Raises:
        Damaged: It cannot be read in its format.
        RecordError: A column is missing.
        UsageError: It cannot be opened, its format is not clear, or cannot hold the fields.
        MissingExtraError: It is Parquet or Zstandard, and pyarrow is not installed.
    """
    kind = format_of_name(path, fields, chosen)
    if path == STDIN:
        if kind == "parquet":
            raise UsageError(
                "Parquet can only be read from a file, not from stdin.", tip="Save it first."
            )
        reader: Reader = TextReader("stdin", sys.stdin.buffer, "", kind, fields)
    else:
        reader = _open_file(path, kind, fields)
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(reader.close)
        if reader.columns:
            _require_columns("stdin" if path == STDIN else str(path), reader.columns, fields)
        on_failure.pop_all()
    return reader


def is_regular(path: Path) -> bool:
    """Return whether an input can be opened twice, and has a size."""
    return path != STDIN and stat.S_ISREG(path.stat().st_mode)


def _open_file(path: Path, kind: Format | None, fields: Fields) -> Reader:
    try:
        file: BinaryIO = path.open("rb", buffering=0)
    except OSError as error:
        raise cannot_open(path, error) from error
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(file.close)
        if kind == "parquet" or (kind is None and is_regular(path) and _is_parquet(file)):
            return ParquetTable(path, fields)
        reader = TextReader(str(path), file, split_suffix(path)[1], kind, fields)
        on_failure.pop_all()
        return reader


def _is_parquet(file: BinaryIO) -> bool:
    start = file.read(len(PARQUET_MAGIC))
    file.seek(0)
    return start == PARQUET_MAGIC


def _require_columns(name: str, columns: Sequence[str], fields: Fields) -> None:
    """Check that a table has the columns that every record needs.

    Raises:
        RecordError: It does not.
    """
    for missing in (name for name in fields.required_columns if name not in columns):
        near = nearest_word(missing, columns)
        raise RecordError(
            f'{name} has no column "{missing}"; it has: {", ".join(columns)}.'
            f"{f' Did you mean {near}?' if near else ''}",
            tip=Message(
                "Rename a column; predict reads others with ",
                Argument("column", near or "NAME"),
                " and ",
                Argument("pair_column", "NAME"),
                ".",
            ),
        )
