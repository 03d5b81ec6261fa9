"""Texts in, as .txt, .jsonl, .csv and .tsv, one record at a time."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from albert_edge.errors import InputError, UsageError

Record = dict[str, Any]

# Tab-separated files hold their texts as they are; a quote in them is a quote.
TSV: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}

# A byte that is no UTF-8 becomes a lone surrogate, so that the record it is in can be named. A
# byte order mark is no part of the first text.
_DECODING = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}


@contextlib.contextmanager
def read_records(path: Path | None, texts: list[str]) -> Iterator[Iterator[Record]]:
    """Open a file of texts, or take the texts of the command line.

    Args:
        path: .txt has a text a line; .jsonl an object with "text" and perhaps "text_pair" a line;
            .csv and .tsv a header with those columns. "-" reads lines from stdin.
        texts: What to use where there is no file.

    Yields:
        The records, each with a "text". One that cannot be used raises InputError, which names it
        by its number, counted from 1.

    Raises:
        UsageError: The file cannot be opened or has another suffix.
    """
    if path is None:
        yield _checked("argument", ({"text": text} for text in texts))
    elif str(path) == "-":
        # Lines come as they are typed or piped in, whatever encoding the terminal has.
        stdin = io.TextIOWrapper(sys.stdin.buffer, **_DECODING)  # type: ignore[arg-type]
        try:
            yield _checked("stdin: record", _lines(stdin))
        finally:
            stdin.detach()
    else:
        read = _READERS.get(path.suffix.lower())
        if read is None:
            raise UsageError(
                f"{path} is none of the formats known here.", tip=f"Name it {', '.join(_READERS)}."
            )
        csv.field_size_limit(2**31 - 1)  # a text may be longer than csv's default of 128 kB
        try:
            file = path.open(**_DECODING)  # type: ignore[call-overload]
        except OSError as error:
            raise UsageError(
                f"{path} cannot be opened: {error.strerror}.", tip="Check its name and permissions."
            ) from error
        with file:
            yield _checked(f"{path}: record", read(file))


def _lines(file: TextIO) -> Iterator[Record]:
    for line in file:
        yield {"text": line.rstrip("\r\n")}


def _json_lines(file: TextIO) -> Iterator[Any]:
    for line in file:
        if line.strip():
            yield json.loads(line)


def _csv_rows(file: TextIO) -> Iterator[Record]:
    yield from csv.DictReader(file)


def _tsv_rows(file: TextIO) -> Iterator[Record]:
    yield from csv.DictReader(file, **TSV)


_READERS: dict[str, Callable[[TextIO], Iterator[Any]]] = {
    ".txt": _lines,
    ".jsonl": _json_lines,
    ".csv": _csv_rows,
    ".tsv": _tsv_rows,
}


def _checked(place: str, records: Iterator[Any]) -> Iterator[Record]:
    number = 0
    while True:
        number += 1
        try:
            record = next(records, None)
        except (ValueError, RecursionError, csv.Error) as error:
            raise InputError(
                f"{place} {number} cannot be read: {error}", tip="Correct it, or take it out."
            ) from error
        if record is None:
            return
        fault = _fault(record)
        if fault:
            raise InputError(f"{place} {number} {fault}.", tip="Correct it, or take it out.")
        yield record


def _fault(record: Any) -> str | None:
    """What keeps a record from being used."""
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        return 'has no text: every record needs a field or column "text"'
    if not isinstance(record.get("text_pair"), str | None):
        return "has a text_pair that is no text"
    if None in record:  # where csv puts what has no column
        return "has more cells than the header; a text with the separator in it needs quotes"
    if any("\udc80" <= letter <= "\udcff" for letter in record["text"]):
        return "is not UTF-8"
    return None
