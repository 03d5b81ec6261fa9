"""The base classes of tasks that rank a few labels, with top_k as in text classification."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, overload

from albert_edge.runtime.parameters import Cut, LayersUsed, Truncation, invalid, read_cut
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.task import Items, Many, Task

Item = TypeVar("Item", bound=Mapping[str, Any])
Entry = TypeVar("Entry")
Answer = TypeVar("Answer")
K = int | None


class Given(Truncation, LayersUsed, total=False):
    """The parameters of a call, without top_k."""


class Parameters(Given, total=False):
    """The parameters of a call.

    Attributes:
        top_k: How many labels an answer has, best first; None for all. By default the answer is the
            best label, without a list around it.
    """

    top_k: int | str | None


@dataclass(frozen=True, slots=True)
class Best:
    """How many entries an answer has.

    Attributes:
        count: How many; None for all.
        bare: Whether the answer is the best entry, without a list around it.
        ranked: Whether the best entry comes first. Else all come in the order of the model.
    """

    count: int | None
    bare: bool
    ranked: bool = True

    def of(self, entries: list[dict[str, Any]]) -> Any:
        """Make an answer from all entries; entries with equal scores keep their order."""
        if not self.ranked:
            return entries
        best_first = sorted(entries, key=lambda entry: entry["score"], reverse=True)
        return best_first[0] if self.bare else best_first[: self.count]


@dataclass(frozen=True, slots=True)
class Checked:
    """The checked parameters of a call."""

    best: Best
    cut: Cut


def read_top_k(given: Mapping[str, Any]) -> Best:
    """Check top_k; "" means that it is left out, as in transformers.

    Raises:
        UsageError: It is invalid.
    """
    top_k = given.get("top_k", "")
    if top_k is None or top_k == "":
        return Best(None, bare=top_k is not None)
    if not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1:
        raise invalid("top_k", top_k, "Give 1 or more, or None for all labels.")
    return Best(top_k, bare=False)


class RankedTask(Task):
    """A task whose parameters are top_k and those of `Given`."""

    accepts = Parameters

    def parameters(self, given: Parameters) -> Checked:
        return Checked(read_top_k(given), read_cut(given))


class RankedPipeline(Pipeline, Generic[Item, Entry, Answer]):
    """A pipeline whose answers are lists of entries if top_k is given, else the best entry.

    `Answer` is the one or the other, depending on whether the pipeline has a default top_k.
    """

    if TYPE_CHECKING:

        @overload
        def __call__(self, inputs: Item, **given: Unpack[Given]) -> Answer: ...
        @overload
        def __call__(self, inputs: list[Item], **given: Unpack[Given]) -> list[Answer]: ...
        @overload
        def __call__(self, inputs: Items[Item], **given: Unpack[Given]) -> Iterator[Answer]: ...
        @overload
        def __call__(self, inputs: Item, *, top_k: K, **given: Unpack[Given]) -> list[Entry]: ...
        @overload
        def __call__(
            self, inputs: list[Item], *, top_k: K, **given: Unpack[Given]
        ) -> list[list[Entry]]: ...
        @overload
        def __call__(
            self, inputs: Items[Item], *, top_k: K, **given: Unpack[Given]
        ) -> Iterator[list[Entry]]: ...
        def __call__(self, inputs: Any, **given: Any) -> Any: ...

        @overload
        async def acall(self, inputs: Item, **given: Unpack[Given]) -> Answer: ...
        @overload
        async def acall(self, inputs: Many[Item], **given: Unpack[Given]) -> list[Answer]: ...
        @overload
        async def acall(self, inputs: Item, *, top_k: K, **given: Unpack[Given]) -> list[Entry]: ...
        @overload
        async def acall(
            self, inputs: Many[Item], *, top_k: K, **given: Unpack[Given]
        ) -> list[list[Entry]]: ...
        async def acall(self, inputs: Any, **given: Any) -> Any: ...

        @overload
        def answer(self, item: Item, **given: Unpack[Given]) -> Answer: ...
        @overload
        def answer(self, item: Item, *, top_k: K, **given: Unpack[Given]) -> list[Entry]: ...
        def answer(self, item: Any, **given: Any) -> Any: ...

        @overload
        def stream(self, items: Iterable[Item], **given: Unpack[Given]) -> Iterator[Answer]: ...
        @overload
        def stream(
            self, items: Iterable[Item], *, top_k: K, **given: Unpack[Given]
        ) -> Iterator[list[Entry]]: ...
        def stream(self, items: Any, **given: Any) -> Any: ...
