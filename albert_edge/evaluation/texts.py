"""Reading labelled texts: what the scorers that read records share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar

from albert_edge.errors import RecordError, UsageError
from albert_edge.evaluation.scorer import Scorer
from albert_edge.records.fields import Fields, Record
from albert_edge.records.formats import split_suffix
from albert_edge.records.inputs import read_records
from albert_edge.records.labels import find_label
from albert_edge.runtime.tasks.text_classification import TextClassification
from albert_edge.runtime.text import TextEncoder

_FIELDS = TextClassification.fields
_TABLES = (".jsonl", ".csv", ".tsv", ".parquet")
# Labels of a model that an error lists.
_MOST = 100


class TextScorer(Scorer):
    """Scores texts or pairs of texts, each with a label of some kind."""

    task: ClassVar[str] = "text-classification"

    def records(self, path: Path) -> Iterator[tuple[int, Record, Any, str]]:
        """Read the number of each record, the record, the pipeline's item and the text to show."""
        for number, record in read_tables(path, _FIELDS):
            yield number, record, _FIELDS.item(record), joined(record)

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        texts = (item,) if isinstance(item, str) else (item["text"], item["text_pair"])
        return is_over(encoder, *texts)


def read_tables(
    path: Path, fields: Fields, suffixes: Sequence[str] = _TABLES
) -> Iterator[tuple[int, Record]]:
    """Read the records of a file with their numbers, counted from 1.

    Raises:
        UsageError: The file cannot be opened or has another suffix.
        RecordError: A record cannot be read or lacks a field; the message says which.
    """
    if split_suffix(path)[0] not in suffixes:
        raise UsageError(
            f"{path}: unsupported file format for this task.",
            tip=f"Give {' or '.join(suffixes)}, with a record such as {fields.example}",
        )
    with read_records(path, fields) as records:
        yield from enumerate(records, 1)


def read_label(path: Path, number: int, label: Any, known: Sequence[str]) -> int:
    """Find the class of a label given by its name or its number.

    Raises:
        RecordError: There is no such label.
    """
    place = find_label(label, known)
    if place is None:
        raise unknown_label(f"{path}: record {number}", label, known)
    return place


def unknown_label(place: str, label: Any, known: Sequence[str]) -> RecordError:
    """Build the error about a label that the model does not have."""
    what = "has no label" if label is None else f"has the label {str(label)!r}"
    rest = f" and {len(known) - _MOST} more" if len(known) > _MOST else ""
    return RecordError(
        f"{place} {what}; the model's labels are: {', '.join(known[:_MOST])}{rest}.",
        tip="Name labels as the model does, or by their numbers from 0.",
    )


def read_number(path: Path, number: int, record: Record, field: str) -> float:
    """Read a number of a record.

    Raises:
        RecordError: It is missing or not a finite number.
    """
    value = record.get(field)
    try:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            parsed = float(value)
            if isfinite(parsed):
                return parsed
    except (ValueError, OverflowError):
        pass
    raise RecordError(
        f"{path}: record {number} has the {field} {value!r}, which is not a number.",
        tip=f'Every record needs a field or column "{field}" with a number.',
    )


def joined(record: Record) -> str:
    """Join a text and its pair, if it has one, for a report."""
    pair = record.get("text_pair")
    return f"{record['text']} | {pair}" if pair else str(record["text"])


def is_over(encoder: TextEncoder, text: str, pair: str | None = None) -> bool:
    """Whether a text or a pair has more tokens than the model takes."""
    return len(encoder.tokenizer.encode(text, pair)) > encoder.max_length
