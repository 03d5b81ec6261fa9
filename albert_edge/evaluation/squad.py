"""SQuAD: its files, and its metrics as the official script for version 2.0 computes them.

The script is evaluate-v2.0.py of Rajpurkar, Jia and Liang, Know What You Don't Know: Unanswerable
Questions for SQuAD, ACL 2018. On version 1.1 the results equal those of that version's
script, except where an answer consists only of articles and punctuation.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from albert_edge.errors import RecordError
from albert_edge.evaluation.texts import read_tables
from albert_edge.json_fields import JsonObject, parse_object
from albert_edge.records.paths import cannot_open
from albert_edge.runtime.tasks.question_answering import QuestionAnswering

_error = partial(
    RecordError,
    tip='SQuAD\'s .json has {"data": [{"paragraphs": [{"context": ..., "qas": [...]}]}]}, '
    "and .jsonl a question per line.",
)
_SUFFIXES = (".json", ".jsonl", ".parquet")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a context, and its correct answers; none if it cannot be answered."""

    question: str
    context: str
    answers: tuple[str, ...]


def normalize(answer: str) -> str:
    """Lower-case an answer; drop ASCII punctuation, English articles and redundant spaces."""
    text = answer.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def score_answer(answer: str, correct: tuple[str, ...]) -> tuple[float, float]:
    """Compute exact match and F1 of an answer: the best over the correct answers.

    Args:
        answer: The given answer; "" means that there is no answer.
        correct: The correct answers; none if the question has no answer.
    """
    ours = normalize(answer)
    theirs = [text for text in map(normalize, correct) if text] or [""]
    exact = float(ours in theirs)
    return exact, max(_overlap(ours.split(), text.split()) for text in theirs)


def _overlap(ours: list[str], theirs: list[str]) -> float:
    """Compute F1 of the words that two answers share."""
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


def read_questions(path: Path) -> Iterator[Question]:
    """Read the questions of a file.

    Args:
        path: .json as SQuAD 1.1 and 2.0 have it; or .jsonl or .parquet with
            "question", "context" and "answers" in a record: a list of texts, or {"text": [...]} as
            the datasets library has it.

    Raises:
        UsageError: The file cannot be opened or has another suffix.
        RecordError: The file is not JSON, or a question is invalid; the message says which.
    """
    if path.suffix.lower() == ".json":
        for article in _load(path).objects("data"):
            for paragraph in article.objects("paragraphs"):
                for entry in paragraph.objects("qas"):
                    yield _question(entry, paragraph)
        return
    for number, values in read_tables(path, QuestionAnswering.fields, _SUFFIXES):
        record = JsonObject(values, f"{path}: record {number}", _error)
        yield _question(record, record)


def _load(path: Path) -> JsonObject:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise cannot_open(path, error) from error
    return parse_object(content, str(path), _error)


def _question(entry: JsonObject, paragraph: JsonObject) -> Question:
    for fields, name in ((entry, "question"), (paragraph, "context")):
        if not fields.text(name).strip():
            raise fields.fault(name, "a text that is not blank")
    answers = entry.values.get("answers", [] if entry.values.get("is_impossible") else None)
    if isinstance(answers, dict):
        answers = answers.get("text")
    if isinstance(answers, list):
        texts = [answer.get("text") if isinstance(answer, dict) else answer for answer in answers]
        known = tuple(text for text in texts if isinstance(text, str))
        if len(known) == len(texts):
            return Question(entry.text("question"), paragraph.text("context"), known)
    raise entry.fault("answers", 'a list of texts or of objects with a "text", empty if none')
