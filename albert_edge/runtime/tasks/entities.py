"""Find entities from the scores of tokens: tokens -> words -> groups -> merged windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.config import LabelName

Scores = npt.NDArray[np.float32]
Join = Callable[[list[str]], str]


class Entity(TypedDict):
    """A token (entity, index) or a group of neighbouring tokens (entity_group), with its place.

    A label is a string unless config.json has another value. If requested, `layers` is how many
    layers were applied to the text, or a list with the number for each of its windows.
    """

    entity: NotRequired[str | Any]
    entity_group: NotRequired[str | Any]
    score: float
    index: NotRequired[int]
    word: str
    start: int
    end: int
    layers: NotRequired[int | list[int]]


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a text.

    Attributes:
        word: Its entry in the vocabulary; for the unknown token, the text it covers.
        index: Its place in the window.
        start: Where it starts in the text, in characters.
        end: Where it ends.
        continues: Whether it continues the word of the token before it.
    """

    word: str
    index: int
    start: int
    end: int
    continues: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A token or a word with its label."""

    label: LabelName
    score: np.float32
    word: str
    start: int
    end: int


def find_entities(
    tokens: Sequence[Token], scores: Scores, labels: Sequence[LabelName], strategy: str, join: Join
) -> list[Entity]:
    """Find the entities of a window.

    Args:
        tokens: Its tokens without special tokens.
        scores: A row for each token of the window, including special tokens.
        labels: The labels of the columns.
        strategy: One of `STRATEGIES`.
        join: Makes a text from entries of the vocabulary.
    """
    if strategy in _WORD_SCORES:
        reduce = _WORD_SCORES[strategy]
        spans = []
        for word in _words(tokens):
            word_scores = reduce(scores[[token.index for token in word]])
            text = join([token.word for token in word])
            spans.append(_span(labels, word_scores, text, word[0].start, word[-1].end))
    else:
        spans = [
            _span(labels, scores[token.index], token.word, token.start, token.end)
            for token in tokens
        ]
    if strategy == "none":
        return [_token_entity(span, token.index) for span, token in zip(spans, tokens, strict=True)]
    return [_group_entity(group, join) for group in _groups(spans)]


def merge_windows(entities: Sequence[Entity]) -> list[Entity]:
    """Keep the longest of overlapping entities of several windows; of equal ones the surest."""
    ordered = sorted(entities, key=lambda entity: int(entity["start"]))
    # As in transformers the first entity is also compared with itself, so that one of length 0 is
    # returned twice.
    kept = ordered[:1]
    for entity in ordered:
        best = kept[-1]
        if not best["start"] <= entity["start"] < best["end"]:
            kept.append(entity)
        elif _rank(entity) > _rank(best):
            kept[-1] = entity
    return kept


def _rank(entity: Entity) -> tuple[int, float]:
    return entity["end"] - entity["start"], entity["score"]


def _span(labels: Sequence[LabelName], scores: Scores, word: str, start: int, end: int) -> Span:
    best = int(scores.argmax())
    return Span(labels[best], scores[best], word, start, end)


def _words(tokens: Sequence[Token]) -> list[list[Token]]:
    words: list[list[Token]] = []
    for token in tokens:
        if token.continues and words:
            words[-1].append(token)
        else:
            words.append([token])
    return words


# The scores of a word, (num_labels,), from those of its tokens, (tokens, num_labels).
_WORD_SCORES: dict[str, Callable[[Scores], Scores]] = {
    "first": lambda scores: scores[0],
    "average": lambda scores: scores.mean(axis=0),
    "max": lambda scores: scores[scores.max(axis=-1).argmax()],
}
STRATEGIES = ("none", "simple", *_WORD_SCORES)


def _groups(spans: Sequence[Span]) -> list[list[Span]]:
    """Group neighbours with the same tag; a label with B- starts a new group."""
    groups: list[list[Span]] = []
    for span in spans:
        begins = isinstance(span.label, str) and span.label.startswith("B-")
        if groups and not begins and _tag(span.label) == _tag(groups[-1][-1].label):
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def _tag(label: LabelName) -> LabelName:
    return label[2:] if isinstance(label, str) and label.startswith(("B-", "I-")) else label


def _token_entity(span: Span, index: int) -> Entity:
    return {
        "entity": span.label,
        "score": span.score.item(),
        "index": index,
        "word": span.word,
        "start": span.start,
        "end": span.end,
    }


def _group_entity(group: Sequence[Span], join: Join) -> Entity:
    label = group[0].label
    return {
        # Not `_tag`: transformers cuts at the first hyphen, whatever precedes it.
        "entity_group": label.split("-", 1)[-1] if isinstance(label, str) else label,
        "score": np.mean([span.score for span in group]).item(),
        "word": join([span.word for span in group]),
        "start": group[0].start,
        "end": group[-1].end,
    }
