"""Token classification: a label for each word, and the entities that labels make together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from albert_edge.bundle.bundle import Bundle
from albert_edge.evaluation.conll import read_sentences
from albert_edge.evaluation.formulas import divide, f1, macro_f1, of_sums
from albert_edge.evaluation.subject import Example, Floats, Measure, Metric, Subject
from albert_edge.evaluation.texts import unknown_label
from albert_edge.evaluation.word_pipeline import WordPipeline
from albert_edge.records import find_label
from albert_edge.runtime.session import Session
from albert_edge.runtime.text import TextEncoder

# Places of labels; OUTSIDE is that of a word without a token, if the model has no label O for it.
Places = tuple[int, ...]
OUTSIDE = -1

# How seqeval names the parts of an entity, from the names of BIO, BIOES, BILOU and BMES.
_PREFIXES = {"B-": "B-", "I-": "I-", "M-": "I-", "E-": "E-", "L-": "E-", "S-": "S-", "U-": "S-"}


class Words(Subject):
    """Sentences in words with a label each.

    Labels that all begin with B-, I- and so on, or are O, make entities, which are scored as
    conlleval does: an entity is right if its type and both its ends are. Other labels, such as
    parts of speech, are scored word by word alone.
    """

    task: ClassVar = "token-classification"
    kind: ClassVar = "words"
    windows: ClassVar = True
    share: ClassVar = ""

    def __init__(self, bundle: Bundle) -> None:
        self.labels = bundle.manifest.labels
        self.makes_entities = {"O"} != {*self.labels} and all(
            label == "O" or label[:2] in _PREFIXES for label in self.labels
        )

    def examples(self, path: Path) -> Iterator[Example]:
        for place, words, labels in read_sentences(path):
            gold = [find_label(label, self.labels) for label in labels]
            for word, label, found in zip(words, labels, gold, strict=True):
                if found is None:
                    raise unknown_label(f"{place}: {word!r}", label, self.labels)
            yield Example(words, tuple(gold), " ".join(words))

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        encoding = encoder.tokenizer.encode(item, is_pretokenized=True)
        return len(encoding) > encoder.max_length

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[Places]:
        outside = self.labels.index("O") if "O" in self.labels else OUTSIDE
        for found in WordPipeline(session).stream(items):
            yield tuple(outside if place is None else place for place in found)

    def score(self, gold: Sequence[Places], found: Sequence[Places]) -> dict[str, Metric]:
        from sklearn.metrics import accuracy_score, f1_score

        flat = [[place for places in side for place in places] for side in (gold, found)]
        if not flat[0]:
            return dict.fromkeys(self._names(), "there are no words")
        accuracy = {"accuracy": float(accuracy_score(*flat))}
        if self.makes_entities:
            return {**accuracy, **self._entity_scores(gold, found)}
        return {**accuracy, "macro_f1": float(f1_score(*flat, average="macro", zero_division=0))}

    def _names(self) -> tuple[str, ...]:
        entities = ("precision", "recall", "f1")
        return ("accuracy", *(entities if self.makes_entities else ("macro_f1",)))

    def _entity_scores(self, gold: Sequence[Places], found: Sequence[Places]) -> dict[str, Metric]:
        from seqeval.metrics import f1_score, precision_score, recall_score

        sides = [[self._tags(places) for places in side] for side in (gold, found)]
        some, ours = (any(map(_entities, side)) for side in sides)
        scores: dict[str, Metric] = {"precision": "no entity was found"}
        if ours:
            scores["precision"] = float(precision_score(*sides, zero_division=0))
        scores["recall"] = "the data has no entity"
        if some:
            scores["recall"] = float(recall_score(*sides, zero_division=0))
        scores["f1"] = "the data has no entity and none was found"
        if some or ours:
            scores["f1"] = float(f1_score(*sides, zero_division=0))
        return scores

    def _tags(self, places: Places) -> list[str]:
        """The labels as seqeval reads them."""
        names = [self._name(place) for place in places]
        return [_PREFIXES.get(name[:2], name[:2]) + name[2:] for name in names]

    def _name(self, place: int) -> str:
        return "O" if place == OUTSIDE else self.labels[place]

    def outcome(self, gold: Places, found: Places) -> tuple[Any, ...]:
        """The counts of a sentence that the metrics are made of."""
        pairs = Counter(zip(gold, found, strict=True))
        right = sum(count for (one, other), count in pairs.items() if one == other)
        if not self.makes_entities:
            return len(gold), right, tuple(sorted(pairs.items()))
        entities, ours = (_entities(self._tags(places)) for places in (gold, found))
        return len(gold), right, len(entities & ours), len(entities), len(ours)

    def is_right(self, outcome: tuple[Any, ...]) -> bool:
        return bool(outcome[0] == outcome[1])

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        if self.makes_entities:
            return of_sums(np.array(outcomes, np.float64), _entity_metrics)
        # A column for each label, and one for OUTSIDE.
        sides = np.zeros((len(outcomes), 3, len(self.labels) + 1))
        for row, (_, _, pairs) in zip(sides, outcomes, strict=True):
            for (gold, found), count in pairs:
                row[1, gold] += count
                row[2, found] += count
                row[0, gold] += count * (gold == found)
        return of_sums(sides.reshape(len(outcomes), -1), _word_metrics)

    def show(self, example: Example, answers: Sequence[Places]) -> tuple[str, list[str]]:
        """The words that are not labelled alike, with their labels."""
        told = [
            (place, word)
            for place, word in enumerate(example.item)
            if len({answer[place] for answer in answers}) > 1
        ]
        right, *shown = (
            ", ".join(f"{word} {self._name(places[place])}" for place, word in told)
            for places in (example.gold, *answers)
        )
        return right, shown


def _entities(tags: list[str]) -> set[tuple[str, int, int]]:
    from seqeval.metrics.sequence_labeling import get_entities

    return set(get_entities(tags))


def _entity_metrics(sums: Floats) -> dict[str, Floats]:
    words, right, hits, gold, found = sums
    return {
        "accuracy": divide(right, words),
        "precision": divide(hits, found),
        "recall": divide(hits, gold),
        "f1": f1(hits, gold, found),
    }


def _word_metrics(sums: Floats) -> dict[str, Floats]:
    hits, gold, found = np.split(sums, 3)
    return {
        "accuracy": divide(hits.sum(axis=0), gold.sum(axis=0)),
        "macro_f1": macro_f1(hits, gold, found),
    }
