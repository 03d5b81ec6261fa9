"""Question answering: exact match and F1 as SQuAD defines them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from albert_edge.bundle.bundle import Bundle
from albert_edge.evaluation.metrics import divide, of_sums
from albert_edge.evaluation.scorer import Example, Floats, Measure, Scorer
from albert_edge.evaluation.squad import read_questions, score_answer
from albert_edge.runtime.session import Session
from albert_edge.runtime.tasks.question_answering import Answer, QuestionAnsweringPipeline
from albert_edge.runtime.text import TextEncoder

CorrectAnswers = tuple[str, ...]

# As in the question answering example of transformers (run_qa.py); many correct answers are longer
# than the pipeline's own limit of 15 tokens.
_LONGEST_ANSWER = 30
_WINDOW = 384


class Answers(Scorer):
    """Scores questions with a context and their correct answers.

    Where some questions have no answer, "" competes with the answers for every question.

    Args:
        bundle: The bundle.
        unanswerable: Whether some questions are known to have no answer; `examples` finds out.
    """

    task: ClassVar[str] = "question-answering"
    kind: ClassVar[str] = "answers"
    windows: ClassVar[bool] = True
    share: ClassVar[str] = "exact_match"

    def __init__(self, bundle: Bundle, *, unanswerable: bool = False) -> None:
        super().__init__(bundle)
        self.unanswerable = unanswerable

    def examples(self, path: Path) -> Iterator[Example]:
        for entry in read_questions(path):
            self.unanswerable = self.unanswerable or not entry.answers
            item = {"question": entry.question, "context": entry.context}
            yield Example(item, entry.answers, entry.question)

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        encoding = encoder.tokenizer.encode(item["question"], item["context"])
        return len(encoding) > min(_WINDOW, encoder.max_length)

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[str]:
        answer = QuestionAnsweringPipeline[Answer](
            session,
            max_answer_len=_LONGEST_ANSWER,
            max_seq_len=_WINDOW,
            handle_impossible_answer=self.unanswerable,
        )
        for given in answer.stream(items):
            yield given["answer"] if given else ""

    def undefined(self, expected: Sequence[Any], answers: Sequence[Any]) -> dict[str, str]:
        return dict.fromkeys(("has_answer_exact", "has_answer_f1"), "no question has an answer")

    def outcome(self, expected: CorrectAnswers, answer: str) -> tuple[float, float, bool]:
        return *score_answer(answer, expected), bool(expected)

    def is_right(self, outcome: tuple[Any, ...]) -> bool:
        return bool(outcome[0] == 1)

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        exact, f1, answerable = np.array(outcomes, np.float64).T
        columns = [exact, f1, np.ones_like(exact)]
        if self.unanswerable:
            columns += [exact * answerable, f1 * answerable, answerable]
            columns += [exact * (1 - answerable), 1 - answerable]
        return of_sums(np.stack(columns, axis=1), _metrics)

    def show(self, example: Example, answers: Sequence[str]) -> tuple[str, list[str]]:
        expected = " | ".join(dict.fromkeys(example.expected))
        return expected or "no answer", [answer or "no answer" for answer in answers]


def _metrics(sums: Floats) -> dict[str, Floats]:
    exact, f1, count, *parts = sums
    scores = {"exact_match": divide(exact, count), "f1": divide(f1, count)}
    if not parts:
        return scores
    exact, f1, count, no_answer, unanswerable = parts
    return {
        **scores,
        "has_answer_exact": divide(exact, count),
        "has_answer_f1": divide(f1, count),
        "no_answer_exact": divide(no_answer, unanswerable),
    }
