"""Label records into a file that is complete or not there, and continue an earlier run.

    rows ──> Labeller ──> Output: log of answers ──> segments ──> the file

On a resumed job the records that were answered are read again, which shows whether they are still
the same; only those after them are answered.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from albert_edge.cleanup import uninterrupted
from albert_edge.errors import AlbertEdgeError, Argument, Message, UsageError
from albert_edge.labelling.durable import naming_output
from albert_edge.labelling.labeller import Labeller
from albert_edge.labelling.output import Output
from albert_edge.records.rows import Row

T = TypeVar("T")

Report = Callable[[Output, Row], None]
"""Called with the output so far and the last record in it."""


def label(rows: Iterator[Row], labeller: Labeller, output: Output, report: Report) -> None:
    """Answer records into an output, and complete it.

    However it ends, the answers that there are can be resumed from.

    Args:
        rows: All records, also those that an earlier run answered.
        labeller: Answers them.
        output: Takes the answers; has those of an earlier run.
        report: Called after every record.

    Raises:
        AlbertEdgeError: A record cannot be answered, or the output cannot be written.
        SystemExit: The process was interrupted or terminated.
    """
    with _saving(output):
        recent = _repeat(rows, labeller, output, report)
        outcomes = labeller.outcomes(itertools.chain(recent, rows))
        for row, outcome in itertools.islice(_waiting(outcomes), len(recent), None):
            with uninterrupted():  # what is written is never cut off halfway
                output.add(row, outcome)
                report(output, row)
        with uninterrupted():
            output.finish()


def _repeat(rows: Iterator[Row], labeller: Labeller, output: Output, report: Report) -> list[Row]:
    """Read the records that an earlier run answered; return those to answer again."""
    recent: deque[Row] = deque(maxlen=labeller.repeated(output.kept))
    for row in _waiting(itertools.islice(rows, output.kept)):
        output.repeat(row)
        report(output, row)
        recent.append(row)
    if output.rows < output.kept:
        raise UsageError(
            f"The input has changed: it has {output.rows} records, and {output.kept} are answered.",
            tip=Message("Start anew with ", Argument("force"), "."),
        )
    return list(recent)


def _waiting(values: Iterator[T]) -> Iterator[T]:
    while True:
        try:
            value = next(values)
        except StopIteration:
            return
        except OSError as error:
            raise AlbertEdgeError(
                f"The input cannot be read: {error}.", tip="Check the disk it is on."
            ) from error
        yield value


@contextlib.contextmanager
def _saving(output: Output) -> Iterator[None]:
    """Keep the answers that there are, however the block ends; errors say how many."""
    with naming_output(output.target, lambda: output.saved):
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(OSError):  # what was saved before is still there
                output.save()
            if isinstance(error, AlbertEdgeError) and output.saved:
                error.remedy = Message(error.remedy, " ", how_to_continue(output))
            raise
        finally:
            output.close()


def how_to_continue(output: Output) -> Message:
    """Say what is kept of an unfinished output, and how to continue it."""
    return Message("Answers kept for ", Argument("resume"), f": {output.saved:,}.")
