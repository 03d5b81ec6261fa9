"""Question answering: exact match and F1 as SQuAD has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from albert_edge.bundle.bundle import Bundle
from albert_edge.evaluation.formulas import divide, of_sums
from albert_edge.evaluation.squad import read_questions, score_answer
from albert_edge.evaluation.subject import Example, Floats, Measure, Metric, Subject
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.session import Session
from albert_edge.runtime.text import TextEncoder

Right = tuple[str, ...]

# As in the question answering example of transformers (run_qa.py); the pipeline's own 15 is less
# than many right answers have.
_LONGEST_ANSWER = 30
_WINDOW = 384


class Answers(Subject):
    """Questions with a context and the right answers each.

    Where some questions have no answer, "" competes with the answers for every question.
    """

    task: ClassVar = "question-answering"
    kind: ClassVar = "answers"
    windows: ClassVar = True
    share: ClassVar = "exact_match"

    def __init__(self, bundle: Bundle) -> None:
        self._impossible = False

    def examples(self, path: Path) -> Iterator[Example]:
        for each in read_questions(path):
            self._impossible = self._impossible or not each.answers
            item = {"question": each.question, "context": each.context}
            yield Example(item, each.answers, each.question)

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        encoding = encoder.tokenizer.encode(item["question"], item["context"])
        return len(encoding) > min(_WINDOW, encoder.max_length)

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[str]:
        answer = Pipeline(
            self.task,
            session,
            max_answer_len=_LONGEST_ANSWER,
            max_seq_len=_WINDOW,
            handle_impossible_answer=self._impossible,
        )
        for found in answer.stream(items):
            yield found["answer"] if found else ""

    def score(self, gold: Sequence[Right], found: Sequence[str]) -> dict[str, Metric]:
        outcomes = [self.outcome(*pair) for pair in zip(gold, found, strict=True)]
        values = self.measure(outcomes)(np.ones((1, len(outcomes))))
        return {
            name: "no question has an answer" if np.isnan(value[0]) else float(value[0])
            for name, value in values.items()
        }

    def outcome(self, gold: Right, found: str) -> tuple[float, float, bool]:
        return *score_answer(found, gold), bool(gold)

    def is_right(self, outcome: tuple[float, float, bool]) -> bool:
        return outcome[0] == 1

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        exact, f1, answered = np.array(outcomes, np.float64).T
        columns = [exact, f1, np.ones_like(exact)]
        if self._impossible:
            columns += [exact * answered, f1 * answered, answered]
            columns += [exact * (1 - answered), 1 - answered]
        return of_sums(np.stack(columns, axis=1), _metrics)

    def show(self, example: Example, answers: Sequence[str]) -> tuple[str, list[str]]:
        right = " | ".join(dict.fromkeys(example.gold))
        return right or "no answer", [answer or "no answer" for answer in answers]


def _metrics(sums: Floats) -> dict[str, Floats]:
    exact, f1, count, *parts = sums
    scores = {"exact_match": divide(exact, count), "f1": divide(f1, count)}
    if not parts:
        return scores
    exact, f1, count, impossible, none = parts
    return {
        **scores,
        "has_answer_exact": divide(exact, count),
        "has_answer_f1": divide(f1, count),
        "no_answer_exact": divide(impossible, none),
    }
