"""Multiple choice: how often the right choice is the model's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from albert_edge.bundle.bundle import Bundle
from albert_edge.evaluation.formulas import divide, of_sums
from albert_edge.evaluation.subject import Example, Measure, Metric, Subject
from albert_edge.evaluation.texts import is_over, read_label, read_tables
from albert_edge.records import Fields
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.session import Session
from albert_edge.runtime.text import TextEncoder

_FIELDS = Fields(("prompt",), lists=("choices",))


class Choices(Subject):
    """Prompts with choices, and the right choice as "label" each: its number from 0 or its text."""

    task: ClassVar = "multiple-choice"
    kind: ClassVar = "choice"
    windows: ClassVar = False
    share: ClassVar = "accuracy"

    def __init__(self, bundle: Bundle) -> None:
        pass

    def examples(self, path: Path) -> Iterator[Example]:
        for number, record in read_tables(path, _FIELDS, (".jsonl",)):
            gold = read_label(path, number, record.get("label"), record["choices"])
            yield Example(_FIELDS.item(record), gold, record["prompt"])

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        return any(is_over(encoder, item["prompt"], choice) for choice in item["choices"])

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[int]:
        for answer in Pipeline(self.task, session, truncation=True).stream(items):
            yield answer["index"]

    def score(self, gold: Sequence[int], found: Sequence[int]) -> dict[str, Metric]:
        from sklearn.metrics import accuracy_score

        return {"accuracy": float(accuracy_score(gold, found))}

    def outcome(self, gold: int, found: int) -> tuple[bool]:
        return (gold == found,)

    def is_right(self, outcome: tuple[bool]) -> bool:
        return outcome[0]

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        rows = np.array([(right, 1) for (right,) in outcomes], np.float64)
        return of_sums(rows, lambda sums: {"accuracy": divide(sums[0], sums[1])})

    def show(self, example: Example, answers: Sequence[int]) -> tuple[str, list[str]]:
        return f"choice {example.gold}", [f"choice {answer}" for answer in answers]
