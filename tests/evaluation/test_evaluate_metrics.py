"""The metrics against formulas written down here, on answers made by hand and made up."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.metrics import entities_of, f1_of, macro_f1_of, matthews_of, mean, ranks_of
from support.scoring import (
    BILOU,
    BIO,
    BIOES,
    BMES,
    EXACT,
    LETTERS,
    NUMBERS,
    PARTS,
    SETS,
    ones,
    pairs,
    tagged,
    with_labels,
)

from albert_edge.evaluation.answers import Answers
from albert_edge.evaluation.choices import Choices
from albert_edge.evaluation.label_sets import LabelSets
from albert_edge.evaluation.labels import Labels
from albert_edge.evaluation.numbers import Numbers
from albert_edge.evaluation.scorer import Example
from albert_edge.evaluation.squad import normalize, score_answer
from albert_edge.evaluation.words import OUTSIDE, Words

# Libraries warn where a metric is undefined; here that is said in the report instead.
pytestmark = pytest.mark.filterwarnings("error")


def assert_scores(
    subject: Any, gold: Any, found: Any, expected: Mapping[str, float | None]
) -> None:
    """Both ways agree with what is expected, where None is undefined."""
    scores = subject.score(gold, found)
    resampled = ones(subject, gold, found)
    assert set(scores) == set(resampled) == set(expected)
    for name, value in expected.items():
        if value is None:
            assert isinstance(scores[name], str) and np.isnan(resampled[name]), name
        else:
            assert scores[name] == pytest.approx(value, **EXACT), name
            assert resampled[name] == pytest.approx(value, **EXACT), name


# --- by hand --------------------------------------------------------------------------------


def test_labels_by_hand() -> None:
    # a: 2 of 3 found, 1 found wrongly. b: 1 of 2 and 1. c: never right, never answered.
    gold, found = [0, 0, 0, 1, 1], [0, 0, 1, 1, 0]
    expected = {
        "accuracy": 3 / 5,
        "macro_f1": (2 / 3 + 1 / 2) / 2,
        # True and false positives and negatives of a: 2, 1, 1, 1.
        "matthews": (2 * 1 - 1 * 1) / sqrt(3 * 3 * 2 * 2),
    }
    assert_scores(Labels(with_labels(LETTERS)), gold, found, expected)


@pytest.mark.parametrize(
    ("gold", "found", "why"),
    [
        ([1, 1, 1], [1, 0, 1], "every text is b"),
        ([1, 0, 1], [2, 2, 2], "every answer is c"),
        ([1, 1], [1, 1], "every text is b"),
        ([3], [0], "every text is d"),
    ],
)
def test_one_label_alone(gold: list[int], found: list[int], why: str) -> None:
    subject = Labels(with_labels(LETTERS))
    assert subject.score(gold, found)["matthews"] == why
    right = sum(one == other for one, other in zip(gold, found, strict=True)) / len(gold)
    expected = {"accuracy": right, "macro_f1": macro_f1_of(gold, found), "matthews": None}
    assert_scores(subject, gold, found, expected)


def test_label_sets_by_hand() -> None:
    gold = [(0, 1), (1,), (), (0,)]
    found = [(0,), (1, 2), (), (0,)]
    # a: 2 of 2, b: 1 of 2, c: 1 found wrongly; d is in none, and is left out of the mean.
    expected = {
        "micro_f1": 2 * 3 / (4 + 4),
        "macro_f1": (1 + 2 / 3 + 0) / 3,
        "subset_accuracy": 2 / 4,
    }
    assert_scores(LabelSets(with_labels(LETTERS)), gold, found, expected)


def test_no_labels_at_all() -> None:
    expected = {"micro_f1": None, "macro_f1": None, "subset_accuracy": 1.0}
    assert_scores(LabelSets(with_labels(LETTERS)), [(), ()], [(), ()], expected)


def test_one_label_that_is_there_or_not() -> None:
    subject = LabelSets(with_labels(["toxic"]))
    gold: list[Any] = [(0,), (), (0,), ()]
    found: list[Any] = [(0,), (0,), (), ()]
    expected: dict[str, Any] = {"micro_f1": 0.5, "macro_f1": 0.5, "subset_accuracy": 0.5}
    assert_scores(subject, gold, found, expected)


def test_numbers_by_hand() -> None:
    # Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    gold, found = [0.0, 1.0, 1.0, 5.0], [-1.0, 0.5, 0.7, 0.8]
    expected: dict[str, Any] = {
        "pearson": statistics.correlation(gold, found),
        "spearman": 4.5 / sqrt(4.5 * 5),
    }
    assert_scores(Numbers(with_labels(["x"])), gold, found, expected)


@pytest.mark.parametrize(
    ("gold", "found", "why"),
    [
        ([1.0], [2.0], "there is only one text"),
        ([1.0, 1.0], [2.0, 3.0], "every text has the same number"),
        ([1.0, 2.0], [0.1, 0.1], "every answer is the same number"),
        ([1.0, 2.0], [0.1, float("nan")], "an answer is not a number"),
    ],
)
def test_numbers_without_correlation(gold: list[float], found: list[float], why: str) -> None:
    subject = Numbers(with_labels(["x"]))
    assert subject.score(gold, found) == {"pearson": why, "spearman": why}
    assert np.isnan(ones(subject, gold, found)["pearson"])


def places(labels: Sequence[str], tags: str) -> tuple[int, ...]:
    return tuple(labels.index(tag) for tag in tags.split())


def test_entities_by_hand() -> None:
    gold = [places(BIO, "B-per I-per O B-creative-work"), places(BIO, "O B-per")]
    found = [places(BIO, "B-per I-per O B-per"), places(BIO, "O O")]
    # One of three entities found, and another that is none.
    expected: dict[str, Any] = {
        "accuracy": 4 / 6,
        "precision": 1 / 2,
        "recall": 1 / 3,
        "f1": 2 / 5,
    }
    assert_scores(Words(with_labels(BIO)), gold, found, expected)


@pytest.mark.parametrize("wrong", ["B-per O", "B-per B-per", "O I-per", "B-creative-work I-per"])
def test_half_an_entity_is_none(wrong: str) -> None:
    scores = Words(with_labels(BIO)).score([places(BIO, "B-per I-per")], [places(BIO, wrong)])
    assert (scores["precision"], scores["recall"], scores["f1"]) == (0, 0, 0)


def test_no_entities() -> None:
    outside, entity = places(BIO, "O O"), places(BIO, "O B-per")
    subject = Words(with_labels(BIO))
    nothing: dict[str, Any] = {"accuracy": 1.0, "precision": None, "recall": None, "f1": None}
    assert_scores(subject, [outside], [outside], nothing)
    assert_scores(subject, [entity], [outside], {**nothing, "accuracy": 0.5, "recall": 0, "f1": 0})
    some = {**nothing, "accuracy": 0.5, "precision": 0, "f1": 0}
    assert_scores(subject, [outside], [entity], some)
    assert subject.score([()], [()])["f1"] == "there are no words"


def test_a_word_without_a_token_is_outside() -> None:
    subject = Words(with_labels(BMES))
    gold, found = [(0, 2), (3,)], [(0, OUTSIDE), (3,)]  # B-x E-x, S-x
    expected: dict[str, Any] = {"accuracy": 2 / 3, "precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2}
    assert_scores(subject, gold, found, expected)
    example = Example(["Ada", "Lovelace"], gold[0], "Ada Lovelace")
    shown = subject.show(example, [found[0], (0, 2)])
    assert shown == ("Lovelace E-x", ["Lovelace O", "Lovelace E-x"])


def test_labels_without_entities_are_scored_word_by_word() -> None:
    subject = Words(with_labels(PARTS))
    gold, found = [(0, 1), (1,)], [(0, 0), (OUTSIDE,)]
    # NOUN: 1 of 1, found twice; VERB: none of 2; And a word without a token.
    expected: dict[str, Any] = {"accuracy": 1 / 3, "macro_f1": (2 / 3 + 0 + 0) / 3}
    assert_scores(subject, gold, found, expected)


SQUAD: list[tuple[str, tuple[str, ...], float, float]] = [
    ("the Denver Broncos", ("Denver Broncos",), 1, 1),
    ("Denver Broncos!", ("denver  broncos.",), 1, 1),
    ("Broncos", ("Denver Broncos",), 0, 2 / 3),
    (
        "Denver Denver Broncos",
        ("Denver Broncos",),
        0,
        4 / 5,
    ),  # a word counts as often as it is there
    ("Carolina", ("Denver Broncos",), 0, 0),
    ("in 1998", ("1998", "in the year 1998"), 0, 4 / 5),  # the best: 2 of 2 and 3 words
    ("", (), 1, 1),
    ("a guess", (), 0, 0),
    ("", ("Denver",), 0, 0),
    ("the", (), 1, 1),  # nothing but an article is no answer
    ("The", ("a",), 1, 1),
    ("x", ("the", "x"), 1, 1),
    ("an-apple", ("anapple",), 1, 1),
    ("theatre a", ("theatre",), 1, 1),
    ("der Mann", ("Mann",), 0, 2 / 3),  # articles of other languages stay
    ("„Mann“", ("Mann",), 0, 0),  # and so does their punctuation
    ("30 %", ("30%",), 1, 1),
    ("Straße", ("STRASSE",), 0, 0),
]


@pytest.mark.parametrize(("answer", "right", "exact", "f1"), SQUAD)
def test_squad_by_hand(answer: str, right: tuple[str, ...], exact: float, f1: float) -> None:
    assert score_answer(answer, right) == pytest.approx([exact, f1], **EXACT)


def test_squad_normalizes() -> None:
    assert normalize(" The  Cat's\ta-b, AN ox\u00a0") == "cats ab ox"


def test_questions_without_answers_by_hand() -> None:
    subject = Answers(with_labels([]))
    gold: list[Any] = [("Denver Broncos",), ("1998",), (), (), ()]
    found = ["Broncos", "1998", "", "nothing", ""]
    whole = {"exact_match": 3 / 5, "f1": (2 / 3 + 1 + 1 + 0 + 1) / 5}
    assert_scores(subject, gold, found, {**whole})
    subject = Answers(with_labels([]), unanswerable=True)
    parts = {"has_answer_exact": 1 / 2, "has_answer_f1": 5 / 6, "no_answer_exact": 2 / 3}
    assert_scores(subject, gold, found, {**whole, **parts})
    scores = subject.score([(), ()], ["", "x"])
    assert scores["has_answer_f1"] == "no question has an answer"
    assert scores["no_answer_exact"] == scores["exact_match"] == 0.5


def test_choices_by_hand() -> None:
    assert_scores(Choices(with_labels([])), [0, 1, 3], [0, 2, 3], {"accuracy": 2 / 3})


# --- made up --------------------------------------------------------------------------------


@given(pairs(st.integers(0, 3)))
@settings(max_examples=60)
def test_labels_agree_with_the_formulas(examples: list[tuple[int, int]]) -> None:
    gold, found = zip(*examples, strict=True)
    expected = {
        "accuracy": sum(one == other for one, other in examples) / len(examples),
        "macro_f1": macro_f1_of(gold, found),
        "matthews": matthews_of(gold, found),
    }
    assert_scores(Labels(with_labels(LETTERS)), gold, found, expected)


@given(pairs(SETS))
@settings(max_examples=60)
def test_label_sets_agree_with_the_formulas(examples: list[tuple[Any, Any]]) -> None:
    gold, found = zip(*examples, strict=True)
    counts = [
        [
            sum(label in one and label in other for one, other in examples),
            sum(label in one for one in gold),
            sum(label in other for other in found),
        ]
        for label in range(4)
    ]
    totals = (sum(column) for column in zip(*counts, strict=True))
    expected = {
        "micro_f1": mean([f1_of(*totals)]),
        "macro_f1": mean([f1_of(*each) for each in counts]),
        "subset_accuracy": sum(one == other for one, other in examples) / len(examples),
    }
    assert_scores(LabelSets(with_labels(LETTERS)), gold, found, expected)


@given(pairs(NUMBERS, least=2))
@settings(max_examples=60)
def test_numbers_agree_with_the_formulas(examples: list[tuple[float, float]]) -> None:
    gold, found = zip(*examples, strict=True)
    assume(len({*gold}) > 1 and len({*found}) > 1)
    expected: dict[str, Any] = {
        "pearson": statistics.correlation(gold, found),
        "spearman": statistics.correlation(ranks_of(gold), ranks_of(found)),
    }
    assert_scores(Numbers(with_labels(["x"])), gold, found, expected)


@pytest.mark.parametrize("labels", [BIO, BIOES, BILOU, BMES], ids=["BIO", "BIOES", "BILOU", "BMES"])
@given(data=st.data())
@settings(max_examples=40)
def test_entities_agree_with_the_formulas(labels: Sequence[str], data: st.DataObject) -> None:
    examples = data.draw(tagged(labels))
    words = sum(len(gold) for gold, _ in examples)
    assume(words)
    hits = gold_count = found_count = right = 0
    for gold, found in examples:
        entities, ours = (entities_of([labels[place] for place in side]) for side in (gold, found))
        hits += len(entities & ours)
        gold_count += len(entities)
        found_count += len(ours)
        right += sum(one == other for one, other in zip(gold, found, strict=True))
    expected = {
        "accuracy": right / words,
        "precision": hits / found_count if found_count else None,
        "recall": hits / gold_count if gold_count else None,
        "f1": mean([f1_of(hits, gold_count, found_count)]),
    }
    subject = Words(with_labels(labels))
    golds, founds = zip(*examples, strict=True)
    assert_scores(subject, golds, founds, expected)


@given(tagged(PARTS))
@settings(max_examples=60)
def test_words_agree_with_the_formulas(examples: list[tuple[Any, Any]]) -> None:
    gold, found = (
        [place for each in side for place in each] for side in zip(*examples, strict=True)
    )
    assume(gold)
    right = sum(one == other for one, other in zip(gold, found, strict=True))
    expected = {"accuracy": right / len(gold), "macro_f1": macro_f1_of(gold, found)}
    golds, founds = zip(*examples, strict=True)
    assert_scores(Words(with_labels(PARTS)), golds, founds, expected)


# --- resamples ------------------------------------------------------------------------------

KINDS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "labels": (Labels(with_labels(LETTERS)), pairs(st.integers(0, 3))),
    "label sets": (LabelSets(with_labels(LETTERS)), pairs(SETS)),
    "numbers": (Numbers(with_labels(["x"])), pairs(NUMBERS)),
    "entities": (Words(with_labels(BIO)), tagged(BIO)),
    "words": (Words(with_labels(PARTS)), tagged(PARTS)),
    "choices": (Choices(with_labels([])), pairs(st.integers(0, 3))),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=40)
def test_a_resample_scores_as_its_examples(kind: str, data: st.DataObject) -> None:
    """An example of weight 3 is the example three times over."""
    subject, strategy = KINDS[kind]
    examples = data.draw(strategy)
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(examples), max_size=len(examples)))
    repeated = [each for each, weight in zip(examples, weights, strict=True) for _ in range(weight)]
    assume(repeated)
    measure = subject.measure([subject.outcome(*pair) for pair in examples])
    # Beside another resample, which must not matter.
    found = measure(np.array([np.ones(len(weights)), weights], np.float64))
    for name, value in subject.score(*zip(*repeated, strict=True)).items():
        if isinstance(value, str):
            assert np.isnan(found[name][1]), name
        else:
            assert found[name][1] == pytest.approx(value, **EXACT), name
