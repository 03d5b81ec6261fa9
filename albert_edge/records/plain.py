"""Plain text: one record per line."""

from __future__ import annotations

from collections.abc import Iterator

from albert_edge.records.fields import Record
from albert_edge.records.lines import NOT_UTF8, NUL, Lines
from albert_edge.records.rows import Unreadable


def read_plain(lines: Lines) -> Iterator[Record | Unreadable]:
    """Yield {"text": line} for each line, also an empty one.

    Raises:
        Damaged: Nothing more can be read.
    """
    for line in lines:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            yield NOT_UTF8
            continue
        yield NUL if "\0" in text else {"text": text.rstrip("\r\n")}
