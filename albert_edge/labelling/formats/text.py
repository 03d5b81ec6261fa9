"""Lines of text: .jsonl, .csv and .tsv. A segment is the next lines, compressed or not."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from albert_edge.errors import InputError
from albert_edge.plain import plain_json
from albert_edge.records.table import TSV

Pack = Callable[[bytes], bytes]

# How a formula begins, also in characters of full width.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?")


class _Lines:
    """A format of lines, whose segments may be compressed, each by itself.

    Readers of gzip and zstd take such members, one after the other, as one file.

    Args:
        pack: Compresses a segment.
    """

    def __init__(self, pack: Pack) -> None:
        self._pack = pack

    def begin(self, *, first: bool) -> None:
        self._lines: list[bytes] = []

    def take(self) -> bytes:
        segment, self._lines = b"".join(self._lines), []
        return self._pack(segment)

    def assemble(self, segments: Path, result: Path) -> Path:
        return segments


class JsonLines(_Lines):
    """One JSON object per line."""

    def add(self, row: dict[str, Any]) -> None:
        try:
            self._lines.append(f"{to_json(row)}\n".encode())
        except UnicodeEncodeError as error:
            raise not_unicode(error) from error


class Table(_Lines):
    """A table with a header.

    Args:
        suffix: ".csv", or ".tsv" for tabs and no quotes.
        pack: Compresses a segment.
        for_spreadsheets: Whether to write texts so that none is a formula.
    """

    def __init__(self, suffix: str, pack: Pack, *, for_spreadsheets: bool = False) -> None:
        super().__init__(pack)
        self._cell = _spreadsheet_cell if for_spreadsheets else _cell
        self._suffix = suffix
        self._dialect: dict[str, Any] = TSV if suffix == ".tsv" else {}

    def begin(self, *, first: bool) -> None:
        super().begin(first=first)
        self._needs_header = first

    def add(self, row: dict[str, Any]) -> None:
        lines = io.StringIO()
        writer = csv.writer(lines, **self._dialect)
        try:
            if self._needs_header:
                writer.writerow(map(self._cell, row))
            writer.writerow(map(self._cell, row.values()))
            self._lines.append(lines.getvalue().encode())
        except UnicodeEncodeError as error:
            raise not_unicode(error) from error
        except csv.Error as error:  # a tab or a line end in a text of .tsv
            raise InputError(
                f"It does not fit a {self._suffix} table: {error}.",
                tip="Write the answers as .jsonl.",
            ) from error
        self._needs_header = False


def to_json(value: Any) -> str:
    """Format as one line of JSON, arrays as lists; a terminal may show it, see `plain`."""
    return plain_json(_ENCODER.encode(value))


def _without_arrays(value: Any) -> Any:
    """Convert what JSON lacks: arrays to lists; others, such as dates, to texts."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=_without_arrays)


def _cell(value: Any) -> Any:
    return to_json(value) if isinstance(value, list | dict) else value


def _spreadsheet_cell(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would take for a formula.

    Such texts are those that OWASP lists ("CSV Injection"), but for numbers with a sign. One more
    apostrophe goes before those that have some already, so that a reader can take one off again.
    """
    cell = _cell(value)
    is_formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def not_unicode(error: UnicodeEncodeError) -> InputError:
    """Make the error of a record with a column that is not Unicode."""
    return InputError(f"A column is not valid Unicode: {error.reason}.", tip="Correct it.")
