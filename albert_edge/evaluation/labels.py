"""Text classification with one label per text: accuracy, F1 and Matthews correlation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from albert_edge.evaluation.metrics import macro_f1, matthews, of_sums
from albert_edge.evaluation.scorer import Example, Floats, Measure
from albert_edge.evaluation.texts import TextScorer, read_label
from albert_edge.runtime.session import Session
from albert_edge.runtime.tasks.text_classification import Label, TextClassificationPipeline


class Labels(TextScorer):
    """Scores texts or pairs with a "label" each, a name or a number."""

    kind: ClassVar[str] = "label"
    share: ClassVar[str] = "accuracy"

    def examples(self, path: Path) -> Iterator[Example]:
        for number, record, item, text in self.records(path):
            yield Example(item, read_label(path, number, record.get("label"), self.labels), text)

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[int]:
        places = {label: place for place, label in reversed([*enumerate(self.labels)])}
        for answer in TextClassificationPipeline[Label](session, truncation=True).stream(items):
            yield places[str(answer["label"])]

    def undefined(self, expected: Sequence[int], answers: Sequence[int]) -> dict[str, str]:
        for what, values in (("every text is", expected), ("every answer is", answers)):
            if len(set(values)) == 1:
                return {"matthews": f"{what} {self.labels[values[0]]}"}
        return {}

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        pairs = np.array(outcomes)
        labels = np.unique(pairs)
        expected, predicted = (pairs[:, [side]] == labels for side in (0, 1))
        rows = np.concatenate([expected & predicted, expected, predicted], axis=1)
        return of_sums(rows.astype(np.float64), _metrics)

    def show(self, example: Example, answers: Sequence[int]) -> tuple[str, list[str]]:
        return self.labels[example.expected], [self.labels[answer] for answer in answers]


def _metrics(sums: Floats) -> dict[str, Floats]:
    hits, expected, predicted = np.split(sums, 3)
    return {
        "accuracy": hits.sum(axis=0) / expected.sum(axis=0),
        "macro_f1": macro_f1(hits, expected, predicted),
        "matthews": matthews(hits, expected, predicted),
    }
