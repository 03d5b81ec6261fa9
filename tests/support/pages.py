"""Shared by tests: pages."""

from __future__ import annotations

import re
from pathlib import Path

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and content."""
    return FENCE.findall(page.read_text(encoding="utf-8"))


def table(page: Path, header: str) -> list[list[str]]:
    """The rows of the one table whose header begins so, as cells."""
    (rows,) = re.findall(
        rf"^\| {re.escape(header)} \|.*\n\|[-:| ]+\n((?:\|.*\n)+)",
        page.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in rows.splitlines()]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
