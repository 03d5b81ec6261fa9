"""Feature extraction: the hidden state of every token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, Unpack, overload

import numpy as np
import numpy.typing as npt

from albert_edge.runtime.parameters import (
    Tokenization,
    Tokenizing,
    Truncation,
    read_tokenization,
)
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.task import Items, Many, Task, WindowOutputs, Windows
from albert_edge.runtime.text import TextEncoder


class Given(Truncation, total=False):
    """The parameters of a call, without return_tensors.

    Attributes:
        tokenize_kwargs: Parameters of the tokenizer, which have precedence over those beside it.
            With padding among them the answer has a hidden state for each token of it.
    """

    tokenize_kwargs: Tokenizing | None


class Parameters(Given, total=False):
    """The parameters of a call.

    Attributes:
        return_tensors: Whether to return a float32 numpy array instead of nested lists.
    """

    return_tensors: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """The checked parameters of a call."""

    return_tensors: bool
    tokenization: Tokenization


class FeatureExtraction(Task):
    """See `transformers.FeatureExtractionPipeline`, whose answers these are."""

    accepts = Parameters
    unset_by_none = frozenset(Parameters.__annotations__)

    def parameters(self, given: Parameters) -> Checked:
        tokenization = read_tokenization(given, shows_padding=True)
        return Checked(given.get("return_tensors", False), tokenization)

    def encode(self, encoder: TextEncoder, item: Any, parameters: Checked) -> Windows:
        """Tokenize a text."""
        return Windows((encoder.tokenize(item, None, parameters.tokenization),))

    def answer(self, outputs: WindowOutputs, parameters: Checked) -> Any:
        """Return the last hidden state, (1, sequence, hidden_size)."""
        hidden = outputs.only["last_hidden_state"]
        return hidden if parameters.return_tensors else hidden.tolist()


Answer = TypeVar("Answer")
Nested = list[list[list[float]]]
Array = npt.NDArray[np.float32]
Yes = Literal[True]


class FeatureExtractionPipeline(Pipeline, Generic[Answer]):
    """Gives the hidden state of every token of a text, (1, sequence, hidden_size).

    See `Parameters` for the parameters of a call.
    """

    task = "feature-extraction"
    kind = FeatureExtraction

    if TYPE_CHECKING:

        @overload
        def __call__(self, inputs: str, **given: Unpack[Given]) -> Answer: ...
        @overload
        def __call__(self, inputs: list[str], **given: Unpack[Given]) -> list[Answer]: ...
        @overload
        def __call__(self, inputs: Items[str], **given: Unpack[Given]) -> Iterator[Answer]: ...
        @overload
        def __call__(
            self, inputs: str, *, return_tensors: Yes, **given: Unpack[Given]
        ) -> Array: ...
        @overload
        def __call__(
            self, inputs: list[str], *, return_tensors: Yes, **given: Unpack[Given]
        ) -> list[Array]: ...
        @overload
        def __call__(
            self, inputs: Items[str], *, return_tensors: Yes, **given: Unpack[Given]
        ) -> Iterator[Array]: ...
        def __call__(self, inputs: Any, **given: Any) -> Any: ...

        @overload
        async def acall(self, inputs: str, **given: Unpack[Given]) -> Answer: ...
        @overload
        async def acall(self, inputs: Many[str], **given: Unpack[Given]) -> list[Answer]: ...
        @overload
        async def acall(
            self, inputs: str, *, return_tensors: Yes, **given: Unpack[Given]
        ) -> Array: ...
        @overload
        async def acall(
            self, inputs: Many[str], *, return_tensors: Yes, **given: Unpack[Given]
        ) -> list[Array]: ...
        async def acall(self, inputs: Any, **given: Any) -> Any: ...

        @overload
        def answer(self, item: str, **given: Unpack[Given]) -> Answer: ...
        @overload
        def answer(self, item: str, *, return_tensors: Yes, **given: Unpack[Given]) -> Array: ...
        def answer(self, item: Any, **given: Any) -> Any: ...

        @overload
        def stream(self, items: Iterable[str], **given: Unpack[Given]) -> Iterator[Answer]: ...
        @overload
        def stream(
            self, items: Iterable[str], *, return_tensors: Yes, **given: Unpack[Given]
        ) -> Iterator[Array]: ...
        def stream(self, items: Any, **given: Any) -> Any: ...
