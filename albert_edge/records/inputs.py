"""Open the inputs that a caller names, and read their records row by row."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from albert_edge.errors import RecordError, UsageError
from albert_edge.records.fields import TEXT_OR_PAIR, Fields, Record
from albert_edge.records.paths import STDIN, expand
from albert_edge.records.reader import GivenReader, Reader, is_regular, open_reader
from albert_edge.records.rows import Damaged, Row, Unreadable


@dataclass(frozen=True, slots=True)
class Input:
    """One input.

    Attributes:
        name: What it is called in errors.
        place: What precedes the number of a record in errors.
        size: Its bytes as they are stored; None if that is unknown.
        columns: The columns of all its records; None if they are not known.
        schema: The pyarrow.Schema, if it is Parquet.
        open: Opens its reader.
    """

    name: str
    place: str
    size: int | None
    columns: tuple[str, ...] | None
    schema: Any
    open: Callable[[], Reader]


class Inputs:
    """Opened inputs. Made by `open_inputs` and `given_inputs`.

    Attributes:
        fields: The fields that every record must have.
        names: The files, in the order in which they are read.
        total_bytes: The size of all files as they are stored; None if it is unknown.
    """

    def __init__(self, inputs: Sequence[Input], fields: Fields) -> None:
        self._inputs = tuple(inputs)
        self.fields = fields
        self.names = tuple(source.name for source in inputs)
        sizes = [source.size for source in inputs if source.size is not None]
        self.total_bytes = sum(sizes) if len(sizes) == len(inputs) else None

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The columns of all records, in the order of the first file.

        None if they are not known before the records, as in JSON Lines.

        Raises:
            UsageError: The files have different columns.
        """
        first, columns = "", tuple[str, ...]()
        for source in self._inputs:
            if source.columns is None:
                return None
            if not columns:
                first, columns = source.name, source.columns
            if source.columns and {*source.columns} != {*columns}:
                raise UsageError(
                    f"{first} and {source.name} have different columns: {', '.join(columns)}; "
                    f"{', '.join(source.columns)}.",
                    tip="Write the answers as .jsonl, or one table for each input.",
                )
        return columns

    @property
    def schema(self) -> Any:
        """The pyarrow.Schema of all files, or None if one is not Parquet.

        Raises:
            UsageError: The files have different columns, or columns of different types.
        """
        first, *others = self._inputs
        if any(source.schema is None for source in self._inputs) or self.columns is None:
            return None
        for other in others:
            for name in first.columns or ():
                kinds = [source.schema.field(name).type for source in (first, other)]
                if kinds[0] != kinds[1]:
                    raise UsageError(
                        f'The column "{name}" is {kinds[0]} in {first.name} and {kinds[1]} in '
                        f"{other.name}.",
                        tip="Write the answers as .jsonl, or one table for each input.",
                    )
        return first.schema

    def rows(self, skip: int = 0) -> Iterator[Row]:
        """Read the records, file by file.

        Args:
            skip: How many records at the start are left out, without being checked.

        Yields:
            Each record; with an error if it is invalid and the next one can be read.

        Raises:
            RecordError: What follows in a file cannot be read, or cannot be trusted.
        """
        before = 0
        for source in self._inputs:
            with contextlib.closing(_opened(source)) as reader:
                number = reader.seek(skip)
                skip -= number
                try:
                    for entry in reader:
                        number += 1
                        if skip:
                            skip -= 1
                            continue
                        error = self._error(source, number, entry)
                        record = entry if isinstance(entry, dict) else None
                        read = before + reader.bytes_read
                        yield Row(number, record, error, read, source.place)
                except Damaged as damage:
                    raise _describe(source, damage, number + 1) from damage
                before += source.size or reader.bytes_read

    def _error(self, source: Input, number: int, entry: Record | Unreadable) -> RecordError | None:
        if type(entry) is Unreadable:
            reason, tip = entry
        elif fault := self.fields.fault(entry):
            reason, tip = fault, None
        else:
            return None
        if tip is None:
            tip = "Correct it, or take it out."
            if not self.fields.bare:
                tip = f"Correct it, or take it out; one looks like {self.fields.example}"
        return RecordError(f"{source.place} {number} {reason}.", tip=tip)


@contextlib.contextmanager
def open_inputs(
    paths: Sequence[Path | str], fields: Fields, *, input_format: str | None = None
) -> Iterator[Inputs]:
    """Open files of records.

    .txt has one text per line; .jsonl one object with the fields per line; .csv, .tsv and .parquet
    have columns of their names. Each but the last may be compressed, as .gz or .zst.

    Args:
        paths: Files and patterns, whose files are sorted by name; "-" is stdin.
        fields: The fields that every record must have.
        input_format: "txt", "jsonl", "csv", "tsv" or "parquet"; by default that of each name. The
            format of stdin and of files of another name is found by their first line.

    Yields:
        The inputs, in the order of `paths`.

    Raises:
        UsageError: A file cannot be opened, a pattern matches none, the format of an input is not
            clear, or cannot hold the fields.
        RecordError: A header cannot be read or lacks a column.
        MissingExtraError: A file is Parquet or Zstandard, and pyarrow is not installed.
    """
    with contextlib.ExitStack() as stack:
        inputs = [_open_input(path, fields, input_format, stack) for path in expand(paths)]
        yield Inputs(inputs, fields)


def given_inputs(texts: Sequence[str], fields: Fields) -> Inputs:
    """Return records that are given as arguments.

    Args:
        texts: The texts; objects as in .jsonl if an item is not a single text.
        fields: The fields that every record must have.
    """
    reader = GivenReader(texts, fields)
    return Inputs([Input("the texts", "argument", None, None, None, lambda: reader)], fields)


@contextlib.contextmanager
def read_records(path: Path, fields: Fields = TEXT_OR_PAIR) -> Iterator[Iterator[Record]]:
    """Read the records of a file, all of which must be valid.

    Args:
        path: The file, as in `open_inputs`.
        fields: The fields that every record must have.

    Yields:
        The records. An invalid one raises RecordError with its number, counted from 1.

    Raises:
        UsageError: The file cannot be opened, or its format cannot store the fields.
    """
    with open_inputs([path], fields) as inputs:
        yield valid_records(inputs.rows())


def valid_records(rows: Iterator[Row]) -> Iterator[Record]:
    """Yield the records of rows.

    Raises:
        RecordError: A row has an error.
    """
    for row in rows:
        if row.error is not None:
            raise row.error
        assert row.record is not None
        yield row.record


def _open_input(
    path: Path, fields: Fields, chosen: str | None, stack: contextlib.ExitStack
) -> Input:
    name = "stdin" if path == STDIN else str(path)
    try:
        reader = open_reader(path, fields, chosen)
    except Damaged as damage:
        raise RecordError(f"{name} {damage.reason}.", tip=damage.tip, where=path) from damage
    columns, schema = reader.columns, reader.schema
    if is_regular(path):  # and opened again when it is its turn
        reader.close()
        size = path.stat().st_size
        again = partial(open_reader, path, fields, chosen)
        return Input(name, f"{name}: record", size, columns, schema, again)
    stack.callback(reader.close)
    return Input(name, f"{name}: record", None, columns, schema, lambda: reader)


def _opened(source: Input) -> Reader:
    try:
        return source.open()
    except Damaged as damage:
        raise _describe(source, damage, 1) from damage


def _describe(source: Input, damage: Damaged, number: int) -> RecordError:
    place = source.name if damage.is_whole else f"{source.place} {number}"
    return RecordError(f"{place} {damage.reason}.", tip=damage.tip, where=source.name)
