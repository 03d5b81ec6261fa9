"""Labels of records, by name or by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def find_label(label: Any, known: Sequence[str]) -> int | None:
    """Find a label, given by its name or its index, among the known labels.

    Args:
        label: The label in the record: a text or a number, or None.
        known: The labels, in order.

    Returns:
        Its index, or None if there is no such label.
    """
    name = "" if label is None else str(label)
    if name in known:
        return known.index(name)
    if name.isdecimal() and len(name) < 10 and int(name) < len(known):
        return int(name)
    return None
