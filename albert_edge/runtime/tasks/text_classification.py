"""Text classification: single label, multi label and regression."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import Manifest
from albert_edge.errors import UsageError
from albert_edge.runtime.tasks.base import Inputs, Outputs
from albert_edge.runtime.tasks.top_k import TopK, read_top_k
from albert_edge.runtime.text import Cut, TextEncoder, cut
from albert_edge.runtime.vectors import sigmoid, softmax

Function = Literal["softmax", "sigmoid", "none"]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a call."""

    top_k: TopK
    function_to_apply: Function
    cut: Cut


class TextClassification:
    """See `transformers.TextClassificationPipeline`, whose answers these are."""

    def __init__(self, bundle: Bundle) -> None:
        self.labels = bundle.manifest.labels
        self.default_function = _default_function(bundle.manifest)

    def parameters(
        self,
        *,
        top_k: int | str | None = "",
        function_to_apply: str | None = None,
        truncation: bool | str = False,
        max_length: int | None = None,
        padding: bool | str = False,
    ) -> Parameters:
        """Check the parameters of a call.

        Args:
            top_k: How many labels to return, best first; None returns all. Left out, the best one
                alone is returned, without a list around it.
            function_to_apply: "softmax", "sigmoid" or "none"; by default what the model was
                trained with.
            truncation: See `albert_edge.runtime.text.cut`, as the next two.
            max_length: A limit below the model's own, in tokens.
            padding: Taken, and without effect.

        Raises:
            UsageError: function_to_apply or top_k has no meaning.
        """
        function = str(function_to_apply or self.default_function).lower()
        if function not in ("softmax", "sigmoid", "none"):
            raise UsageError(
                f"function_to_apply is {function_to_apply!r}.",
                tip="It is one of: softmax, sigmoid, none.",
            )
        chosen: Function = function  # type: ignore[assignment]  # checked above
        return Parameters(
            top_k=read_top_k(top_k),
            function_to_apply=chosen,
            cut=cut(truncation, max_length, padding),
        )

    def encode(self, encoder: TextEncoder, item: Any, parameters: Parameters) -> Inputs:
        """Tokenize a text, or a {"text": ..., "text_pair": ...} pair."""
        text, pair = item, None
        if isinstance(item, dict):
            text, pair = item.get("text"), item.get("text_pair")
        elif _is_nested_pair(item):
            text, pair = item[0]
        # To transformers an empty second text is none.
        return encoder.encode(text, pair or None, parameters.cut)

    def answer(self, outputs: Outputs, parameters: Parameters) -> Any:
        """Map logits, (1, num_labels), to labels with scores."""
        scores = _FUNCTIONS[parameters.function_to_apply](outputs["logits"][0])
        pairs = zip(self.labels, scores.tolist(), strict=True)
        return parameters.top_k.of([{"label": label, "score": score} for label, score in pairs])

    def single(self, item: Any, answer: Any, given: Mapping[str, Any]) -> Any:
        """A text without top_k in the call gives a list around its answer; a pair does not."""
        return [answer] if isinstance(item, str) and "top_k" not in given else answer


def _is_nested_pair(item: Any) -> bool:
    # [["text", "pair"]]: an older way of writing a pair that transformers still takes.
    return (
        isinstance(item, list)
        and len(item) == 1
        and isinstance(item[0], list)
        and len(item[0]) == 2
    )


def _default_function(manifest: Manifest) -> Function:
    if manifest.problem_type == "regression":
        return "none"
    if manifest.problem_type == "multi_label_classification" or len(manifest.labels) == 1:
        return "sigmoid"
    return "softmax"


_FUNCTIONS: dict[Function, Callable[[Scores], Scores]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "none": lambda logits: logits,
}
