"""Text classification: single label, multi label and regression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    NotRequired,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)

import numpy as np
import numpy.typing as npt

from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import Manifest
from albert_edge.records.fields import TEXT_OR_PAIR
from albert_edge.runtime.parameters import (
    LayersUsed,
    Tokenization,
    Tokenizing,
    read_choice,
    read_tokenization,
    require_known,
)
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.signature import TOKENIZER, translate
from albert_edge.runtime.task import Items, Task, WindowOutputs, Windows
from albert_edge.runtime.tasks import ranked
from albert_edge.runtime.tasks.ranked import Best, K
from albert_edge.runtime.text import TextEncoder
from albert_edge.runtime.vectors import sigmoid, softmax

Scores = npt.NDArray[np.float32]


class Pair(TypedDict):
    """A text and, where the model takes it, a second one."""

    text: str
    text_pair: NotRequired[str]


class Label(TypedDict):
    """A label, how well it fits and, if requested, how many layers of the model that took.

    A label is a string unless config.json has another value.
    """

    label: str | Any
    score: float
    layers: NotRequired[int]


class Given(Tokenizing, LayersUsed, total=False):
    """The parameters of a call, without top_k.

    Attributes:
        function_to_apply: Turns logits into scores: "softmax", "sigmoid" or "none"; by default the
            function the model was trained with.
    """

    function_to_apply: str | None


class Parameters(Given, ranked.Parameters, total=False):
    """The parameters of a call."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The checked parameters of a call, and those that were given."""

    best: Best
    function: str
    tokenization: Tokenization
    given: Mapping[str, Any]


class TextClassification(Task):
    """See `transformers.TextClassificationPipeline`, whose answers these are."""

    fields = TEXT_OR_PAIR
    accepts = Parameters
    answer_columns = ("label", "score")
    unset_by_none = ("function_to_apply",)

    def __init__(self, bundle: Bundle) -> None:
        self.labels = bundle.manifest.labels
        self.default_function = _default_function(bundle.manifest)

    def merge(self, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Let the parameters of a call replace the defaults, top_k also return_all_scores."""
        merged = super().merge(defaults, given)
        if _has_top_k(given):
            merged.pop("return_all_scores", None)
        return merged

    def parameters(self, given: Parameters) -> Checked:
        best = ranked.read_top_k(given)
        every = cast(Mapping[str, Any], given).get("return_all_scores")  # of transformers 4
        if every:
            best = Best(None, bare=False, ranked=_has_top_k(given))
        elif every is not None:
            best = Best(1, bare=not _has_top_k(given))
        function = read_choice(given, "function_to_apply", self.default_function, _FUNCTIONS)
        return Checked(best, function, read_tokenization(given), given)

    def encode(self, encoder: TextEncoder, item: Any, parameters: Checked) -> Windows:
        """Tokenize a text, or a {"text": ..., "text_pair": ...} pair.

        As in transformers, other keys of the pair are arguments of the tokenizer.
        """
        text, pair, how = item, None, parameters.tokenization
        if isinstance(item, dict):
            own = dict(item)
            text, pair = own.pop("text", None), own.pop("text_pair", None)
            if own:
                require_known("an item", own, TOKENIZER)
                own = translate("an item", TOKENIZER, own)
                how = read_tokenization({**parameters.given, **own})
        elif _is_nested_pair(item):
            text, pair = item[0]
        # As in transformers, an empty second text is left out.
        return Windows((encoder.tokenize(text, pair or None, how),))

    def answer(self, outputs: WindowOutputs, parameters: Checked) -> Any:
        """Map logits, (1, num_labels), to labels with scores."""
        scores = _FUNCTIONS[parameters.function](outputs.only["logits"][0])
        pairs = zip(self.labels, scores.tolist(), strict=True)
        return parameters.best.of([{"label": label, "score": score} for label, score in pairs])

    def single(self, item: Any, answer: Any, given: Mapping[str, Any]) -> Any:
        """Put a list around the answer of a text in a call without top_k, as transformers does."""
        return [answer] if isinstance(item, str) and "top_k" not in given else answer


def _has_top_k(given: Mapping[str, Any]) -> bool:
    return bool(given.get("top_k", "") != "")


def _is_nested_pair(item: Any) -> bool:
    # [["text", "pair"]] is an older form of a pair that transformers still accepts.
    return (
        isinstance(item, list)
        and len(item) == 1
        and isinstance(item[0], list)
        and len(item[0]) == 2
    )


def _default_function(manifest: Manifest) -> str:
    if manifest.problem_type == "regression":
        return "none"
    if manifest.problem_type == "multi_label_classification" or len(manifest.labels) == 1:
        return "sigmoid"
    return "softmax"


_FUNCTIONS: dict[str, Callable[[Scores], Scores]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "none": np.asarray,
}
Answer = TypeVar("Answer")
Item = str | Pair
Texts = list[str] | list[Pair] | list[str | Pair]


class TextClassificationPipeline(Pipeline, Generic[Answer]):
    """Labels texts: `classify("a great film")` gives `[{"label": "POSITIVE", "score": 0.998}]`.

    See `Parameters` for the parameters of a call.
    """

    task = "text-classification"
    kind = TextClassification

    if TYPE_CHECKING:

        @overload
        def __call__(self, inputs: str, **given: Unpack[Given]) -> list[Answer]: ...
        @overload
        def __call__(self, inputs: Pair, **given: Unpack[Given]) -> Answer: ...
        @overload
        def __call__(self, inputs: Texts, **given: Unpack[Given]) -> list[Answer]: ...
        @overload
        def __call__(self, inputs: Items[Item], **given: Unpack[Given]) -> Iterator[Answer]: ...
        @overload
        def __call__(self, inputs: Item, *, top_k: K, **given: Unpack[Given]) -> list[Label]: ...
        @overload
        def __call__(
            self, inputs: Texts, *, top_k: K, **given: Unpack[Given]
        ) -> list[list[Label]]: ...
        @overload
        def __call__(
            self, inputs: Items[Item], *, top_k: K, **given: Unpack[Given]
        ) -> Iterator[list[Label]]: ...
        def __call__(self, inputs: Any, **given: Any) -> Any: ...

        @overload
        async def acall(self, inputs: Pair, **given: Unpack[Given]) -> Answer: ...
        @overload
        async def acall(
            self, inputs: str | Texts | Items[Item], **given: Unpack[Given]
        ) -> list[Answer]: ...
        @overload
        async def acall(self, inputs: Item, *, top_k: K, **given: Unpack[Given]) -> list[Label]: ...
        @overload
        async def acall(
            self, inputs: Texts | Items[Item], *, top_k: K, **given: Unpack[Given]
        ) -> list[list[Label]]: ...
        async def acall(self, inputs: Any, **given: Any) -> Any: ...

        @overload
        def answer(self, item: Item, **given: Unpack[Given]) -> Answer: ...
        @overload
        def answer(self, item: Item, *, top_k: K, **given: Unpack[Given]) -> list[Label]: ...
        def answer(self, item: Any, **given: Any) -> Any: ...

        @overload
        def stream(self, items: Iterable[Item], **given: Unpack[Given]) -> Iterator[Answer]: ...
        @overload
        def stream(
            self, items: Iterable[Item], *, top_k: K, **given: Unpack[Given]
        ) -> Iterator[list[Label]]: ...
        def stream(self, items: Any, **given: Any) -> Any: ...
