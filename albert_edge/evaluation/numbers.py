"""Answers that are numbers: their correlation with those of the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from albert_edge.bundle.bundle import Bundle
from albert_edge.evaluation.metrics import pearson, spearman
from albert_edge.evaluation.scorer import Example, Measure
from albert_edge.evaluation.texts import TextScorer, is_over, joined, read_number, read_tables
from albert_edge.records.fields import Fields
from albert_edge.runtime.session import Session
from albert_edge.runtime.tasks.sentence_embeddings import (
    SentenceEmbeddings,
    SentenceEmbeddingsPipeline,
)
from albert_edge.runtime.tasks.text_classification import Label, TextClassificationPipeline
from albert_edge.runtime.text import TextEncoder, load_text_encoder
from albert_edge.runtime.vectors import cosine

_PAIR = Fields(("text", "text_pair"))


class Numbers(TextScorer):
    """Scores texts or pairs with a number as "label" each, and a model with one output."""

    kind: ClassVar[str] = "number"

    def examples(self, path: Path) -> Iterator[Example]:
        for number, record, item, text in self.records(path):
            yield Example(item, read_number(path, number, record, "label"), text)

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[float]:
        # A regression model's answer is its raw output; pipelines would apply a sigmoid.
        regress = TextClassificationPipeline[Label](
            session, truncation=True, function_to_apply="none"
        )
        for answer in regress.stream(items):
            yield answer["score"]

    def undefined(self, expected: Sequence[float], answers: Sequence[float]) -> dict[str, str]:
        reason = _no_correlation(expected, answers)
        return {"pearson": reason, "spearman": reason} if reason else {}

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        expected, answers = np.array(outcomes, np.float64).T
        return lambda weights: {
            "pearson": pearson(weights, expected, answers),
            "spearman": spearman(weights, expected, answers),
        }

    def show(self, example: Example, answers: Sequence[float]) -> tuple[str, list[str]]:
        return f"{example.expected:g}", [f"{answer:.4f}" for answer in answers]


class Similarities(Numbers):
    """Scores pairs with a similarity as "score" each by the cosine of their embeddings."""

    task: ClassVar[str] = "sentence-embeddings"
    kind: ClassVar[str] = "similarity"

    def examples(self, path: Path) -> Iterator[Example]:
        for number, record in read_tables(path, _PAIR):
            expected = read_number(path, number, record, "score")
            yield Example((record["text"], record["text_pair"]), expected, joined(record))

    def encoder(self, bundle: Bundle) -> TextEncoder:
        return SentenceEmbeddings(bundle).prepare(load_text_encoder(bundle))

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        return any(is_over(encoder, text) for text in item)

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[float]:
        embed = SentenceEmbeddingsPipeline(session, truncation=True)
        vectors = embed.stream(chain.from_iterable(items))
        for first, second in zip(vectors, vectors, strict=True):
            yield float(cosine(first, second))


def _no_correlation(expected: Sequence[float], answers: Sequence[float]) -> str | None:
    """Explain why numbers have no correlation; None if they have one."""
    if len(expected) < 2:
        return "there is only one text"
    for what, values in (("text has", expected), ("answer is", answers)):
        if not np.isfinite(values).all():
            return f"an {what} not a number"
        if np.ptp(values) == 0:
            return f"every {what} the same number"
    return None
