"""Answers out, to stdout or as .jsonl, .csv and .tsv, one at a time."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from albert_edge.cli.printing import SCHEMA_VERSION
from albert_edge.errors import InputError, UsageError
from albert_edge.records import TSV, Record

Write = Callable[[Record, Any], None]

_SUFFIXES = (".jsonl", ".csv", ".tsv")


@contextlib.contextmanager
def open_answers(
    path: Path | None, *, as_json: bool, about: Mapping[str, Any], shown: Sequence[str]
) -> Iterator[Write]:
    """Open where answers go.

    Args:
        path: .jsonl gets a record a line with the answer as "prediction"; .csv and .tsv get the
            record's columns and those of the best answer. None is stdout.
        as_json: Whether stdout gets one JSON document instead of lines.
        about: What that document says before the answers.
        shown: The fields of a record that a line on stdout has after the answer.

    Yields:
        What writes a record and its answer.

    Raises:
        UsageError: The file cannot be opened or has another suffix.
    """
    if path is None:
        lines = contextlib.nullcontext(_line_printer(shown))
        with _json_document(about) if as_json else lines as write:
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
def _json_document(about: Mapping[str, Any]) -> Iterator[Write]:
    """One JSON document on stdout, written as the answers come."""
    separator = "\n"

    def write(record: Record, answer: Any) -> None:
        nonlocal separator
        item = _json({**record, "prediction": answer})
        sys.stdout.write(f"{separator}    {item}")
        separator = ",\n"

    head = json.dumps({"schema_version": SCHEMA_VERSION, **about}, indent=2).removesuffix("\n}")
    sys.stdout.write(f'{head},\n  "predictions": [')
    yield write
    sys.stdout.write("\n  ]\n}\n")


def _line_printer(shown: Sequence[str]) -> Write:
    def write(record: Record, answer: Any) -> None:
        ranked = [f"{_one_line(_name(entry))} {entry['score']:.4f}" for entry in _ranked(answer)]
        told = "  ".join(ranked) or _json(answer)
        # Whoever reads us may wait for this very answer.
        print(told, *(_one_line(record[field]) for field in shown), sep="\t", flush=True)

    return write


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


def _json_line_writer(file: TextIO) -> Write:
    def write(record: Record, answer: Any) -> None:
        file.write(_json({**record, "prediction": answer}) + "\n")

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
    ranked = _ranked(answer)
    if not ranked:
        raise UsageError(
            f"These answers are no rows of a {suffix} table.", tip="Write them as .jsonl."
        )
    best = ranked[0]
    columns = {f"predicted_{key}" if key in record else key: best[key] for key in best}
    return {key: _cell(value) for key, value in {**record, **columns}.items()}


def _cell(value: Any) -> Any:
    return _json(value) if isinstance(value, list | dict) else value


def _ranked(answer: Any) -> list[dict[str, Any]]:
    """The answers to an item as a whole, best first; none if the task answers its parts."""
    if isinstance(answer, dict) and {"labels", "scores"} <= answer.keys():  # as zero-shot has them
        pairs = zip(answer["labels"], answer["scores"], strict=True)
        return [{"label": label, "score": score} for label, score in pairs]
    entries = answer if isinstance(answer, list) else [answer]
    return [entry for entry in entries if isinstance(entry, dict) and _name(entry) is not None]


def _name(entry: dict[str, Any]) -> Any:
    """What an answer says, a label or words of the text; None if it says neither."""
    return entry.get("label", entry.get("answer"))


def _json(value: Any) -> str:
    """One line of JSON; arrays are lists."""
    return json.dumps(value, ensure_ascii=False, default=lambda array: array.tolist())
