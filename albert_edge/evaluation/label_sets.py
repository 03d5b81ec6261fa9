"""Text classification with any number of labels per text: F1 and subset accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from albert_edge.errors import RecordError
from albert_edge.evaluation.metrics import f1, macro_f1, of_sums
from albert_edge.evaluation.scorer import Example, Floats, Measure
from albert_edge.evaluation.texts import TextScorer, read_label
from albert_edge.records.fields import Record
from albert_edge.runtime.session import Session
from albert_edge.runtime.tasks.text_classification import Label, TextClassificationPipeline

LabelSet = tuple[int, ...]

# A label is predicted from this score on: where its logit is above 0.
_THRESHOLD = 0.5


class LabelSets(TextScorer):
    """Scores texts or pairs with "labels" each: a list, or a text with commas between them."""

    kind: ClassVar[str] = "labels"
    share: ClassVar[str] = "subset_accuracy"

    def examples(self, path: Path) -> Iterator[Example]:
        for number, record, item, text in self.records(path):
            labels = _labels(path, number, record)
            expected = {read_label(path, number, label, self.labels) for label in labels}
            yield Example(item, tuple(sorted(expected)), text)

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[LabelSet]:
        places = {label: place for place, label in enumerate(self.labels)}
        classify = TextClassificationPipeline[list[Label]](session, truncation=True, top_k=None)
        for answer in classify.stream(items, function_to_apply="sigmoid"):
            chosen = [str(entry["label"]) for entry in answer if entry["score"] > _THRESHOLD]
            yield tuple(sorted(places[label] for label in chosen))

    def undefined(self, expected: Sequence[Any], answers: Sequence[Any]) -> dict[str, str]:
        reason = "no text has a label and none was predicted"
        return {"micro_f1": reason, "macro_f1": reason}

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        expected, predicted = np.zeros((2, len(outcomes), len(self.labels)), np.bool_)
        for row, outcome in enumerate(outcomes):
            for side, labels in zip((expected, predicted), outcome, strict=True):
                side[row, list(labels)] = True
        right = (expected == predicted).all(axis=1, keepdims=True)
        rows = np.concatenate([expected & predicted, expected, predicted, right, right | True], 1)
        return of_sums(rows.astype(np.float64), _metrics)

    def show(self, example: Example, answers: Sequence[LabelSet]) -> tuple[str, list[str]]:
        expected, *shown = (
            ", ".join(self.labels[place] for place in places) or "none"
            for places in (example.expected, *answers)
        )
        return expected, shown


def _labels(path: Path, number: int, record: Record) -> list[Any]:
    """Read the labels of a record, as it names them."""
    labels = record.get("labels")
    if isinstance(labels, str):
        return [label.strip() for label in labels.split(",")] if labels.strip() else []
    if isinstance(labels, list):
        return labels
    raise RecordError(
        f"{path}: record {number} has no labels.",
        tip='Every record needs "labels": a list, or a text with commas between them.',
    )


def _metrics(sums: Floats) -> dict[str, Floats]:
    hits, expected, predicted = np.split(sums[:-2], 3)
    return {
        "micro_f1": f1(*(counts.sum(axis=0) for counts in (hits, expected, predicted))),
        "macro_f1": macro_f1(hits, expected, predicted),
        "subset_accuracy": sums[-2] / sums[-1],
    }
