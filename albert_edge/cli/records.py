"""Texts in and answers out as .txt, .jsonl, .csv and .tsv, one record at a time."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TextIO

from albert_edge.cli.printing import SCHEMA_VERSION
from albert_edge.errors import InputError, UsageError

Record = dict[str, Any]
Write = Callable[[Record, Any], None]

# Tab-separated files hold their texts as they are; a quote in them is a quote.
_TSV: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
_DIALECTS: dict[str, dict[str, Any]] = {".csv": {}, ".tsv": _TSV}


@contextlib.contextmanager
def read_records(path: Path | None, texts: list[str]) -> Iterator[Iterator[Record]]:
    """Open a file of texts, or take the texts of the command line.

    Args:
        path: .txt has a text a line; .jsonl an object with "text" and perhaps "text_pair" a line;
            .csv and .tsv a header with those columns. "-" reads lines from stdin.
        texts: What to use where there is no file.

    Yields:
        The records, each with a "text".

    Raises:
        UsageError: The file cannot be opened or has another suffix.
    """
    if path is None:
        yield ({"text": text} for text in texts)
    elif str(path) == "-":
        yield _lines(sys.stdin)
    else:
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise _unknown(path, _READERS)
        csv.field_size_limit(2**31 - 1)  # a text may be longer than csv's default of 128 kB
        with _opened(path, "r") as file:
            yield _checked(path, reader(file, path.suffix.lower()))


@contextlib.contextmanager
def open_answers(path: Path | None, *, as_json: bool) -> Iterator[Write]:
    """Open where answers go.

    Args:
        path: .jsonl gets a record a line with the answer as "prediction"; .csv and .tsv get the
            record's columns and those of the best answer. None is stdout.
        as_json: Whether stdout gets one JSON document instead of lines.

    Yields:
        What writes a record and its answer.

    Raises:
        UsageError: The file cannot be opened or has another suffix.
    """
    if path is None:
        yield from _json_document() if as_json else iter([_print_line])
        return
    if path.suffix.lower() not in (".jsonl", *_DIALECTS):
        raise _unknown(path, (".jsonl", *_DIALECTS))
    with _opened(path, "w") as file:
        if path.suffix.lower() == ".jsonl":
            yield lambda record, answer: _write_line(file, {**record, "prediction": answer})
        else:
            yield _table_writer(file, path.suffix.lower())


def _lines(file: TextIO, suffix: str = "") -> Iterator[Record]:
    for line in file:
        yield {"text": line.rstrip("\r\n")}


def _json_lines(file: TextIO, suffix: str) -> Iterator[Record]:
    for line in file:
        if line.strip():
            yield json.loads(line)


def _table_rows(file: TextIO, suffix: str) -> Iterator[Record]:
    yield from csv.DictReader(file, **_DIALECTS[suffix])


_READERS = {".txt": _lines, ".jsonl": _json_lines, ".csv": _table_rows, ".tsv": _table_rows}


def _checked(path: Path, records: Iterator[Any]) -> Iterator[Record]:
    """The records of a file; what is wrong with one names its place."""
    number = 0
    while True:
        number += 1
        try:
            record = next(records, None)
        except (ValueError, csv.Error) as error:  # UnicodeDecodeError is a ValueError
            raise InputError(
                f"{path}: record {number} cannot be read: {error}", tip="Correct it, as UTF-8."
            ) from error
        if record is None:
            return
        if not isinstance(record, dict) or not isinstance(record.get("text"), str):
            raise InputError(
                f"{path}: record {number} has no text.",
                tip='Every record needs a field or column "text".',
            )
        yield record


def _json_document() -> Iterator[Write]:
    """One JSON document on stdout, written as the answers come."""
    separator = "\n"

    def write(record: Record, answer: Any) -> None:
        nonlocal separator
        item = json.dumps({**record, "prediction": answer}, ensure_ascii=False)
        sys.stdout.write(f"{separator}    {item}")
        separator = ",\n"

    sys.stdout.write(f'{{\n  "schema_version": {SCHEMA_VERSION},\n  "predictions": [')
    yield write
    sys.stdout.write("\n  ]\n}\n")


def _print_line(record: Record, answer: Any) -> None:
    entries = answer if isinstance(answer, list) else [answer]
    if entries and isinstance(entries[0], dict):
        told = "  ".join(f"{entry['label']} {entry['score']:.4f}" for entry in entries)
    else:
        told = json.dumps(answer)
    print(f"{told}\t{record['text']}", flush=sys.stdout.isatty())


def _write_line(file: TextIO, record: Record) -> None:
    file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _table_writer(file: TextIO, suffix: str) -> Write:
    writer: csv.DictWriter[str] | None = None

    def write(record: Record, answer: Any) -> None:
        nonlocal writer
        best = answer[0] if isinstance(answer, list) else answer
        if not isinstance(best, dict):
            raise UsageError(
                f"These answers are no rows of a {suffix} table.", tip="Write them as .jsonl."
            )
        row = {**record, **best}
        if writer is None:
            dialect = {"quoting": csv.QUOTE_MINIMAL, "delimiter": "," if suffix == ".csv" else "\t"}
            writer = csv.DictWriter(file, list(row), **dialect)  # type: ignore[arg-type]
            writer.writeheader()
        writer.writerow(row)

    return write


@contextlib.contextmanager
def _opened(path: Path, mode: Literal["r", "w"]) -> Iterator[TextIO]:
    try:
        file = path.open(mode, encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be opened: {error.strerror}.", tip="Check the path and its permissions."
        ) from error
    with file:
        yield file


def _unknown(path: Path, suffixes: Iterable[str]) -> UsageError:
    return UsageError(
        f"{path} is none of the formats known here.", tip=f"Name it {', '.join(suffixes)}."
    )
