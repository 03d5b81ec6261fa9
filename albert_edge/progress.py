"""Show a progress bar for any function that takes `progress=True`.

On a terminal rich draws it, in a notebook tqdm, where they are installed: a frozen program may have
neither. Anywhere else, such as in a log file, nothing is shown.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal

Progress = Callable[[str, int, int | None], None]
"""Called with the name of the step, how much of it is done, and the total (None if unknown)."""

Unit = Literal["steps", "bytes"]


@contextlib.contextmanager
def progress_bar(progress: bool | Progress, *, unit: Unit = "steps") -> Iterator[Progress]:
    """Open a progress bar, or pass on the function to call instead of one.

    Args:
        progress: True for a bar on stderr, False for none, or a function to call.
        unit: What is counted.

    Yields:
        A function to call as work gets done.
    """
    if callable(progress):
        yield progress
    elif progress and "ipykernel" in sys.modules:
        with _notebook_bar(unit) as report:
            yield report
    elif progress and sys.stderr and sys.stderr.isatty():  # a windowed program may have no stderr
        with _terminal_bar(unit) as report:
            yield report
    else:
        yield _silent


def _silent(what: str, done: int, total: int | None) -> None:
    pass


@contextlib.contextmanager
def _terminal_bar(unit: Unit) -> Iterator[Progress]:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar
    except ImportError:
        yield _silent
        return
    count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count)
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(what: str, done: int, total: int | None) -> None:
            bar.update(task, description=what[:1].upper() + what[1:], completed=done, total=total)

        yield report


@contextlib.contextmanager
def _notebook_bar(unit: Unit) -> Iterator[Progress]:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        yield _silent
        return
    bars: dict[str, Any] = {}  # only the last one is open
    scale = {"unit": "B", "unit_scale": True} if unit == "bytes" else {"unit": ""}

    def report(what: str, done: int, total: int | None) -> None:
        if what not in bars:
            close()
            bars[what] = tqdm(desc=what[:1].upper() + what[1:], total=total, **scale)
        bar = bars[what]
        bar.total = total
        bar.update(done - bar.n)

    def close() -> None:
        while bars:
            bars.popitem()[1].close()

    try:
        yield report
    finally:
        close()
