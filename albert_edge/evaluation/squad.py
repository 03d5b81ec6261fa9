"""SQuAD: its files, and its metrics as the official script for version 2.0 computes them.

The script is evaluate-v2.0.py of Rajpurkar, Jia and Liang, Know What You Don't Know: Unanswerable
Questions for SQuAD, ACL 2018. On version 1.1 the results equal those of that version's
script, except where an answer consists only of articles and punctuation.
"""

from __future__ import annotations

import codecs
import re
import string
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from albert_edge.errors import RecordError, UsageError
from albert_edge.evaluation.texts import read_tables
from albert_edge.json_fields import parse_json
from albert_edge.records import Fields

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
        path: .json as SQuAD 1.1 and 2.0 have it; or .jsonl with "question", "context" and "answers"
            a line: a list of texts, or {"text": [...]} as the datasets library has it.

    Raises:
        UsageError: The file cannot be opened or has another suffix.
        RecordError: The file is not JSON, or a question is invalid; the message says which.
    """
    if path.suffix.lower() == ".json":
        yield from _squad(path)
        return
    fields = Fields(("question", "context"))
    for number, record in read_tables(path, fields, (".json", ".jsonl")):
        yield _question(f"{path}: record {number}", record, record["context"])


def _squad(path: Path) -> Iterator[Question]:
    number = 0
    for article in _list(_load(path), "data", str(path)):
        for paragraph in _list(article, "paragraphs", f"{path}: the article after {number}"):
            place = f"{path}: the paragraph after question {number}"
            for entry in _list(paragraph, "qas", place):
                number += 1
                place = f"{path}: question {number}"
                yield _question(place, entry, paragraph.get("context"))


def _load(path: Path) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be opened: {error.strerror}.", tip="Check its name and permissions."
        ) from error
    tip = "Name it .jsonl if it has one object per line."
    content = content.removeprefix(codecs.BOM_UTF8)
    return parse_json(content, str(path), partial(RecordError, tip=tip, where=path))


def _list(owner: Any, name: str, place: str) -> list[Any]:
    found = owner.get(name) if isinstance(owner, dict) else None
    if not isinstance(found, list):
        raise RecordError(
            f'{place} has no list "{name}".',
            tip='SQuAD has {"data": [{"paragraphs": [{"context": ..., "qas": [...]}]}]}.',
        )
    return found


def _question(place: str, entry: Any, context: Any) -> Question:
    question = entry.get("question") if isinstance(entry, dict) else None
    for name, text in (("question", question), ("context", context)):
        if not (isinstance(text, str) and text.strip()):
            raise RecordError(f"{place} has no {name}.", tip="Correct it, or take it out.")
    answers = _texts(entry.get("answers", [] if entry.get("is_impossible") else None))
    if answers is None:
        raise RecordError(
            f"{place} has no answers.",
            tip='Give "answers" a list of {"text": ...} or texts; an empty one if it has none.',
        )
    return Question(str(question), str(context), answers)


def _texts(answers: Any) -> tuple[str, ...] | None:
    """Read the texts of answers in any supported form; None for another form."""
    if isinstance(answers, dict):
        answers = answers.get("text")
    if not isinstance(answers, list):
        return None
    texts = [answer.get("text") if isinstance(answer, dict) else answer for answer in answers]
    known = tuple(text for text in texts if isinstance(text, str))
    return known if len(known) == len(texts) else None
