"""Sentence order: whether two segments are in their original order, a task of pretraining."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict, TypeVar

from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import BundleError, InputError
from albert_edge.records.fields import Fields
from albert_edge.runtime.task import WindowOutputs, Windows
from albert_edge.runtime.tasks.ranked import Checked, RankedPipeline, RankedTask
from albert_edge.runtime.text import TextEncoder
from albert_edge.runtime.vectors import softmax

# In the order of the classes of `sentence_order_label` of transformers.AlbertForPreTraining.
LABELS = ("in-order", "swapped")


class Segments(TypedDict):
    """Two segments of a text."""

    text: str
    text_pair: str


class Order(TypedDict):
    """A label, "in-order" or "swapped", its probability and, if requested, the layers used."""

    label: str
    score: float
    layers: NotRequired[int]


class SentenceOrder(RankedTask):
    """Answers with the sentence-order head of `transformers.AlbertForPreTraining`.

    transformers has no pipeline for it; the answers have the form of text classification.
    The task is that of Lan et al., ALBERT (2020), section 3.1.
    """

    fields = Fields(("text", "text_pair"))
    answer_columns = ("label", "score")

    def __init__(self, bundle: Bundle) -> None:
        classes = len(bundle.manifest.labels)
        if classes != len(LABELS):
            raise BundleError(
                f"The sentence-order head of {bundle.path} has {classes} classes, not 2.",
                tip="Run it through albert_edge.Session, which gives sop_logits.",
            )

    def encode(self, encoder: TextEncoder, item: Any, parameters: Checked) -> Windows:
        """Tokenize {"text": first segment, "text_pair": second segment}.

        Raises:
            TypeError: The item is not of that form.
            InputError: A segment is empty, too long or not valid Unicode.
        """
        if not isinstance(item, dict) or not {"text", "text_pair"} <= item.keys():
            raise TypeError('an item must be {"text": text, "text_pair": text}')
        first, second = item["text"], item["text_pair"]
        if not (isinstance(first, str) and isinstance(second, str)):
            raise TypeError("text and text_pair must both be strings")
        if not (first and second):
            raise InputError("A segment is empty, so there is no order.", tip="Give two texts.")
        return Windows((encoder.encode(first, second, parameters.cut),))

    def answer(self, outputs: WindowOutputs, parameters: Checked) -> Any:
        """Map sop_logits, (1, 2), to labels with scores."""
        scores = softmax(outputs.only["sop_logits"][0]).tolist()
        return parameters.best.of(
            [{"label": label, "score": score} for label, score in zip(LABELS, scores, strict=True)]
        )


Answer = TypeVar("Answer")


class SentenceOrderPipeline(RankedPipeline[Segments, Order, Answer]):
    """Classifies two segments as in order or swapped.

    {"text": text, "text_pair": text} gives {"label": "in-order" or "swapped", "score": float}.

    See `albert_edge.runtime.tasks.ranked.Parameters` for the parameters of a call.
    """

    task = "sentence-order"
    kind = SentenceOrder
