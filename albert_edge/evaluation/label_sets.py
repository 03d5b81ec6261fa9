"""Text classification, any number of labels a text: F1 and subset accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import RecordError
from albert_edge.evaluation.formulas import f1, macro_f1, of_sums
from albert_edge.evaluation.labels import is_long_text
from albert_edge.evaluation.subject import Example, Floats, Measure, Metric, Subject
from albert_edge.evaluation.texts import joined, read_label, read_tables
from albert_edge.records import TEXT_OR_PAIR, Record
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.session import Session
from albert_edge.runtime.text import TextEncoder

Labels = tuple[int, ...]

# From this score on a label is given, as where its logit is above 0.
_THRESHOLD = 0.5
_NONE = "no text has a label and none was given"


class LabelSets(Subject):
    """Texts or pairs with "labels" each: a list, or a text with commas between them."""

    task: ClassVar = "text-classification"
    kind: ClassVar = "labels"
    windows: ClassVar = False
    share: ClassVar = "subset_accuracy"

    def __init__(self, bundle: Bundle) -> None:
        self.labels = bundle.manifest.labels

    def examples(self, path: Path) -> Iterator[Example]:
        for number, record in read_tables(path, TEXT_OR_PAIR):
            given = _given(path, number, record)
            gold = {read_label(path, number, label, self.labels) for label in given}
            yield Example(TEXT_OR_PAIR.item(record), tuple(sorted(gold)), joined(record))

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        return is_long_text(encoder, item)

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[Labels]:
        places = {label: place for place, label in enumerate(self.labels)}
        classify = Pipeline(self.task, session, truncation=True, top_k=None)
        for answer in classify.stream(items, function_to_apply="sigmoid"):
            chosen = [entry["label"] for entry in answer if entry["score"] > _THRESHOLD]
            yield tuple(sorted(places[label] for label in chosen))

    def score(self, gold: Sequence[Labels], found: Sequence[Labels]) -> dict[str, Metric]:
        from sklearn.metrics import accuracy_score, f1_score

        right, ours = self._indicators(gold), self._indicators(found)
        present = np.flatnonzero((right | ours).any(axis=0))
        scores: dict[str, Metric] = {}
        for average in ("micro", "macro"):
            scores[f"{average}_f1"] = _NONE
            if present.size:
                value = f1_score(right, ours, labels=present, average=average, zero_division=0)
                scores[f"{average}_f1"] = float(value)
        return {**scores, "subset_accuracy": float(accuracy_score(right, ours))}

    def outcome(self, gold: Labels, found: Labels) -> tuple[Labels, Labels]:
        return gold, found

    def is_right(self, outcome: tuple[Labels, Labels]) -> bool:
        return outcome[0] == outcome[1]

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        gold, found = (self._indicators([pair[side] for pair in outcomes]) for side in (0, 1))
        right = (gold == found).all(axis=1, keepdims=True)
        rows = np.concatenate([gold & found, gold, found, right, right | True], axis=1)
        return of_sums(rows.astype(np.float64), _metrics)

    def show(self, example: Example, answers: Sequence[Labels]) -> tuple[str, list[str]]:
        right, *shown = (
            ", ".join(self.labels[place] for place in places) or "none"
            for places in (example.gold, *answers)
        )
        return right, shown

    def _indicators(self, sets: Sequence[Labels]) -> npt.NDArray[np.bool_]:
        """Which labels each has, (texts, labels)."""
        # One column alone scikit-learn would take for two classes.
        indicators = np.zeros((len(sets), max(2, len(self.labels))), np.bool_)
        for row, places in zip(indicators, sets, strict=True):
            row[list(places)] = True
        return indicators


def _given(path: Path, number: int, record: Record) -> list[Any]:
    """The labels of a record, as it has them."""
    given = record.get("labels")
    if isinstance(given, str):
        return [label.strip() for label in given.split(",")] if given.strip() else []
    if isinstance(given, list):
        return given
    raise RecordError(
        f"{path}: record {number} has no labels.",
        tip='Every record needs "labels": a list, or a text with commas between them.',
    )


def _metrics(sums: Floats) -> dict[str, Floats]:
    hits, gold, found = np.split(sums[:-2], 3)
    return {
        "micro_f1": f1(*(counts.sum(axis=0) for counts in (hits, gold, found))),
        "macro_f1": macro_f1(hits, gold, found),
        "subset_accuracy": sums[-2] / sums[-1],
    }
