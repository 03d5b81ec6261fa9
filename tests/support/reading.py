"""Shared by tests: reading records."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from albert_edge.records.fields import TEXT_OR_PAIR, Fields
from albert_edge.records.inputs import open_inputs
from albert_edge.records.rows import Row


def read(
    *paths: Path | str,
    fields: Fields = TEXT_OR_PAIR,
    input_format: str | None = None,
    skip: int = 0,
) -> list[Row]:
    """All rows of inputs."""
    with open_inputs(paths, fields, input_format=input_format) as inputs:
        return list(inputs.rows(skip))


def texts(rows: Sequence[Row], column: str = "text") -> list[Any]:
    """A column of rows, of which none may have an error."""
    assert [row.error for row in rows if row.error] == []
    return [row.record[column] for row in rows if row.record is not None]


def pipe(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Put content on stdin."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
