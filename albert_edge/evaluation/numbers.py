"""Answers that are numbers: how well they follow those of the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from albert_edge.bundle.bundle import Bundle
from albert_edge.evaluation.formulas import pearson, spearman
from albert_edge.evaluation.labels import is_long_text
from albert_edge.evaluation.subject import Example, Measure, Metric, Subject
from albert_edge.evaluation.texts import is_over, joined, read_number, read_tables
from albert_edge.records import TEXT_OR_PAIR, Fields
from albert_edge.runtime.embedding import EmbeddingPipeline
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.session import Session
from albert_edge.runtime.tasks.sentence_embeddings import SentenceEmbeddings
from albert_edge.runtime.text import TextEncoder, load_text_encoder
from albert_edge.runtime.vectors import cosine

_PAIR = Fields(("text", "text_pair"))


class Numbers(Subject):
    """Texts or pairs with a number as "label" each, and a model with one output."""

    task: ClassVar = "text-classification"
    kind: ClassVar = "number"
    windows: ClassVar = False
    share: ClassVar = ""

    def __init__(self, bundle: Bundle) -> None:
        pass

    def examples(self, path: Path) -> Iterator[Example]:
        for number, record in read_tables(path, TEXT_OR_PAIR):
            gold = read_number(path, number, record, "label")
            yield Example(TEXT_OR_PAIR.item(record), gold, joined(record))

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        return is_long_text(encoder, item)

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[float]:
        # What was trained to give a number gives it as it is, whatever pipelines make of it.
        classify = Pipeline(self.task, session, truncation=True, function_to_apply="none")
        for answer in classify.stream(items):
            yield answer["score"]

    def score(self, gold: Sequence[float], found: Sequence[float]) -> dict[str, Metric]:
        from scipy.stats import pearsonr, spearmanr

        undefined = _no_correlation(gold, found)
        if undefined:
            return {"pearson": undefined, "spearman": undefined}
        return {
            "pearson": float(pearsonr(gold, found).statistic),
            "spearman": float(spearmanr(gold, found).statistic),
        }

    def outcome(self, gold: float, found: float) -> tuple[float, float]:
        return gold, found

    def is_right(self, outcome: tuple[float, float]) -> bool:
        return outcome[0] == outcome[1]

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        gold, found = np.array(outcomes, np.float64).T
        return lambda weights: {
            "pearson": pearson(weights, gold, found),
            "spearman": spearman(weights, gold, found),
        }

    def show(self, example: Example, answers: Sequence[float]) -> tuple[str, list[str]]:
        return f"{example.gold:g}", [f"{answer:.4f}" for answer in answers]


class Similarities(Numbers):
    """Pairs with a number as "score" each, which the cosine of their embeddings should follow."""

    task: ClassVar = "sentence-embeddings"
    kind: ClassVar = "similarity"

    def examples(self, path: Path) -> Iterator[Example]:
        for number, record in read_tables(path, _PAIR):
            gold = read_number(path, number, record, "score")
            yield Example((record["text"], record["text_pair"]), gold, joined(record))

    def encoder(self, bundle: Bundle) -> TextEncoder:
        return SentenceEmbeddings(bundle).prepare(load_text_encoder(bundle))

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        return any(is_over(encoder, text) for text in item)

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[float]:
        embed = EmbeddingPipeline(self.task, session, truncation=True)
        vectors = embed.stream(chain.from_iterable(items))
        for first, second in zip(vectors, vectors, strict=True):
            yield float(cosine(first, second))


def _no_correlation(gold: Sequence[float], found: Sequence[float]) -> str | None:
    """Why numbers have no correlation."""
    if len(gold) < 2:
        return "there is one text alone"
    for who, values in (("text has", gold), ("answer is", found)):
        if not np.isfinite(values).all():
            return f"an {who} no number"
        if np.ptp(values) == 0:
            return f"every {who} the same number"
    return None
