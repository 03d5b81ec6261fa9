"""What reading a file gives: a row for each record, also for one that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass

from albert_edge.errors import RecordError
from albert_edge.records.fields import Record


@dataclass(frozen=True, slots=True)
class Row:
    """A record, or why there is none.

    Attributes:
        number: Its number in its file, from 1.
        record: The record, with all its columns; None if it is invalid.
        error: Why it is invalid; None if it is valid.
        bytes_read: How many bytes of all inputs are read so far, compressed as they are stored.
    """

    number: int
    record: Record | None
    error: RecordError | None
    bytes_read: int
