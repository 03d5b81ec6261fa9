"""How commands print: answers to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from albert_edge.cli.spelling import spell_command_line
from albert_edge.errors import Message

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA_VERSION = 1


def print_json(report: DataclassInstance) -> None:
    """Print one JSON document: the fields of a report and the version of their schema."""
    document = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(report)}
    print(json.dumps(_finite(document), indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> str:
    return value.spell(spell_command_line) if isinstance(value, Message) else os.fspath(value)


def _finite(value: Any) -> Any:
    """The same with null for the numbers that JSON does not know."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(title: str, columns: list[str], rows: list[list[str]], *, words: int = 1) -> None:
    """Print a table to stdout; the first columns hold words, the others numbers."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        is_word = index < words
        table.add_column(column, justify="left" if is_word else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    console.print(Text(title, style="bold"), table, sep="\n")


def note(message: str) -> None:
    """Tell the user something that is not the answer."""
    print(message, file=sys.stderr)


def megabytes(count: int) -> str:
    """A number of bytes, for people.

    >>> megabytes(46_916_637)
    '46.9 MB'
    """
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


@contextlib.contextmanager
def byte_progress(label: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar for work counted in bytes, on a terminal only; a callback taking (done, total)."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def step_progress(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for work in steps, on a terminal only; a callback taking (what, done, total)."""
    if quiet or not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what.capitalize(), completed=done, total=total
        )


@contextlib.contextmanager
def count_progress(label: str, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """A counter for work of unknown length, on a terminal only; a callback per item done."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda: bar.advance(task)
