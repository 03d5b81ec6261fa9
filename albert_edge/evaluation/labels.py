"""Text classification, one label a text: accuracy, F1 and Matthews correlation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from albert_edge.bundle.bundle import Bundle
from albert_edge.evaluation.formulas import macro_f1, matthews, of_sums
from albert_edge.evaluation.subject import Example, Floats, Measure, Metric, Subject
from albert_edge.evaluation.texts import is_over, joined, read_label, read_tables
from albert_edge.records import TEXT_OR_PAIR
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.session import Session
from albert_edge.runtime.text import TextEncoder


class Labels(Subject):
    """Texts or pairs with a "label" each, a name or a number."""

    task: ClassVar = "text-classification"
    kind: ClassVar = "label"
    windows: ClassVar = False
    share: ClassVar = "accuracy"

    def __init__(self, bundle: Bundle) -> None:
        self.labels = bundle.manifest.labels

    def examples(self, path: Path) -> Iterator[Example]:
        for number, record in read_tables(path, TEXT_OR_PAIR):
            gold = read_label(path, number, record.get("label"), self.labels)
            yield Example(TEXT_OR_PAIR.item(record), gold, joined(record))

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        return is_long_text(encoder, item)

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[int]:
        places = {label: place for place, label in reversed([*enumerate(self.labels)])}
        for answer in Pipeline(self.task, session, truncation=True).stream(items):
            yield places[answer["label"]]

    def score(self, gold: Sequence[int], found: Sequence[int]) -> dict[str, Metric]:
        from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

        correlation: Metric = constant_label(gold, found, self.labels) or float(
            matthews_corrcoef(gold, found)
        )
        return {
            "accuracy": float(accuracy_score(gold, found)),
            "macro_f1": float(f1_score(gold, found, average="macro", zero_division=0)),
            "matthews": correlation,
        }

    def outcome(self, gold: int, found: int) -> tuple[int, int]:
        return gold, found

    def is_right(self, outcome: tuple[int, int]) -> bool:
        return outcome[0] == outcome[1]

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        pairs = np.array(outcomes)
        labels = np.unique(pairs)
        gold, found = (pairs[:, [side]] == labels for side in (0, 1))
        rows = np.concatenate([gold & found, gold, found], axis=1).astype(np.float64)
        return of_sums(rows, _metrics)

    def show(self, example: Example, answers: Sequence[int]) -> tuple[str, list[str]]:
        return self.labels[example.gold], [self.labels[answer] for answer in answers]


def is_long_text(encoder: TextEncoder, item: Any) -> bool:
    """Whether a text or a pair, as the pipeline takes it, is over the model's limit."""
    if isinstance(item, str):
        return is_over(encoder, item)
    return is_over(encoder, item["text"], item["text_pair"])


def constant_label(gold: Sequence[int], found: Sequence[int], labels: Sequence[str]) -> str | None:
    """Why there is no correlation: one side has one label alone."""
    for who, values in (("every text is", gold), ("every answer is", found)):
        if len(set(values)) == 1:
            return f"{who} {labels[values[0]]}"
    return None


def _metrics(sums: Floats) -> dict[str, Floats]:
    hits, gold, found = np.split(sums, 3)
    return {
        "accuracy": hits.sum(axis=0) / gold.sum(axis=0),
        "macro_f1": macro_f1(hits, gold, found),
        "matthews": matthews(hits, gold, found),
    }
