"""Print answers one at a time: to stdout, or to a .jsonl, .csv or .tsv file."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from albert_edge.cli.error import ReportedError
from albert_edge.cli.printing import SCHEMA_VERSION, error_fields
from albert_edge.errors import AlbertEdgeError, InputError, UsageError
from albert_edge.records.fields import Record
from albert_edge.records.table import TSV

Write = Callable[[Record, Any], None]

_SUFFIXES = (".jsonl", ".csv", ".tsv")
# The fields of which one names what was found, in a whole item and in a part of it.
_WHOLE, _PART = ("label", "answer"), ("entity_group", "entity")


@contextlib.contextmanager
def open_answers(
    path: Path | None, *, as_json: bool, about: Mapping[str, Any], shown: Sequence[str]
) -> Iterator[Write]:
    """Open the place answers are written to.

    Args:
        path: A .jsonl file has one record per line with the answer as "prediction"; .csv and .tsv
            have the record's columns and those of the best answer. None is stdout.
        as_json: Whether stdout gets one JSON document instead of lines.
        about: The fields of that document before the answers.
        shown: The fields of a record printed with an answer on stdout.

    Yields:
        A function that writes a record and its answer.

    Raises:
        UsageError: The file cannot be opened or has another suffix.
    """
    if path is None:
        printer = _block_printer if sys.stdout.isatty() else _line_printer
        lines = contextlib.nullcontext(printer(shown))
        with _json_document(about) if as_json else lines as write:
            yield write
        return
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(f"Unsupported file format: {path}.", tip=f"Use {', '.join(_SUFFIXES)}.")
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
    """Print a JSON document as the answers come; an error becomes its last field."""
    separator = "\n"

    def write(record: Record, answer: Any) -> None:
        nonlocal separator
        item = _json({**record, "prediction": answer})
        sys.stdout.write(f"{separator}    {item}")
        separator = ",\n"

    head = json.dumps({"schema_version": SCHEMA_VERSION, **about}, indent=2).removesuffix("\n}")
    sys.stdout.write(f'{head},\n  "predictions": [')
    try:
        yield write
    except AlbertEdgeError as error:
        sys.stdout.write(f'\n  ],\n  "error": {_json(error_fields(error))}\n}}\n')
        raise ReportedError(error) from error
    sys.stdout.write("\n  ]\n}\n")


def _line_printer(shown: Sequence[str]) -> Write:
    """Print a line per record, for programs: the answer, a tab, the text."""

    def write(record: Record, answer: Any) -> None:
        ranked = [f"{_one_line(_name(entry))} {entry['score']:.4f}" for entry in _ranked(answer)]
        answers = "  ".join(ranked) or _json(answer)
        # Flushed: the reader of a pipe may wait for this answer.
        print(answers, *(_one_line(record[field]) for field in shown), sep="\t", flush=True)

    return write


def _block_printer(shown: Sequence[str]) -> Write:
    """Print for people: the parts of an answer below its text, one per line."""
    write_line = _line_printer(shown)

    def write(record: Record, answer: Any) -> None:
        parts = _parts(answer)
        if len(parts) < 2 and not (parts and "word" in answer[0]):
            write_line(record, answer)
            return
        width = max(len(name) for name, *_ in parts)
        print(*(_one_line(record[field]) for field in shown), sep="\t")
        for name, score, word in parts:
            print(f"  {name:<{width}}  {score:.4f}  {word}".rstrip(), flush=True)

    return write


def _parts(answer: Any) -> list[tuple[str, float, str]]:
    """Split an answer into parts: name, score, and the word of the text, if any."""
    entries = answer if isinstance(answer, list) else []
    if not (entries and all(isinstance(entry, dict) and "word" in entry for entry in entries)):
        entries = _ranked(answer)
    return [
        (
            _one_line(_name(entry)),
            entry["score"],
            _one_line(entry.get("word", "")),
        )
        for entry in entries
    ]


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
        except (csv.Error, ValueError) as error:
            # A tab in a text, or a field that the first row lacks.
            raise InputError(
                f"It does not fit a {suffix} table: {error}", tip="Write the answers as .jsonl."
            ) from error

    return write


def _row(record: Record, answer: Any, suffix: str) -> Record:
    """Join the columns of the record and the best answer; rename the answer's if both have it."""
    ranked = _ranked(answer)
    if not ranked:
        raise UsageError(f"These answers do not fit a {suffix} table.", tip="Write them as .jsonl.")
    best = ranked[0]
    columns = {f"predicted_{key}" if key in record else key: best[key] for key in best}
    return {key: _cell(value) for key, value in {**record, **columns}.items()}


def _cell(value: Any) -> Any:
    return _json(value) if isinstance(value, list | dict) else value


def _ranked(answer: Any) -> list[dict[str, Any]]:
    """List the answers to a whole item, best first; none if the task answers for its parts."""
    if isinstance(answer, dict) and {"labels", "scores"} <= answer.keys():
        # An answer of zero-shot classification.
        pairs = zip(answer["labels"], answer["scores"], strict=True)
        return [{"label": label, "score": score} for label, score in pairs]
    entries = answer if isinstance(answer, list) else [answer]
    return [entry for entry in entries if isinstance(entry, dict) and {*_WHOLE} & entry.keys()]


def _name(entry: dict[str, Any]) -> str:
    """Return the label or the words of an answer."""
    return next(str(entry[name]) for name in (*_PART, *_WHOLE) if name in entry)


def _json(value: Any) -> str:
    """Format as one line of JSON, arrays as lists."""
    return json.dumps(value, ensure_ascii=False, default=lambda array: array.tolist())
