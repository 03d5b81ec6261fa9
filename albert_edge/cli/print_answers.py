"""Print answers to stdout, one at a time."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from albert_edge.architecture.heads import LAYERS
from albert_edge.cli.error import ReportedError
from albert_edge.cli.printing import SCHEMA_VERSION, error_fields, show, show_fields
from albert_edge.errors import AlbertEdgeError
from albert_edge.labelling.answer_log import Outcome
from albert_edge.labelling.columns import JsonLayout, ranked
from albert_edge.labelling.formats.text import to_json
from albert_edge.plain import plain
from albert_edge.records.rows import Row

Write = Callable[[Row, Outcome], None]

# The fields of which one names what was found, in a part of an item and in a whole one.
_NAMES = ("entity_group", "entity", "label", "answer")


def print_lines(shown: Sequence[str]) -> Write:
    """Print the answers for people on a terminal, or a line per record for programs.

    Args:
        shown: The fields of a record printed with its answer.

    Returns:
        A function that prints a record and its answer.
    """
    return _block_printer(shown) if sys.stdout.isatty() else _line_printer(shown)


@contextlib.contextmanager
def print_document(about: Mapping[str, Any], layout: JsonLayout) -> Iterator[Write]:
    """Print one JSON document as the answers come; an error becomes its last field.

    Args:
        about: The fields before the answers.
        layout: The fields of a record and its answer.

    Yields:
        A function that prints a record and its answer.
    """
    separator = "\n"

    def write(row: Row, outcome: Outcome) -> None:
        nonlocal separator
        sys.stdout.write(f"{separator}    {to_json(layout.row(row, outcome))}")
        separator = ",\n"

    head = json.dumps({"schema_version": SCHEMA_VERSION, **about}, indent=2).removesuffix("\n}")
    sys.stdout.write(f'{head},\n  "predictions": [')
    try:
        yield write
    except AlbertEdgeError as error:
        sys.stdout.write(f'\n  ],\n  "error": {to_json(error_fields(error))}\n}}\n')
        raise ReportedError(error) from error
    sys.stdout.write("\n  ]\n}\n")


def _line_printer(shown: Sequence[str]) -> Write:
    """Print a line per record, for programs: the answer, a tab, the text."""

    def write(row: Row, outcome: Outcome) -> None:
        record = row.record or {}
        texts = [_one_line(record[field]) for field in shown if field in record]
        # Flushed: the reader of a pipe may wait for this answer.
        show_fields(_describe(outcome), *texts)

    return write


def _describe(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"ERROR {_one_line(outcome.error)}"
    entries = ranked(outcome.answer)
    words = [f"{_one_line(_name(entry))} {entry['score']:.4f}{_layers(entry)}" for entry in entries]
    return "  ".join(words) or to_json(outcome.answer)


def _layers(entry: dict[str, Any]) -> str:
    return f" (layers: {entry[LAYERS]})" if LAYERS in entry else ""


def _block_printer(shown: Sequence[str]) -> Write:
    """Print for people: the parts of an answer below its text, one per line."""
    write_line = _line_printer(shown)

    def write(row: Row, outcome: Outcome) -> None:
        record, answer = row.record or {}, outcome.answer
        parts = _parts(answer)
        if len(parts) < 2 and not (parts and "word" in answer[0]):
            write_line(row, outcome)
            return
        width = max(len(name) for name, *_ in parts)
        show_fields(*(_one_line(record[field]) for field in shown))
        for name, score, word in parts:
            show(f"  {name:<{width}}  {score:.4f}  {word}".rstrip(), flush=True)

    return write


def _parts(answer: Any) -> list[tuple[str, float, str]]:
    """Split an answer into parts: name, score, and the word of the text, if any."""
    entries = answer if isinstance(answer, list) else []
    if not (entries and all(isinstance(entry, dict) and "word" in entry for entry in entries)):
        entries = ranked(answer)
    return [
        (
            plain(_one_line(_name(entry))),
            entry["score"],
            (_one_line(entry.get("word", "")) + _layers(entry)).strip(),
        )
        for entry in entries
    ]


def _one_line(text: object) -> str:
    """Put a text on one line; a record that cannot be answered may hold another value instead."""
    return " ".join(str(text).splitlines())


def _name(entry: dict[str, Any]) -> str:
    """Return the label or the words of an answer."""
    return next(str(entry[name]) for name in _NAMES if name in entry)
