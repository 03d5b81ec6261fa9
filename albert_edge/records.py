"""Records of texts, read one at a time from .txt, .jsonl, .csv and .tsv."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from albert_edge.errors import RecordError, UsageError

Record = dict[str, Any]

# Tab-separated files hold texts without quoting.
TSV: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}

# A byte that is not UTF-8 becomes a lone surrogate, so that reading continues and an error can
# name its record. A byte order mark is skipped.
_DECODING = {"encoding": "utf-8-sig", "errors": "surrogateescape", "newline": ""}


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a record that form an item of a task. A record may have others.

    Attributes:
        texts: Required fields that hold a text.
        lists: Required fields that hold a list of texts, which only .jsonl can store.
        optional: Optional fields that hold a text; an empty text counts as absent.
    """

    texts: tuple[str, ...] = ("text",)
    lists: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """The required fields."""
        return self.texts + self.lists

    @property
    def bare(self) -> bool:
        """Whether an item is a single text."""
        return self.needed == ("text",)

    @property
    def example(self) -> str:
        """An example of a record, as a line of .jsonl."""
        texts = dict.fromkeys(self.texts, "...")
        return json.dumps({**texts, **{name: ["...", "..."] for name in self.lists}})

    def item(self, record: Mapping[str, Any]) -> Any:
        """Return a record as a pipeline takes it: its text, or a dict of these fields."""
        names = self.needed + tuple(name for name in self.optional if record.get(name))
        return record["text"] if names == ("text",) else {name: record[name] for name in names}

    def fault(self, record: Any) -> str | None:
        """Say why a record is not an item, or return None if it is one."""
        if not isinstance(record, dict):
            return f"is not an object with the fields {' and '.join(self.needed)}"
        for name in self.texts:
            if not isinstance(record.get(name), str):
                return f'has no {name}: every record needs a field or column "{name}"'
        for name in self.lists:
            values = record.get(name)
            if not (isinstance(values, list) and all(isinstance(value, str) for value in values)):
                return f'has no {name}: every record needs a field "{name}", a list of texts'
        for name in self.optional:
            if not isinstance(record.get(name), str | None):
                return f"has a {name} that is not a text"
        # The answer for half a pair would look like one for the pair.
        if record.get("text_pair") and "text_pair" not in self.needed + self.optional:
            return f"has a text_pair; an item has only {' and '.join(self.needed)}"
        if None in record:  # csv's key for cells without a column
            return "has more cells than the header; a text with the separator in it needs quotes"
        if any("\udc80" <= letter <= "\udcff" for name in self.texts for letter in record[name]):
            return "is not UTF-8"
        return None


TEXT = Fields()
TEXT_OR_PAIR = Fields(optional=("text_pair",))


@contextlib.contextmanager
def read_records(
    path: Path | None, texts: list[str], fields: Fields = TEXT_OR_PAIR
) -> Iterator[Iterator[Record]]:
    """Read the records of a file, or those given on the command line.

    Args:
        path: .txt has one text per line; .jsonl one object with the fields per line; .csv and .tsv
            have a header with those columns. "-" reads lines from stdin.
        texts: Records to use if there is no file. Like lines of stdin, they are texts if an item
            is a single text, else objects as in .jsonl.
        fields: The fields that every record must have.

    Yields:
        The records. An invalid one raises RecordError with its number, counted from 1.

    Raises:
        UsageError: The file cannot be opened, or its format cannot store the fields.
    """
    if path is None:
        parse = _record if fields.bare else json.loads
        yield _checked("argument", map(parse, texts), fields)
    elif str(path) == "-":
        # Read as UTF-8 like a file, whatever the encoding of the terminal.
        stdin = io.TextIOWrapper(sys.stdin.buffer, **_DECODING)  # type: ignore[arg-type]
        try:
            lines = _lines(stdin) if fields.bare else _json_lines(stdin)
            yield _checked("stdin: record", lines, fields)
        finally:
            stdin.detach()
    else:
        read = _reader(path, fields)
        csv.field_size_limit(2**31 - 1)  # a text may be longer than csv's default of 128 kB
        try:
            file = path.open(**_DECODING)  # type: ignore[call-overload]
        except OSError as error:
            raise cannot_open(path, error) from error
        with file:
            yield _checked(f"{path}: record", read(file), fields)


def cannot_open(path: Path, error: OSError) -> UsageError:
    """Build the error about a file that cannot be opened."""
    return UsageError(
        f"{path} cannot be opened: {error.strerror}.", tip="Check its name and permissions."
    )


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


def _reader(path: Path, fields: Fields) -> Callable[[TextIO], Iterator[Any]]:
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise UsageError(
            f"{path} has an unsupported file format.", tip=f"Name it {', '.join(_READERS)}."
        )
    fitting = [".jsonl"] if fields.lists else [".jsonl", ".csv", ".tsv"]
    if not fields.bare and suffix not in fitting:
        raise UsageError(
            f"A {suffix} file cannot hold {' and '.join(fields.needed)}.",
            tip=f"Give {' or '.join(fitting)} with these fields, such as {fields.example}",
        )
    return _READERS[suffix]


def _record(text: str) -> Record:
    return {"text": text}


def _lines(file: TextIO) -> Iterator[Record]:
    for line in file:
        yield _record(line.rstrip("\r\n"))


def _json_lines(file: TextIO) -> Iterator[Any]:
    for line in file:
        if line.strip():
            yield json.loads(line)


_READERS: dict[str, Callable[[TextIO], Iterator[Any]]] = {
    ".txt": _lines,
    ".jsonl": _json_lines,
    ".csv": csv.DictReader,
    ".tsv": partial(csv.DictReader, **TSV),
}


def _checked(place: str, records: Iterator[Any], fields: Fields) -> Iterator[Record]:
    tip = "Correct it, or take it out."
    if not fields.bare:
        tip = f"Correct it, or take it out; one looks like {fields.example}"
    number = 0
    while True:
        number += 1
        try:
            record = next(records)
        except StopIteration:
            return
        except (ValueError, RecursionError, csv.Error) as error:
            raise RecordError(f"{place} {number} cannot be read: {error}", tip=tip) from error
        if fault := fields.fault(record):
            raise RecordError(f"{place} {number} {fault}.", tip=tip)
        yield record
