"""Multiple choice: accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from albert_edge.evaluation.metrics import divide, of_sums
from albert_edge.evaluation.scorer import Example, Measure, Scorer
from albert_edge.evaluation.texts import is_over, read_label, read_tables
from albert_edge.runtime.session import Session
from albert_edge.runtime.tasks.multiple_choice import Choice, MultipleChoice, MultipleChoicePipeline
from albert_edge.runtime.text import TextEncoder

_FIELDS = MultipleChoice.fields


class Choices(Scorer):
    """Scores prompts with choices, and as "label" the correct choice: its number or its text."""

    task: ClassVar[str] = "multiple-choice"
    kind: ClassVar[str] = "choice"
    share: ClassVar[str] = "accuracy"

    def examples(self, path: Path) -> Iterator[Example]:
        for number, record in read_tables(path, _FIELDS, (".jsonl",)):
            expected = read_label(path, number, record.get("label"), record["choices"])
            yield Example(_FIELDS.item(record), expected, record["prompt"])

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        return any(is_over(encoder, item["prompt"], choice) for choice in item["choices"])

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[int]:
        for answer in MultipleChoicePipeline[Choice](session, truncation=True).stream(items):
            yield answer["index"]

    def outcome(self, expected: int, answer: int) -> tuple[bool, bool]:
        return expected == answer, True

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        rows = np.array(outcomes, np.float64)
        return of_sums(rows, lambda sums: {"accuracy": divide(sums[0], sums[1])})

    def show(self, example: Example, answers: Sequence[int]) -> tuple[str, list[str]]:
        return f"choice {example.expected}", [f"choice {answer}" for answer in answers]
