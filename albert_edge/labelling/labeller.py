"""Answer records in order; an answer that cannot be given is an error in its place."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from albert_edge.errors import InputError, RecordError
from albert_edge.labelling.answer_log import Outcome
from albert_edge.records.rows import Row
from albert_edge.runtime.item_error import ItemError

# Records answered by one stream. In batches an answer may depend, in its last bits, on the others
# of its batch; therefore streams begin at multiples of this, also when a job is resumed.
STREAM_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Labeller:
    """How records are answered.

    Attributes:
        item: Makes an item of a record.
        answers: Answers a stream of items, in order. An error about an item is raised in its
            place; with `keep_errors` an `ItemError` takes it.
        in_batches: Whether items are answered in batches.
        keep_errors: Whether an error takes the place of an answer, instead of being raised.
    """

    item: Callable[[Any], Any]
    answers: Callable[[Iterator[Any]], Iterator[Any]]
    in_batches: bool = False
    keep_errors: bool = False

    def outcomes(self, rows: Iterator[Row]) -> Iterator[tuple[Row, Outcome]]:
        """Answer records, in bounded memory.

        Args:
            rows: The records.

        Yields:
            Each with its answer, or with its error if errors are kept.

        Raises:
            InputError: A record cannot be answered, and errors are not kept. It is raised after
                the answers of the records before it.
        """
        while (first := next(rows, None)) is not None:
            rest = itertools.islice(rows, STREAM_ROWS - 1)
            yield from self._stream(itertools.chain([first], rest))

    def repeated(self, done: int) -> int:
        """Return how many of the records that are done have to be answered again.

        Args:
            done: How many records are done.
        """
        return done % STREAM_ROWS if self.in_batches else 0

    def _stream(self, rows: Iterator[Row]) -> Iterator[tuple[Row, Outcome]]:
        waiting: deque[Row] = deque()
        answers = self.answers(self._items(rows, waiting))
        while True:
            try:
                answer = next(answers)
            except StopIteration:
                break
            except RecordError:
                raise
            except (InputError, TypeError) as error:
                raise _placed(error, waiting[0]) from error
            yield from _invalid(waiting)
            row = waiting.popleft()
            yield row, _outcome(row, answer)
        yield from _invalid(waiting)

    def _items(self, rows: Iterator[Row], waiting: deque[Row]) -> Iterator[Any]:
        for row in rows:
            if row.error is not None and not self.keep_errors:
                raise row.error
            waiting.append(row)
            if row.error is None:
                yield self.item(row.record)


def _outcome(row: Row, answer: Any) -> Outcome:
    if isinstance(answer, ItemError):
        return Outcome(error=f"{row.name}: {answer.reason}")
    return Outcome(answer)


def _placed(error: Exception, row: Row) -> InputError:
    if not isinstance(error, InputError):
        error = InputError(str(error), tip="Correct it, or take it out.")
    return error.at(f"{row.name}: ")


def _invalid(waiting: deque[Row]) -> Iterator[tuple[Row, Outcome]]:
    """Take the records that could not be read from the front of those that wait."""
    while waiting and waiting[0].error is not None:
        row = waiting.popleft()
        yield row, Outcome(error=str(row.error))
