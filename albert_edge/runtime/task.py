"""The base class of tasks: from an item to runs of the model, and from outputs to an answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy.typing as npt

from albert_edge.architecture.heads import LAYERS
from albert_edge.bundle.bundle import Bundle
from albert_edge.records.fields import TEXT, Fields
from albert_edge.runtime.parameters import CALL_OPTIONS, Truncation, bind
from albert_edge.runtime.text import Arrays, TextEncoder

Outputs = Mapping[str, npt.NDArray[Any]]
T = TypeVar("T")
Items = Generator[T, Any, Any]
"""A generator of items, answered one by one; any other iterable but a list is a single item."""
Many = list[T] | Generator[T, Any, Any]
"""A list or a generator of items."""


@dataclass(frozen=True, slots=True)
class Windows:
    """An item as the model takes it. One window is one run of the model.

    Attributes:
        inputs: The inputs of each run.
        context: What else `Task.answer` needs, such as the text and the offsets of its tokens.
    """

    inputs: tuple[Arrays, ...]
    context: Any = None


@dataclass(frozen=True, slots=True)
class WindowOutputs:
    """The outputs of the model for `Windows`, one for each run, and the same context."""

    outputs: tuple[Outputs, ...]
    context: Any = None

    @property
    def only(self) -> Outputs:
        """The outputs of an item with one window."""
        (outputs,) = self.outputs
        return outputs


class Task(ABC):
    """Turns an item into runs of the model, and their outputs into an answer.

    `parameters` checks the parameters of a call; the other methods get what it returns.

    Attributes:
        fields: The fields of an item, which are also columns of files of records.
        accepts: The parameters of a call, a TypedDict that extends `CallOptions`.
        positional: What the positional arguments of a call are, in order.
        unset_by_none: The parameters that None, in a call, leaves at the default of the pipeline.
        answer_columns: The columns of an answer in a table, or of the best one of several; none if
            an answer does not fit a row.
        chooses: Whether the windows of an item are choices, of which the model is to find the best.
    """

    fields: ClassVar[Fields] = TEXT
    accepts: ClassVar[Any]
    positional: ClassVar[tuple[str, ...]] = ("inputs",)
    unset_by_none: ClassVar[Collection[str]] = ()
    answer_columns: ClassVar[tuple[str, ...]] = ()
    chooses: ClassVar[bool] = False

    def __init__(self, bundle: Bundle) -> None:  # noqa: B027, not every task needs anything
        """Read from the bundle what the answers need."""

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """Return the names of the parameters of a call, the task's own first."""
        names = [name for name in cls.accepts.__annotations__ if name not in CALL_OPTIONS]
        return tuple(sorted(names, key=Truncation.__annotations__.__contains__))

    def prepare(self, encoder: TextEncoder) -> TextEncoder:
        """Return the tokenizer with the settings of the task; by default unchanged."""
        return encoder

    def bind(self, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
        """Name the positional arguments of a call.

        Raises:
            TypeError: There are too many, or one is also given by name.
        """
        return bind(self.positional, arguments, named)

    def merge(self, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Let the parameters of a call replace the defaults of its pipeline."""
        merged = dict(defaults)
        for name, value in given.items():
            if value is not None or name not in {*self.unset_by_none, *CALL_OPTIONS}:
                merged[name] = value
        return merged

    @abstractmethod
    def parameters(self, given: Any) -> Any:
        """Check the parameters of a call, whose names are known, and fill in defaults.

        Raises:
            UsageError: A value is invalid.
        """

    def arrange(self, inputs: Any, parameters: Any) -> Any:
        """Return the inputs of a call as one item, a list of items or a generator of items."""
        return inputs

    @abstractmethod
    def encode(self, encoder: TextEncoder, item: Any, parameters: Any) -> Windows:
        """Turn one item, such as a text, into inputs of the model."""

    @abstractmethod
    def answer(self, outputs: WindowOutputs, parameters: Any) -> Any:
        """Turn outputs of the model into one answer."""

    def with_layers(self, answer: Any, layers: Sequence[int], parameters: Any) -> Any:
        """Add to an answer how many layers of the model it took.

        Args:
            answer: The answer, a dict or a list of dicts.
            layers: How many were applied in each run.
            parameters: Those of the call.
        """
        used = layers[0] if len(layers) == 1 or self.chooses else list(layers)
        if isinstance(answer, list):
            return [{**entry, LAYERS: used} for entry in answer]
        return {**answer, LAYERS: used}

    def single(self, item: Any, answer: Any, given: Mapping[str, Any]) -> Any:
        """Return the result of a call with one item and the keyword arguments `given`."""
        return answer
