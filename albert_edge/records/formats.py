"""Which format an input has, by its name or its content, and whether it can hold an item."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Literal, get_args

from albert_edge.choices import require_choice
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.records.fields import Fields
from albert_edge.records.stream import GZIP, ZSTANDARD

Format = Literal["txt", "jsonl", "csv", "tsv", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
_DELIMITERS: dict[Format, tuple[str, ...]] = {"csv": (",", ";"), "tsv": ("\t",)}


def split_suffix(path: Path) -> tuple[str, str]:
    """Return the suffix that names a format and the one that names a compression."""
    suffix = path.suffix.lower()
    if suffix in (GZIP, ZSTANDARD):
        return path.with_suffix("").suffix.lower(), suffix
    return suffix, ""


def format_of_name(path: Path, fields: Fields, chosen: str | None) -> Format | None:
    """Return the format of a file by its name; None if its name does not say it.

    Args:
        path: The file.
        fields: The fields that the format must be able to hold.
        chosen: The format, if the caller names it.

    Raises:
        UsageError: The format is unknown, or cannot hold the fields.
    """
    if chosen is not None:
        require_choice("input_format", chosen, FORMATS)
    suffix = split_suffix(path)[0].removeprefix(".") if chosen is None else chosen
    kind = next((name for name in FORMATS if name == suffix), None)
    if kind is not None:
        require_room(kind, fields)
    return kind


def require_room(kind: Format, fields: Fields) -> None:
    """Check that a format can hold the fields.

    Raises:
        UsageError: It cannot.
    """
    fitting = ["jsonl", "parquet"] if fields.lists else ["jsonl", "csv", "tsv", "parquet"]
    if kind not in fitting and not (kind == "txt" and fields.plain):
        raise UsageError(
            f"A .{kind} file cannot hold {' and '.join(fields.required_columns)}.",
            tip=f"Give .{' or .'.join(fitting)} with these fields, such as {fields.example}",
        )


def format_of_content(name: str, first: bytes, fields: Fields) -> Format:
    """Find the format of an input by its first line.

    Args:
        name: The input, for errors.
        first: The first line.
        fields: The fields that the records have.

    Raises:
        UsageError: It may have several formats.
    """
    line = first.decode(errors="replace").strip()
    if line.startswith("{"):
        try:
            if isinstance(json.loads(line), dict):
                return "jsonl"
        except (ValueError, RecursionError):
            pass
        raise _ambiguous(name, "begins with {, but its first line is not an object", "jsonl", "txt")
    if line.startswith("["):
        raise UsageError(
            f"The format of {name} is not clear: it begins with [, as JSON or a text may.",
            tip=Message(
                "Convert a document: jq -c '.[]' OLD > NEW.jsonl; for texts give ",
                Argument("input_format", "txt"),
                ".",
            ),
        )
    for kind, delimiters in _DELIMITERS.items():
        for delimiter in delimiters:
            if {*fields.required_columns} <= {*_cells(line, delimiter)}:
                if fields.plain:
                    raise _ambiguous(
                        name, f"has the first line {line[:60]!r}, a header or a text", kind, "txt"
                    )
                return kind
    if not first:  # without records, every format is the same
        return "jsonl"
    if not line:
        raise _ambiguous(name, "begins with a blank line", "txt", "jsonl", "csv")
    if fields.plain:
        return "txt"
    raise UsageError(
        f"{name} begins with neither an object nor a header with the columns "
        f"{' and '.join(fields.required_columns)}.",
        tip=f"Give records such as {fields.example}",
    )


def _ambiguous(name: str, why: str, *formats: Format) -> UsageError:
    choices = [part for kind in formats for part in (Argument("input_format", kind), " or ")]
    return UsageError(
        f"The format of {name} is not clear: it {why}.",
        tip=Message("Name it: ", *choices[:-1], "."),
    )


def _cells(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line of a table; none of one that no table has."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # such as a carriage return inside of it
        return []
