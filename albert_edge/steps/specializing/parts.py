"""Cut texts into parts, so that no decision is judged on the texts it was made on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from albert_edge.records.fields import Record

Records = Sequence[Record]


@dataclass(frozen=True, slots=True)
class Parts:
    """Records, each in one part.

    Attributes:
        fit: On which weights are fitted, and widths and numbers of exits compared.
        calibration: On which promises are tested.
        test: On which the result is measured, after all decisions.
    """

    fit: Records
    calibration: Records
    test: Records

    @property
    def counts(self) -> dict[str, int]:
        """How many records each part has."""
        return {field.name: len(getattr(self, field.name)) for field in fields(self)}


# Where each part ends. The size of calibration decides how much can be promised.
_ENDS = {"fit": 0.4, "calibration": 0.8, "test": 1.0}


def cut(records: Records) -> Parts:
    """Cut records into parts at random, always in the same way."""
    order = np.random.default_rng(0).permutation(len(records))
    start, parts = 0, {}
    for name, end in _ENDS.items():
        stop = round(end * len(records))
        parts[name] = [records[index] for index in order[start:stop]]
        start = stop
    return Parts(**parts)


def texts_needed(calibration: int) -> int:
    """Return how many texts there must be for calibration to have so many of them."""
    count = calibration
    while round(_ENDS["calibration"] * count) - round(_ENDS["fit"] * count) < calibration:
        count += 1
    return count


def strings(records: Records) -> Iterator[str]:
    """Yield the texts of records, the second of a pair too."""
    for record in records:
        yield record["text"]
        if pair := record.get("text_pair"):
            yield pair
