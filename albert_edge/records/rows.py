"""What reading a file gives: a row for each record, also for one that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from albert_edge.errors import Message, RecordError
from albert_edge.records.fields import Record


@dataclass(frozen=True, slots=True)
class Row:
    """A record, or why it cannot be answered.

    Attributes:
        number: Its number in its file, from 1.
        record: The record, with all its columns; None if it cannot be read.
        error: Why it is invalid, such as a field that is missing; None if it is valid.
        bytes_read: How many bytes of all inputs are read so far, compressed as they are stored.
        place: What precedes its number in errors.
    """

    number: int
    record: Record | None
    error: RecordError | None
    bytes_read: int
    place: str = "Record"

    @property
    def name(self) -> str:
        """What the record is called in errors."""
        return f"{self.place} {self.number}"


class Unreadable(NamedTuple):
    """A record that cannot be read, in a file in which the next one can.

    Attributes:
        reason: What is wrong with it, as the rest of a sentence that begins with the record.
        tip: What to do; None for the usual.
    """

    reason: str
    tip: str | None = None


class Damaged(Exception):
    """A file of which nothing more can be read, or nothing that can be trusted.

    Args:
        reason: Why, as the rest of a sentence that begins with the file, or with its record.
        tip: What to do.
        is_whole: Whether the reason concerns the file, and not what follows a record.
    """

    def __init__(self, reason: str, tip: str | Message, *, is_whole: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.tip = tip
        self.is_whole = is_whole
