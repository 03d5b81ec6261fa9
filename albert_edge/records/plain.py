"""Plain text: one record per line."""

from __future__ import annotations

from collections.abc import Iterator

from albert_edge.records.fields import Record
from albert_edge.records.lines import NUL, Lines, decoded
from albert_edge.records.rows import Unreadable


def read_plain(lines: Lines) -> Iterator[Record | Unreadable]:
    """Yield {"text": line} for each line, also an empty one.

    Raises:
        Damaged: Nothing more can be read.
    """
    for line in decoded(lines):
        if isinstance(line, Unreadable):
            yield line
        else:
            yield NUL if "\0" in line else {"text": line.rstrip("\r\n")}
