"""Differences of metrics: the paired bootstrap and McNemar's test."""

from __future__ import annotations

from fractions import Fraction
from math import comb, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score
from support.scoring import (
    EXACT,
    LETTERS,
    ones,
    with_labels,
)

from albert_edge.evaluation.labels import Labels
from albert_edge.evaluation.numbers import Numbers
from albert_edge.evaluation.significance import intervals, mcnemar

# Libraries warn where a metric is undefined; here that is said in the report instead.
pytestmark = pytest.mark.filterwarnings("error")

# --- differences ----------------------------------------------------------------------------


def silent(done: int, total: int) -> None:
    pass


def made_up_answers(count: int, seed: int) -> tuple[list[int], list[int], list[int]]:
    """What is right, and the answers of two models of which the first is better."""
    random = np.random.default_rng(seed)
    gold = random.integers(0, 4, count)
    first = np.where(random.random(count) < 0.85, gold, random.integers(0, 4, count))
    second = np.where(random.random(count) < 0.9, first, random.integers(0, 4, count))
    return gold.tolist(), first.tolist(), second.tolist()


def outcomes_of(subject: Any, gold: Any, *answers: Any) -> list[list[Any]]:
    return [[subject.outcome(*pair) for pair in zip(gold, each, strict=True)] for each in answers]


def test_intervals_agree_with_a_plain_bootstrap() -> None:
    """Index by index and one metric call at a time, by another random generator."""
    subject = Labels(with_labels(LETTERS))
    gold, first, second = made_up_answers(300, 1)
    (found,) = intervals(outcomes_of(subject, gold, first, second), subject.measure, silent)
    random = np.random.RandomState(7)
    differences: dict[str, list[float]] = {"accuracy": [], "macro_f1": [], "matthews": []}
    for _ in range(1500):
        places = random.randint(0, 300, 300)
        sides = [[side[place] for place in places] for side in (gold, first, second)]
        scores = [ones(subject, sides[0], side) for side in sides[1:]]
        for name, values in differences.items():
            values.append(scores[1][name] - scores[0][name])
    for name, values in differences.items():
        low, high = np.percentile(values, [2.5, 97.5])
        # One example of 300 is 0.0033.
        assert found[name] == pytest.approx([low, high], abs=0.006)
        assert found[name][1] < 0  # the second is worse, and the interval says so


def test_an_interval_is_as_wide_as_theory_has_it() -> None:
    subject = Labels(with_labels(LETTERS))
    gold, first, second = made_up_answers(4000, 2)
    pairs_right = [(a == g, b == g) for g, a, b in zip(gold, first, second, strict=True)]
    gained, lost = pairs_right.count((False, True)), pairs_right.count((True, False))
    difference = (gained - lost) / 4000
    error = sqrt(gained + lost - (gained - lost) ** 2 / 4000) / 4000
    (found,) = intervals(outcomes_of(subject, gold, first, second), subject.measure, silent)
    low, high = found["accuracy"]
    assert low == pytest.approx(difference - 1.96 * error, abs=error / 4)
    assert high == pytest.approx(difference + 1.96 * error, abs=error / 4)
    assert difference == pytest.approx(accuracy_score(gold, second) - accuracy_score(gold, first))


def test_intervals_are_the_same_in_every_run_and_in_batches() -> None:
    subject = Numbers(with_labels(["x"]))
    random = np.random.default_rng(3)
    gold = random.normal(size=50).tolist()
    answers = [(gold + random.normal(size=50) * noise).tolist() for noise in (0.1, 0.5, 0.5)]
    told: list[int] = []
    outcomes = outcomes_of(subject, gold, *answers)
    whole = intervals(outcomes, subject.measure, lambda done, total: told.append(done))
    assert len(whole) == 2 and whole[0] != whole[1] and told == [2000]
    told.clear()
    batches = intervals(
        outcomes,
        subject.measure,
        lambda done, total: told.append(done),
        batch_counts=50 * 300,
    )
    assert batches == whole
    assert told == [300, 600, 900, 1200, 1500, 1800, 2000]


def test_equal_answers_differ_by_nothing() -> None:
    subject = Labels(with_labels(LETTERS))
    gold, first, _ = made_up_answers(100, 4)
    (found,) = intervals(outcomes_of(subject, gold, first, first), subject.measure, silent)
    assert found == dict.fromkeys(("accuracy", "macro_f1", "matthews"), (0.0, 0.0))


def test_what_resamples_do_not_define_has_no_interval() -> None:
    subject = Labels(with_labels(LETTERS))
    (found,) = intervals(outcomes_of(subject, [0, 0], [0, 1], [1, 1]), subject.measure, silent)
    assert set(found) == {"accuracy", "macro_f1"}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_mcnemar_agrees_with_the_formula(examples: list[tuple[bool, bool]]) -> None:
    one, other = examples.count((True, False)), examples.count((False, True))
    total, least = one + other, min(one, other)
    tail = Fraction(sum(comb(total, k) for k in range(least + 1)), 2**total)
    sides = zip(*examples, strict=True) if examples else ((), ())
    assert mcnemar(*map(list, sides)) == pytest.approx(min(1.0, 2 * float(tail)), **EXACT)


def test_mcnemar_by_hand() -> None:
    # One won and five lost: 2 * (1 + 6) / 2^6.
    first = [True] * 5 + [False] + [True] * 10
    second = [False] * 5 + [True] + [True] * 10
    assert mcnemar(first, second) == pytest.approx(14 / 64, **EXACT)
    assert mcnemar(first, first) == 1
