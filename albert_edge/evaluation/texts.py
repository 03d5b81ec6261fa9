"""Records of labelled texts, and what every subject that reads them shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from albert_edge.errors import RecordError, UsageError
from albert_edge.records import Fields, Record, find_label, read_records
from albert_edge.runtime.text import TextEncoder

# Labels of a model that an error lists.
_MOST = 100


def read_tables(
    path: Path, fields: Fields, suffixes: Sequence[str] = (".jsonl", ".csv", ".tsv")
) -> Iterator[tuple[int, Record]]:
    """The records of a file with their numbers, counted from 1.

    Raises:
        UsageError: The file cannot be opened or has another suffix.
        RecordError: A record cannot be read or lacks a field; the message says which.
    """
    if path.suffix.lower() not in suffixes:
        raise UsageError(
            f"{path} is none of the formats that hold such data.",
            tip=f"Give {' or '.join(suffixes)}, with a record such as {fields.example}",
        )
    with read_records(path, [], fields) as records:
        yield from enumerate(records, 1)


def read_label(path: Path, number: int, label: Any, known: Sequence[str]) -> int:
    """The class of a label given by its name or its number.

    Raises:
        RecordError: There is no such label.
    """
    found = find_label(label, known)
    if found is None:
        raise unknown_label(f"{path}: record {number}", label, known)
    return found


def unknown_label(place: str, label: Any, known: Sequence[str]) -> RecordError:
    """The error of a label that is none of the model's."""
    what = "has no label" if label is None else f"has the label {str(label)!r}"
    rest = f" and {len(known) - _MOST} more" if len(known) > _MOST else ""
    return RecordError(
        f"{place} {what}; the model's labels are: {', '.join(known[:_MOST])}{rest}.",
        tip="Name labels as the model does, or by their numbers from 0.",
    )


def read_number(path: Path, number: int, record: Record, field: str) -> float:
    """A number of a record.

    Raises:
        RecordError: It is missing, or no finite number.
    """
    value = record.get(field)
    try:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            found = float(value)
            if abs(found) < float("inf"):
                return found
    except (ValueError, OverflowError):
        pass
    raise RecordError(
        f"{path}: record {number} has the {field} {value!r}, which is no number.",
        tip=f'Every record needs a field or column "{field}" with a number.',
    )


def joined(record: Record) -> str:
    """A text, or both of a pair, for people."""
    pair = record.get("text_pair")
    return f"{record['text']} | {pair}" if pair else str(record["text"])


def is_over(encoder: TextEncoder, text: str, pair: str | None = None) -> bool:
    """Whether a text or a pair has more tokens than the model takes."""
    return len(encoder.tokenizer.encode(text, pair)) > encoder.max_length
