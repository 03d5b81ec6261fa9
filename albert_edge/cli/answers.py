"""Answers out, to stdout or as .jsonl, .csv and .tsv, one at a time."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from albert_edge.cli.printing import SCHEMA_VERSION
from albert_edge.errors import InputError, UsageError
from albert_edge.records import TSV, Record

Write = Callable[[Record, Any], None]

_SUFFIXES = (".jsonl", ".csv", ".tsv")


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
        with _json_document() if as_json else contextlib.nullcontext(_print_line) as write:
            yield write
        return
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(
            f"{path} is none of the formats known here.", tip=f"Name it {', '.join(_SUFFIXES)}."
        )
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be opened: {error.strerror}.", tip="Check its name and permissions."
        ) from error
    with file:
        yield _json_line_writer(file) if suffix == ".jsonl" else _table_writer(file, suffix)


@contextlib.contextmanager
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
    labels = _labels(answer)
    told = "  ".join(f"{entry['label']} {entry['score']:.4f}" for entry in labels)
    told = told or json.dumps(answer, ensure_ascii=False)
    text = " ".join(record["text"].splitlines())
    print(f"{told}\t{text}", flush=True)  # whoever reads us may wait for this very answer


def _json_line_writer(file: TextIO) -> Write:
    def write(record: Record, answer: Any) -> None:
        file.write(json.dumps({**record, "prediction": answer}, ensure_ascii=False) + "\n")

    return write


def _table_writer(file: TextIO, suffix: str) -> Write:
    dialect: dict[str, Any] = {} if suffix == ".csv" else TSV
    writer: csv.DictWriter[str] | None = None

    def write(record: Record, answer: Any) -> None:
        nonlocal writer
        row = _row(record, answer, suffix)
        if writer is None:
            writer = csv.DictWriter(file, list(row), **dialect)
            writer.writeheader()
        try:
            writer.writerow(row)
        except (csv.Error, ValueError) as error:  # a tab in a text; a field the first row had not
            raise InputError(
                f"no row of a {suffix} table: {error}", tip="Write the answers as .jsonl."
            ) from error

    return write


def _row(record: Record, answer: Any, suffix: str) -> Record:
    """The record's columns and the best answer's, which never take a column of the record's."""
    labels = _labels(answer)
    if not labels:
        raise UsageError(
            f"These answers are no rows of a {suffix} table.", tip="Write them as .jsonl."
        )
    best = labels[0]
    columns = {f"predicted_{key}" if key in record else key: best[key] for key in best}
    return {**record, **columns}


def _labels(answer: Any) -> list[dict[str, Any]]:
    """The labels a text as a whole was given, best first; none if the task gives it none."""
    entries = answer if isinstance(answer, list) else [answer]
    return [entry for entry in entries if isinstance(entry, dict) and "label" in entry]
