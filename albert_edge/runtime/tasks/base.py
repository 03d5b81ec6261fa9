"""What a pipeline needs to know of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from albert_edge.bundle.bundle import Bundle
from albert_edge.runtime.text import TextEncoder

Inputs = dict[str, npt.NDArray[np.int64]]
Outputs = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Windows:
    """What `Task.encode` returns for an item of several model runs, or with more to remember.

    Attributes:
        inputs: The inputs of each run.
        context: What else the answer is made of, such as the text and the offsets of its tokens.
    """

    inputs: tuple[Inputs, ...]
    context: Any = None


@dataclass(frozen=True, slots=True)
class WindowOutputs:
    """What `Task.answer` gets for `Windows`: the outputs of each run, and the same context."""

    outputs: tuple[Outputs, ...]
    context: Any


class Task(Protocol):
    """Turns one item into model inputs, and model outputs into its answer.

    Its methods see the parameters of a call as `parameters` returned them.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Take from the bundle what the answers need."""

    @property
    def parameters(self) -> Callable[..., Any]:
        """Checks the keyword arguments of a call and fills in their defaults."""

    def encode(self, encoder: TextEncoder, item: Any, parameters: Any) -> Inputs | Windows:
        """Turn one item, a text or a pair, into model inputs."""

    def answer(self, outputs: Any, parameters: Any) -> Any:
        """Turn model outputs, `WindowOutputs` if `encode` returned `Windows`, into one answer."""

    def single(self, item: Any, answer: Any, given: Mapping[str, Any]) -> Any:
        """What a call with one item and the keyword arguments `given` returns."""


@runtime_checkable
class ArrangesInputs(Protocol):
    """A task that does not take every list in a call for a list of items."""

    def arrange(self, inputs: Any, parameters: Any) -> Any:
        """The inputs of a call as one item, a list of items, or a generator of items."""
