"""Token classification: a label for each word, and the entities that labels form together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from albert_edge.bundle.bundle import Bundle
from albert_edge.evaluation.conll import read_sentences
from albert_edge.evaluation.metrics import divide, entities, f1, macro_f1, of_sums
from albert_edge.evaluation.scorer import Example, Floats, Measure, Scorer
from albert_edge.evaluation.texts import unknown_label
from albert_edge.evaluation.word_pipeline import WordPipeline
from albert_edge.records.labels import find_label
from albert_edge.runtime.session import Session
from albert_edge.runtime.text import TextEncoder

# Numbers of labels; OUTSIDE is that of a word without a token, if the model has no label O for it.
WordLabels = tuple[int, ...]
OUTSIDE = -1

# How labels begin in BIO, BIOES, BILOU and BMES.
_PREFIXES = tuple(f"{letter}-" for letter in "BIESLUM")


class Words(Scorer):
    """Scores sentences in words with a label each.

    Labels that all begin with B-, I- and so on, or are O, form entities, which are scored as
    conlleval does: an entity is right if its type and both its ends are. Other labels, such as
    parts of speech, are scored word by word only.
    """

    task: ClassVar[str] = "token-classification"
    kind: ClassVar[str] = "words"
    windows: ClassVar[bool] = True

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.has_entities = {"O"} != {*self.labels} and all(
            label == "O" or label.startswith(_PREFIXES) for label in self.labels
        )

    def examples(self, path: Path) -> Iterator[Example]:
        for place, words, labels in read_sentences(path):
            expected = [find_label(label, self.labels) for label in labels]
            for word, label, known in zip(words, labels, expected, strict=True):
                if known is None:
                    raise unknown_label(f"{place}: {word!r}", label, self.labels)
            yield Example(words, tuple(expected), " ".join(words))

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        encoding = encoder.tokenizer.encode(item, is_pretokenized=True)
        return len(encoding) > encoder.max_length

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[WordLabels]:
        outside = self.labels.index("O") if "O" in self.labels else OUTSIDE
        for answer in WordPipeline(session).stream(items):
            yield tuple(outside if label is None else label for label in answer)

    def undefined(self, expected: Sequence[Any], answers: Sequence[Any]) -> dict[str, str]:
        if not any(expected):
            names = ("accuracy", "precision", "recall", "f1", "macro_f1")
            return dict.fromkeys(names, "there are no words")
        return {
            "precision": "no entity was predicted",
            "recall": "the data has no entity",
            "f1": "the data has no entity and none was predicted",
        }

    def outcome(self, expected: WordLabels, answer: WordLabels) -> tuple[Any, ...]:
        pairs = Counter(zip(expected, answer, strict=True))
        if not self.has_entities:
            return tuple(sorted(pairs.items()))
        right = sum(count for (known, predicted), count in pairs.items() if known == predicted)
        theirs, ours = (entities([*map(self._name, labels)]) for labels in (expected, answer))
        return len(expected), right, len(theirs & ours), len(theirs), len(ours)

    def _name(self, label: int) -> str:
        return "O" if label == OUTSIDE else self.labels[label]

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        if self.has_entities:
            return of_sums(np.array(outcomes, np.float64), _entity_metrics)
        # For each label, and in the last column OUTSIDE: hits, expected, predicted.
        counts = np.zeros((len(outcomes), 3, len(self.labels) + 1))
        for row, pairs in zip(counts, outcomes, strict=True):
            for (expected, predicted), count in pairs:
                row[0, expected] += count * (expected == predicted)
                row[1, expected] += count
                row[2, predicted] += count
        return of_sums(counts.reshape(len(outcomes), -1), _word_metrics)

    def show(self, example: Example, answers: Sequence[WordLabels]) -> tuple[str, list[str]]:
        """Show the words that are labelled differently, with their labels."""
        differing = [
            (place, word)
            for place, word in enumerate(example.item)
            if len({answer[place] for answer in answers}) > 1
        ]
        expected, *shown = (
            ", ".join(f"{word} {self._name(labels[place])}" for place, word in differing)
            for labels in (example.expected, *answers)
        )
        return expected, shown


def _entity_metrics(sums: Floats) -> dict[str, Floats]:
    words, right, hits, expected, predicted = sums
    return {
        "accuracy": divide(right, words),
        "precision": divide(hits, predicted),
        "recall": divide(hits, expected),
        "f1": f1(hits, expected, predicted),
    }


def _word_metrics(sums: Floats) -> dict[str, Floats]:
    hits, expected, predicted = np.split(sums, 3)
    return {
        "accuracy": divide(hits.sum(axis=0), expected.sum(axis=0)),
        "macro_f1": macro_f1(hits, expected, predicted),
    }
