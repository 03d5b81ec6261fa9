"""Show on a terminal how far a job is: bytes read, rate, time left."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from albert_edge.labelling.job import Report
from albert_edge.labelling.output import Output
from albert_edge.records.rows import Row

# Seconds between two updates.
_UPDATE = 0.1


class Pace:
    """The rate of a job since it began to answer, and how long the rest takes at that rate.

    Args:
        total_bytes: The size of the input; None if it is unknown.
    """

    def __init__(self, total_bytes: int | None) -> None:
        self._total = total_bytes
        self._started = time.monotonic()
        self._start_rows = self._start_bytes = 0

    def restart(self, rows: int, bytes_read: int) -> None:
        """Begin to measure: what is read so far was answered by an earlier run."""
        self._started = time.monotonic()
        self._start_rows, self._start_bytes = rows, bytes_read

    def describe(self, rows: int, bytes_read: int) -> str:
        """Describe the count, the rate and the time left.

        Args:
            rows: How many records are done.
            bytes_read: How much of the input is read.
        """
        seconds = time.monotonic() - self._started
        rate = (rows - self._start_rows) / seconds if seconds else 0
        words = [f"{rows:,}", f"{rate:,.0f} texts/s"]
        read = bytes_read - self._start_bytes
        if self._total and read:
            left = int(seconds * max(0, self._total - bytes_read) / read)
            words.append(f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")
        return "  ".join(words)


@contextlib.contextmanager
def label_progress(total_bytes: int | None, *, show: bool) -> Iterator[Report]:
    """Show the progress of a job on stderr, if that is a terminal.

    Args:
        total_bytes: The size of the input; None if it is unknown.
        show: Whether to show it at all.

    Yields:
        What `label` calls after every record.
    """
    if not show or not sys.stderr.isatty():
        yield lambda output, row: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    pace = Pace(total_bytes)
    shown = 0.0
    with Progress(
        *columns, TextColumn("{task.fields[pace]}"), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("Texts", total=total_bytes, pace="")

        def report(output: Output, row: Row) -> None:
            nonlocal shown
            if output.rows == output.kept:
                pace.restart(output.rows, row.bytes_read)
            if time.monotonic() - shown > _UPDATE:
                shown = time.monotonic()
                what = "Texts" if output.rows > output.kept else "Reading again"
                text = pace.describe(output.rows, row.bytes_read)
                bar.update(task, description=what, completed=row.bytes_read, pace=text)

        yield report
