"""Sentence order: whether two segments stand in their original order, as ALBERT was pretrained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import BundleError, InputError
from albert_edge.runtime.tasks.base import Inputs, Outputs
from albert_edge.runtime.tasks.top_k import TopK, read_top_k
from albert_edge.runtime.text import Cut, TextEncoder, cut
from albert_edge.runtime.vectors import softmax

# By class, as `sentence_order_label` of transformers.AlbertForPreTraining counts them.
LABELS = ("in-order", "swapped")


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a call."""

    top_k: TopK
    cut: Cut


class SentenceOrder:
    """Answers with the sentence-order head of `transformers.AlbertForPreTraining`.

    transformers has no pipeline for it; the answers have the form of its text classification.
    The task is that of Lan et al., ALBERT (2020), section 3.1.
    """

    def __init__(self, bundle: Bundle) -> None:
        classes = len(bundle.manifest.labels)
        if classes != len(LABELS):
            raise BundleError(
                f"The sentence-order head of {bundle.folder} has {classes} classes, not 2.",
                tip="Run it through albert_edge.runtime.session.Session, which gives sop_logits.",
            )

    def parameters(
        self,
        *,
        top_k: int | str | None = "",
        truncation: bool | str = False,
        max_length: int | None = None,
        padding: bool | str = False,
    ) -> Parameters:
        """Check the parameters of a call.

        Args:
            top_k: How many labels to return, best first; None returns both. Left out, the best
                one alone is returned, without a list around it.
            truncation: See `albert_edge.runtime.text.cut`, as the next two.
            max_length: A limit below the model's own, in tokens.
            padding: Taken, and without effect.

        Raises:
            UsageError: A parameter has no meaning.
        """
        return Parameters(read_top_k(top_k), cut(truncation, max_length, padding))

    def encode(self, encoder: TextEncoder, item: Any, parameters: Parameters) -> Inputs:
        """Tokenize {"text": first segment, "text_pair": second segment}.

        Raises:
            TypeError: The item has another form.
            InputError: A segment is empty, too long or not valid Unicode.
        """
        if not isinstance(item, dict) or not {"text", "text_pair"} <= item.keys():
            raise TypeError('an item must be {"text": text, "text_pair": text}')
        first, second = item["text"], item["text_pair"]
        if not (isinstance(first, str) and isinstance(second, str)):
            raise TypeError("text and text_pair must both be strings")
        if not (first and second):
            raise InputError("A segment is empty, so there is no order.", tip="Give two texts.")
        return encoder.encode(first, second, parameters.cut)

    def answer(self, outputs: Outputs, parameters: Parameters) -> Any:
        """Map sop_logits, (1, 2), to labels with scores."""
        scores = softmax(outputs["sop_logits"][0]).tolist()
        return parameters.top_k.of(
            [{"label": label, "score": score} for label, score in zip(LABELS, scores, strict=True)]
        )

    def single(self, item: Any, answer: Any, given: Mapping[str, Any]) -> Any:
        """The bare answer."""
        return answer
