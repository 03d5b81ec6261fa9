"""Records and answers into the rows of a format."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from albert_edge.errors import InputError
from albert_edge.labelling.answer_log import Outcome
from albert_edge.labelling.columns import Layout
from albert_edge.labelling.formats.encoder import Encoder
from albert_edge.records.rows import Row


@dataclass(frozen=True, slots=True)
class RowWriter:
    """Joins records and answers to rows, and encodes them.

    Attributes:
        encoder: The format.
        layout: The columns.
        keep_errors: Whether a record that does not fit the format becomes a row with the error.
    """

    encoder: Encoder
    layout: Layout
    keep_errors: bool = False

    def add(self, row: Row, outcome: Outcome) -> bool:
        """Add a row, and return whether it has an error instead of an answer.

        Raises:
            InputError: The format cannot hold it, and errors are not kept.
            UsageError: A column of the answer is also one of the record.
        """
        try:
            self.encoder.add(self.layout.row(row, outcome))
            return outcome.error is not None
        except InputError as error:
            if not self.keep_errors:
                raise error.at(f"{row.name}: ") from error
            failure = Outcome(error=outcome.error or f"{row.name}: {error}")
        try:
            self.encoder.add(self.layout.row(row, failure))
        except InputError:  # the record itself does not fit
            self.encoder.add(self.layout.row(dataclasses.replace(row, record=None), failure))
        return True
