"""JSON Lines: one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from albert_edge.records.fields import Record
from albert_edge.records.lines import Lines, decoded
from albert_edge.records.rows import Unreadable


def read_json_lines(lines: Lines) -> Iterator[Record | Unreadable]:
    """Yield the value of each line that is not blank; usually an object.

    Raises:
        Damaged: Nothing more can be read.
    """
    for line in decoded(lines):
        if isinstance(line, Unreadable):
            yield line
        elif line.strip():
            yield parse_json(line)


def parse_json(text: str) -> Any | Unreadable:
    """Parse a line."""
    try:
        value = json.loads(text)
        if "\\ud" in text or "\\uD" in text:  # may be half a character
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Unreadable(
            "is not valid Unicode: it has half a surrogate pair", "Replace what \\ud... stands for."
        )
    except (ValueError, RecursionError) as error:
        return Unreadable(f"cannot be read: {error}")
    return value
