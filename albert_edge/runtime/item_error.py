"""What takes the place of an answer, where a call asks for errors of items to be returned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from albert_edge.errors import AlbertEdgeError

OnError = Literal["raise", "record"]
ON_ERROR = ("raise", "record")


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why an item has no answer. With `on_error="record"` it stands in the answer's place.

    It is not false in a condition, as answers may be empty: test with `isinstance`.

    Attributes:
        index: The place of the item in the list or the generator, from 0.
        reason: What is wrong with it.
        tip: What to do next.
    """

    index: int
    reason: str
    tip: str

    @classmethod
    def of(cls, index: int, error: Exception) -> ItemError:
        """Describe an error about an item."""
        tip = error.tip if isinstance(error, AlbertEdgeError) else "Correct it, or take it out."
        return cls(index, str(error), tip)
