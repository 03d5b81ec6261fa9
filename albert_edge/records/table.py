"""Tables: CSV, with quotes around cells, and TSV, without."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import Any

from albert_edge.records.fields import Fields, Record
from albert_edge.records.lines import LONGEST, NOT_UTF8, NUL, Lines
from albert_edge.records.rows import Damaged, Unreadable

# Tab-separated files hold texts without quoting.
TSV: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}

# What separates the cells of a .csv file; spreadsheets write a semicolon where the comma is the
# decimal separator.
_DELIMITERS = (",", ";", "\t")


class Table:
    """Reads a table with a header.

    Args:
        lines: The lines of the file.
        fields: The fields by whose columns the delimiter of a CSV file is found.
        quoted: Whether cells may be in quotes, as in CSV.

    Attributes:
        columns: The names in the header; none if the file is empty.

    Raises:
        Damaged: The header cannot be read.
    """

    def __init__(self, lines: Lines, fields: Fields, *, quoted: bool) -> None:
        self._text = _TextLines(lines)
        dialect = {"delimiter": _delimiter(lines, fields)} if quoted else TSV
        self._delimiter: str = dialect["delimiter"]
        csv.field_size_limit(max(csv.field_size_limit(), LONGEST))
        self._reader = csv.reader(self._text, strict=True, **dialect)
        if _is_separator_line(lines.first) and quoted:
            next(self._reader, None)
        header = next(self._rows(), [])
        if isinstance(header, Unreadable):
            raise Damaged(
                f"has a header that {header.reason}", header.tip or "Correct it.", is_whole=True
            )
        self.columns = tuple(header)
        _require_names(self.columns)

    def __iter__(self) -> Iterator[Record | Unreadable]:
        """Yield the rows.

        Raises:
            Damaged: A quote is not closed, or nothing more can be read.
        """
        columns, width = self.columns, len(self.columns)
        for cells in self._rows():
            if isinstance(cells, Unreadable):
                yield cells
            elif len(cells) == width:
                yield dict(zip(columns, cells, strict=True))
            else:
                noun = "cell" if len(cells) == 1 else "cells"
                yield Unreadable(
                    f"has {len(cells)} {noun}, and the header has {width}",
                    f"A text with {self._delimiter!r} in it needs quotes."
                    if len(cells) > width and self._delimiter != "\t"
                    else None,
                )

    def _rows(self) -> Iterator[list[str] | Unreadable]:
        """Yield the cells of each row that is not blank."""
        text, reader = self._text, self._reader
        while True:
            text.begin()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield text.explain(str(error), self._delimiter)
                continue
            if cells:
                yield text.fault or cells


class _TextLines:
    """The lines of a table as text, and what is known of the row that they belong to.

    Attributes:
        fault: What is wrong with the encoding of the row, or None.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._row: list[str] = []
        self._iterator = self._decoded()
        self.fault: Unreadable | None = None

    def begin(self) -> None:
        """Begin a row."""
        self._row.clear()
        self.fault = None

    def __iter__(self) -> Iterator[str]:
        return self._iterator

    def _decoded(self) -> Iterator[str]:
        for line in self._lines:
            try:
                text = line.decode()
            except UnicodeDecodeError:
                text = line.decode(errors="replace")
                self.fault = NOT_UTF8
            if "\0" in text:
                self.fault = NUL
            self._row.append(text)
            yield text

    def explain(self, message: str, delimiter: str) -> Unreadable:
        """Explain why csv cannot read a row.

        Raises:
            Damaged: Rows may have been swallowed by a quote.
        """
        if len(self._row) == 1 and "unexpected end" not in message:
            if "new-line" in message:
                return Unreadable("has a CR in a cell without quotes", "Put quotes around it.")
            return Unreadable(
                "has text between the quote that ends a cell and the separator",
                "A quote inside a quoted cell is written twice.",
            )
        first = self._lines.number - len(self._row) + 1
        line = first + _open_quote("".join(self._row), delimiter)
        raise Damaged(
            f"cannot be read: the quote that opens in line {line} is not closed "
            f"by line {self._lines.number}, so that the rows between would be read as one text",
            "Close the quote; a quote inside a quoted cell is written twice.",
        )


def _open_quote(row: str, delimiter: str) -> int:
    """Return the line, from 0, in which the quote opens that a row ends in or breaks at."""
    cell = re.compile(rf'"(?:[^"]|"")*+"(?={re.escape(delimiter)})|[^"{delimiter}][^{delimiter}]*|')
    place = 0
    while (match := cell.match(row, place)) and row[match.end() : match.end() + 1] == delimiter:
        place = match.end() + 1
    return row.count("\n", 0, place)


def _delimiter(lines: Lines, fields: Fields) -> str:
    """Find the delimiter of a CSV file: as its first line says, or by the columns needed."""
    first = lines.first.decode(errors="replace")
    if _is_separator_line(lines.first):
        return first[4]
    needed = {*fields.required_columns}

    def columns(delimiter: str) -> tuple[int, int]:
        header = next(csv.reader([first], delimiter=delimiter), [])
        return len(needed & {*header}), len(header)

    return max(_DELIMITERS, key=columns)


def _is_separator_line(first: bytes) -> bool:
    """Return whether the first line is Excel's, such as "sep=;"."""
    return re.fullmatch(rb"sep=[^\w\"\r\n]\r?\n?", first, re.IGNORECASE) is not None


def _require_names(columns: Sequence[str]) -> None:
    """Raise `Damaged` if two columns have one name."""
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        what = f'two columns "{twice}"' if twice else "two columns without a name"
        raise Damaged(f"has {what}", "Rename one, or take it out.", is_whole=True)
