"""Which columns a row of the output has: those of the record, and those of its answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from albert_edge.architecture.heads import LAYERS
from albert_edge.errors import Argument, InputError, Message, UsageError
from albert_edge.labelling.answer_log import Outcome
from albert_edge.records.fields import Record
from albert_edge.records.rows import Row

OutputRow = dict[str, Any]

PREDICTION, ERROR = "prediction", "error"


class Layout(Protocol):
    """Joins records and answers to rows."""

    def begin(self, record: Record | None) -> None:
        """Take note of the first record; it is None if it cannot be read.

        Raises:
            UsageError: It leaves open which columns there are, or has one of the answer's.
        """

    def row(self, row: Row, outcome: Outcome) -> OutputRow:
        """Return the row for a record and its answer.

        Raises:
            InputError: They do not fit one row.
        """


class JsonLayout:
    """The record, with the answer as one more field: "prediction", or "error".

    Args:
        prefix: Goes before the names of these fields.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prediction, self._error = prefix + PREDICTION, prefix + ERROR

    def begin(self, record: Record | None) -> None:
        require_free([self._prediction], record or {})

    def row(self, row: Row, outcome: Outcome) -> OutputRow:
        record = row.record or {}
        if outcome.error:
            require_free([self._error], record)
            return {**record, self._error: {"record": row.number, "message": outcome.error}}
        require_free([self._prediction], record)
        return {**record, self._prediction: outcome.answer}


class TableLayout:
    """The columns of the record and those of the best answer.

    A column of the answer whose name the records have is called "predicted_...", unless there is a
    prefix.

    Args:
        answer_columns: The columns of an answer; without any, it is one column, "prediction".
        prefix: Goes before the names of the columns of the answer.
        with_errors: Whether there is a column "error".
        columns: The columns of all records; None takes those of the first record.
        fixed: Whether a record with a column that the first one lacks is an error.
    """

    def __init__(
        self,
        answer_columns: Sequence[str] = (),
        *,
        prefix: str = "",
        with_errors: bool = False,
        columns: Sequence[str] | None = None,
        fixed: bool = True,
    ) -> None:
        self._parts = tuple(answer_columns)
        self._prefix = prefix
        self._with_errors = with_errors
        self._columns = columns
        self._fixed = fixed
        self._names: dict[str, str] = {}

    def begin(self, record: Record | None) -> None:
        if self._columns is None and record is None:
            raise UsageError(
                "The first record cannot be read, so the columns of the table are unknown.",
                tip="Correct the record, or write the answers as .jsonl.",
            )
        columns = list(record or {}) if self._columns is None else self._columns
        self._columns = columns
        added = [*(self._parts or [PREDICTION]), *([ERROR] if self._with_errors else [])]
        self._names = {name: self._name(name, columns) for name in added}
        require_free(self._names.values(), columns)

    def _name(self, name: str, columns: Sequence[str]) -> str:
        if name in columns and not self._prefix and name not in (PREDICTION, ERROR):
            return f"predicted_{name}"
        return self._prefix + name

    def row(self, row: Row, outcome: Outcome) -> OutputRow:
        joined = dict.fromkeys(self._columns or ())
        joined.update(row.record or {})
        if len(joined) > len(self._columns or ()):
            self._check(joined)
        answer = {} if outcome.error else self._cells(outcome.answer)
        for part, name in self._names.items():
            joined[name] = outcome.error if part == ERROR else answer.get(part)
        return joined

    def _check(self, joined: Collection[str]) -> None:
        unknown = [name for name in joined if name not in (self._columns or ())]
        if self._fixed:
            raise InputError(
                f"It has a column that the first record lacks: {', '.join(unknown)}.",
                tip="Write the answers as .jsonl.",
            )
        require_free(self._names.values(), unknown)

    def _cells(self, answer: Any) -> Mapping[str, Any]:
        if not self._parts:
            return {PREDICTION: answer}
        best = ranked(answer)
        if not best:
            raise InputError("There is no answer.", tip="Write the answers as .jsonl.")
        return best[0]


def require_free(names: Iterable[str], columns: Collection[str]) -> None:
    """Check that no column of the answer is one of the record.

    Raises:
        UsageError: One is, and would be lost.
    """
    for name in names:
        if name in columns:
            raise UsageError(
                Message(
                    f"The records have a column {name}, as the answers do. ",
                    *(Argument("prefix"), " keeps both."),
                ),
                tip=Message(
                    "Choose the start of the new names, such as ", Argument("prefix", "b_")
                ),
            )


def ranked(answer: Any) -> list[dict[str, Any]]:
    """List the answers to a whole item, best first; none if the task answers for its parts."""
    if isinstance(answer, dict) and {"labels", "scores"} <= answer.keys():
        # An answer of zero-shot classification.
        names = {"label": "labels", "score": "scores", LAYERS: LAYERS}
        columns = {name: answer[many] for name, many in names.items() if many in answer}
        return [
            dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)
        ]
    entries = answer if isinstance(answer, list) else [answer]
    return [
        entry for entry in entries if isinstance(entry, dict) and {"label", "answer"} & entry.keys()
    ]
