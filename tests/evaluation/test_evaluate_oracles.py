"""Every metric against scikit-learn, SciPy or seqeval, on made-up answers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats
from seqeval.metrics import sequence_labeling as seqeval
from sklearn import metrics as sklearn
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
    pairs,
    tagged,
    with_labels,
)

from albert_edge.evaluation.choices import Choices
from albert_edge.evaluation.label_sets import LabelSets
from albert_edge.evaluation.labels import Labels
from albert_edge.evaluation.metrics import entities
from albert_edge.evaluation.numbers import Numbers
from albert_edge.evaluation.significance import CONFIDENCE, intervals, mcnemar
from albert_edge.evaluation.words import Words

CLASSES = st.integers(0, 3)
# What seqeval calls the parts of an entity.
SEQEVAL = {"M-": "I-", "L-": "E-", "U-": "S-"}


def split(examples: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    expected, answers = zip(*examples, strict=True)
    return expected, answers


@given(pairs(CLASSES))
@settings(max_examples=60)
def test_labels(examples: list[tuple[int, int]]) -> None:
    expected, answers = split(examples)
    scores = Labels(with_labels(LETTERS)).score(expected, answers)
    assert scores["accuracy"] == pytest.approx(sklearn.accuracy_score(expected, answers), **EXACT)
    macro = sklearn.f1_score(expected, answers, average="macro", zero_division=0)
    assert scores["macro_f1"] == pytest.approx(macro, **EXACT)
    if isinstance(scores["matthews"], str):  # scikit-learn gives 0 there
        assert len({*expected}) == 1 or len({*answers}) == 1
    else:
        matthews = sklearn.matthews_corrcoef(expected, answers)
        assert scores["matthews"] == pytest.approx(matthews, **EXACT)


@given(pairs(SETS))
@settings(max_examples=60)
def test_label_sets(examples: list[tuple[Any, Any]]) -> None:
    expected, answers = (
        np.array([[label in labels for label in range(4)] for labels in side])
        for side in split(examples)
    )
    present = np.flatnonzero((expected | answers).any(axis=0))
    assume(present.size)
    scores = LabelSets(with_labels(LETTERS)).score(*split(examples))
    for average in ("micro", "macro"):
        value = sklearn.f1_score(
            expected, answers, labels=present, average=average, zero_division=0
        )
        assert scores[f"{average}_f1"] == pytest.approx(value, **EXACT)
    subset = sklearn.accuracy_score(expected, answers)
    assert scores["subset_accuracy"] == pytest.approx(subset, **EXACT)


@given(pairs(CLASSES))
@settings(max_examples=40)
def test_choices(examples: list[tuple[int, int]]) -> None:
    expected, answers = split(examples)
    found = Choices(with_labels([])).score(expected, answers)
    assert found == {"accuracy": pytest.approx(sklearn.accuracy_score(expected, answers), **EXACT)}


@given(pairs(NUMBERS, least=2))
@example([(1e300, 1.0), (-1e300, 2.0), (0.0, 4.0)])
@example([(1e-200, 1.0), (2e-200, 2.0), (4e-200, 3.0)])
@settings(max_examples=80)
def test_numbers(examples: list[tuple[float, float]]) -> None:
    expected, answers = split(examples)
    assume(len({*expected}) > 1 and len({*answers}) > 1)
    scores = Numbers(with_labels(["x"])).score(expected, answers)
    assert scores["spearman"] == pytest.approx(stats.spearmanr(expected, answers)[0], **EXACT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.NearConstantInputWarning)
        assert scores["pearson"] == pytest.approx(stats.pearsonr(expected, answers)[0], **EXACT)


@pytest.mark.parametrize("labels", [BIO, BIOES, BILOU, BMES], ids=["BIO", "BIOES", "BILOU", "BMES"])
@given(data=st.data())
@settings(max_examples=60)
def test_entities(labels: Sequence[str], data: st.DataObject) -> None:
    examples = data.draw(tagged(labels))
    sides = [[[labels[place] for place in each] for each in side] for side in split(examples)]
    theirs = [
        [[SEQEVAL.get(tag[:2], tag[:2]) + tag[2:] for tag in tags] for tags in side]
        for side in sides
    ]
    for tags, known in zip([*sides[0], *sides[1]], [*theirs[0], *theirs[1]], strict=True):
        spans = {(kind, first, last + 1) for kind, first, last in seqeval.get_entities(known)}
        assert entities(tags) == spans
    assume(any(sides[0]))
    scores = Words(with_labels(labels)).score(*split(examples))
    for name in ("precision", "recall", "f1"):
        score = getattr(seqeval, f"{name}_score")
        if isinstance(scores[name], str):  # seqeval gives 0 there
            assert score(*theirs, zero_division=0) == 0
        else:
            assert scores[name] == pytest.approx(score(*theirs, zero_division=0), **EXACT)
    assert scores["accuracy"] == pytest.approx(seqeval.accuracy_score(*theirs), **EXACT)


@given(tagged(PARTS))
@settings(max_examples=60)
def test_words_without_entities(examples: list[tuple[Any, Any]]) -> None:
    expected, answers = ([label for each in side for label in each] for side in split(examples))
    assume(expected)
    macro = sklearn.f1_score(expected, answers, average="macro", zero_division=0)
    assert Words(with_labels(PARTS)).score(*split(examples)) == {
        "accuracy": pytest.approx(sklearn.accuracy_score(expected, answers), **EXACT),
        "macro_f1": pytest.approx(macro, **EXACT),
    }


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 5))
@example(20_000, 20_500, 0)
@example(3, 20_000, 0)
def test_mcnemar(won: int, lost: int, both: int) -> None:
    assume(won + lost)
    first = [True] * won + [False] * lost + [True] * both
    second = [False] * won + [True] * lost + [True] * both
    expected = stats.binomtest(won, won + lost).pvalue
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


def test_intervals() -> None:
    """The percentiles of a paired bootstrap, from another random generator."""
    random = np.random.default_rng(5)
    expected = random.normal(size=200)
    first, second = (expected + random.normal(size=200) * noise for noise in (0.3, 0.6))
    scorer = Numbers(with_labels(["x"]))
    outcomes = [[*zip(expected.tolist(), side.tolist(), strict=True)] for side in (first, second)]
    (found,) = intervals(outcomes, scorer.measure, lambda done, total: None)

    def difference(expected: Any, first: Any, second: Any) -> float:
        return float(stats.pearsonr(expected, second)[0] - stats.pearsonr(expected, first)[0])

    theirs = stats.bootstrap(
        (expected, first, second),
        difference,
        paired=True,
        vectorized=False,
        n_resamples=3000,
        method="percentile",
        confidence_level=CONFIDENCE,
        rng=np.random.default_rng(6),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert found["pearson"] == pytest.approx([theirs.low, theirs.high], abs=width / 15)
