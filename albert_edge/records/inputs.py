"""Open files of records: .txt, .jsonl, .csv and .tsv, and stdin."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from albert_edge.errors import RecordError, UsageError
from albert_edge.records.fields import TEXT_OR_PAIR, Fields, Record
from albert_edge.records.rows import Row

# Tab-separated files hold texts without quoting.
TSV: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}

# A byte that is not UTF-8 becomes a lone surrogate, so that reading continues and an error can
# name its record. A byte order mark is skipped.
_DECODING = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}


@dataclass(frozen=True, slots=True)
class Inputs:
    """Opened files of records.

    Attributes:
        fields: The fields that every record must have.
        total_bytes: The size of all files as they are stored; None if it is unknown.
        columns: The columns of all files; None if they are not known before the first record.
        schema: The pyarrow.Schema of all files, if they are Parquet; else None.
    """

    fields: Fields
    total_bytes: int | None
    columns: tuple[str, ...] | None
    schema: Any
    _parts: tuple[tuple[str, Iterator[Any]], ...]

    def rows(self, skip: int = 0) -> Iterator[Row]:
        """Read the records, file by file.

        Args:
            skip: How many records at the start are left out, without being checked.

        Yields:
            Each record; or its error, if it cannot be read and the next one can.

        Raises:
            RecordError: A file is damaged in such a way that what follows cannot be read.
        """
        for place, records in self._parts:
            for row in _checked(place, records, self.fields):
                if skip:
                    skip -= 1
                else:
                    yield row


@contextlib.contextmanager
def open_inputs(
    paths: Sequence[Path | str], fields: Fields, *, input_format: str | None = None
) -> Iterator[Inputs]:
    """Open files of records.

    Args:
        paths: .txt has one text per line; .jsonl one object with the fields per line; .csv and .tsv
            have a header with those columns. "-" is stdin.
        fields: The fields that every record must have.
        input_format: The format; by default that of the name.

    Yields:
        The files, in the order of `paths`.

    Raises:
        UsageError: A file cannot be opened, or its format cannot store the fields.
    """
    csv.field_size_limit(2**31 - 1)  # a text may be longer than csv's default of 128 kB
    with contextlib.ExitStack() as stack:
        parts = []
        for path in map(Path, paths):
            if str(path) == "-":
                # Read as UTF-8 like a file, whatever the encoding of the terminal.
                stdin = io.TextIOWrapper(sys.stdin.buffer, **_DECODING)  # type: ignore[arg-type]
                stack.callback(stdin.detach)
                lines = _lines(stdin) if fields.bare else _json_lines(stdin)
                parts.append(("stdin: record", lines))
                continue
            read = _reader(path, fields)
            try:
                file = stack.enter_context(path.open(**_DECODING))  # type: ignore[call-overload]
            except OSError as error:
                raise cannot_open(path, error) from error
            parts.append((f"{path}: record", read(file)))
        yield Inputs(fields, None, None, None, tuple(parts))


def given_inputs(texts: Sequence[str], fields: Fields) -> Inputs:
    """Return records that are given as arguments.

    Args:
        texts: The texts; objects as in .jsonl if an item is not a single text.
        fields: The fields that every record must have.
    """
    parse = _record if fields.bare else json.loads
    return Inputs(fields, None, None, None, (("argument", map(parse, texts)),))


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


def cannot_open(path: Path, error: OSError) -> UsageError:
    """Build the error about a file that cannot be opened."""
    return UsageError(
        f"{path} cannot be opened: {error.strerror}.", tip="Check its name and permissions."
    )


def _reader(path: Path, fields: Fields) -> Callable[[TextIO], Iterator[Any]]:
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise UsageError(
            f"{path} has an unsupported file format.", tip=f"Name it {', '.join(_READERS)}."
        )
    fitting = [".jsonl"] if fields.lists else [".jsonl", ".csv", ".tsv"]
    if not fields.bare and suffix not in fitting:
        raise UsageError(
            f"A {suffix} file cannot hold {' and '.join(fields.needed)}.",
            tip=f"Give {' or '.join(fitting)} with these fields, such as {fields.example}",
        )
    return _READERS[suffix]


def _record(text: str) -> Record:
    return {"text": text}


def _lines(file: TextIO) -> Iterator[Record]:
    for line in file:
        yield _record(line.rstrip("\r\n"))


def _json_lines(file: TextIO) -> Iterator[Any]:
    for line in file:
        if line.strip():
            yield json.loads(line)


_READERS: dict[str, Callable[[TextIO], Iterator[Any]]] = {
    ".txt": _lines,
    ".jsonl": _json_lines,
    ".csv": csv.DictReader,
    ".tsv": partial(csv.DictReader, **TSV),
}


def _checked(place: str, records: Iterator[Any], fields: Fields) -> Iterator[Row]:
    tip = "Correct it, or take it out."
    if not fields.bare:
        tip = f"Correct it, or take it out; one looks like {fields.example}"
    number = 0
    while True:
        number += 1
        try:
            record = next(records)
        except StopIteration:
            return
        except (ValueError, RecursionError, csv.Error) as error:
            raise RecordError(f"{place} {number} cannot be read: {error}", tip=tip) from error
        if fault := fields.fault(record):
            yield Row(number, None, RecordError(f"{place} {number} {fault}.", tip=tip), 0)
        else:
            yield Row(number, record, None, 0)
