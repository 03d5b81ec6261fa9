"""top_k as text classification takes it, for every task that ranks a few labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from albert_edge.errors import UsageError


@dataclass(frozen=True, slots=True)
class TopK:
    """How many labels an answer has.

    Attributes:
        count: How many, best first; None for all.
        alone: Whether the answer is the best one, without a list around it.
    """

    count: int | None
    alone: bool

    def of(self, entries: list[dict[str, Any]]) -> Any:
        """The answer made of all entries, each with a "score"; of equal ones the first is best."""
        ranked = sorted(entries, key=lambda entry: entry["score"], reverse=True)
        return ranked[0] if self.alone else ranked[: self.count]


def read_top_k(top_k: int | str | None) -> TopK:
    """Read the parameter of a call, which is "" where it was left out, as in transformers.

    Raises:
        UsageError: It has no meaning.
    """
    if top_k is None or top_k == "":
        return TopK(None, alone=top_k is not None)
    if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1:
        raise UsageError(f"top_k is {top_k!r}.", tip="Give 1 or more, or None for all labels.")
    return TopK(top_k, alone=False)
