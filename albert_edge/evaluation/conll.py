"""Labelled words: CoNLL files, one word and its label per line, and records with lists of both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from albert_edge.errors import RecordError
from albert_edge.evaluation.texts import read_tables
from albert_edge.records.fields import Fields
from albert_edge.records.formats import split_suffix
from albert_edge.records.paths import cannot_open

# Where a sentence is, for messages, its words, and a label for each.
Sentence = tuple[str, list[str], list[Any]]

_RECORDS = (".jsonl", ".parquet")
# What data sets call the labels of the words.
_LABELS = ("labels", "tags", "ner_tags")
_BLANK = " \t\r\n"
_SPACES = re.compile("[ \t]+")


def read_sentences(path: Path) -> Iterator[Sentence]:
    """Read the sentences of a file: records with "tokens" and "labels" each, or else CoNLL.

    Records are .jsonl and .parquet.

    A line of CoNLL has columns separated by tabs or, in a file without tabs, by spaces: first the
    word, last its label. Blank lines separate sentences. -DOCSTART- lines are skipped, and so are
    comments, which begin with # and do not have as many columns as the other lines.

    Raises:
        UsageError: The file cannot be opened.
        RecordError: A line or record is invalid; the message says which.
    """
    return _records(path) if split_suffix(path)[0] in _RECORDS else _conll(path)


def _records(path: Path) -> Iterator[Sentence]:
    for number, record in read_tables(path, Fields((), ("tokens",)), _RECORDS):
        place = f"{path}: record {number}"
        labels = next((record[name] for name in _LABELS if name in record), None)
        words = record["tokens"]
        if not isinstance(labels, list) or len(labels) != len(words):
            raise RecordError(
                f"{place} has no labels: it needs a list of as many as its {len(words)} tokens.",
                tip=f"Name it {', '.join(_LABELS[:-1])} or {_LABELS[-1]}.",
            )
        yield place, words, labels


def _conll(path: Path) -> Iterator[Sentence]:
    columns = _columns(path)
    words: list[str] = []
    labels: list[str] = []
    begin = 0
    for number, line in _lines(path):
        cells = _cells(line, columns, f"{path}: line {number}")
        if cells and not words:
            begin = number
        if cells:
            words.append(cells[0])
            labels.append(cells[-1])
        elif words and not line.strip(_BLANK):
            yield f"{path}: the sentence at line {begin}", words, labels
            words, labels = [], []
    if words:
        yield f"{path}: the sentence at line {begin}", words, labels


def _columns(path: Path) -> tuple[bool, int]:
    """Find whether tabs separate the columns, and how many columns there are."""
    for _, line in _lines(path):
        if line.strip(_BLANK) and not line.startswith(("#", "-DOCSTART-")):
            return "\t" in line, len(_split(line, "\t" in line))
    return True, 2


def _cells(line: str, columns: tuple[bool, int], place: str) -> list[str]:
    """Split a line into its columns; none if it has no word."""
    tabs, count = columns
    if not line.strip(_BLANK) or line.startswith("-DOCSTART-"):
        return []
    cells = _split(line, tabs)
    if line.startswith("#") and len(cells) != count:
        return []
    if len(cells) != count or count < 2 or not (cells[0] and cells[-1]):
        between = "a tab" if tabs else "a space"
        raise RecordError(
            f"{place} is not a word with a label: {line.strip(_BLANK)!r}.",
            tip=f"Lines have {max(count, 2)} columns with {between} between them, as the first "
            "has: first a word, last its label.",
        )
    return cells


def _split(line: str, tabs: bool) -> list[str]:
    if tabs:
        return [cell.strip(_BLANK) for cell in line.rstrip("\r\n").split("\t")]
    return _SPACES.split(line.strip(_BLANK))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        file: TextIO = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise cannot_open(path, error) from error
    number = 0
    with file:
        try:
            for number, line in enumerate(file, 1):  # where the next one fails
                yield number, line
        except UnicodeDecodeError as error:
            raise RecordError(
                f"{path}: after line {number} there is text that is not UTF-8: {error.reason}.",
                tip="Save the file as UTF-8.",
            ) from error
