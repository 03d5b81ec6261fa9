"""Scores of texts at every exit, against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from albert_edge.check.agreement import Agreement
from albert_edge.exits.scores import Scores

# Three texts at two exits: certain and wrong at once; certain and right later; never certain.
CERTAINTIES = np.array([[0.9, 0.2, 0.1], [0.9, 0.8, 0.2]])
LOSSES = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.5]])
SCORES = Scores(CERTAINTIES, LOSSES)


def test_a_text_ends_where_it_is_first_certain_or_after_the_last_exit() -> None:
    assert SCORES.ends(0.8).tolist() == [0, 1, 2]
    assert SCORES.ends(0.95).tolist() == [2, 2, 2]
    assert SCORES.losses_at(SCORES.ends(0.8)).tolist() == [1.0, 0.0, 0.5]


def test_without_the_last_exits_texts_run_on_to_the_end() -> None:
    first = SCORES.first(1)
    assert first.ends(0.8).tolist() == [0, 1, 1]
    assert first.losses_at(first.ends(0.8)).tolist() == [1.0, 0.0, 0.5]


def test_work_counts_applications_and_a_little_for_each_exit_that_was_asked() -> None:
    assert SCORES.work(SCORES.ends(0.0), 12) == pytest.approx(1.05)
    # 1, 2 and 12 applications; one text asks one exit, the others ask both.
    assert SCORES.work(SCORES.ends(0.8), 12) == pytest.approx((15 + 5 * 0.05) / 3)
    assert SCORES.work(SCORES.ends(1.0), 12) == pytest.approx(12.1)


def test_thresholds_fall_between_certainties_and_are_exact_in_float32() -> None:
    certainties = np.concatenate([np.full((1, 50), -np.inf), np.linspace(-0.7, -0.1, 50)[None]])
    thresholds = np.array(Scores(certainties, np.zeros((3, 50))).thresholds())
    assert (np.diff(thresholds) < 0).all()
    assert (thresholds == thresholds.astype(np.float32)).all()
    assert not np.isin(thresholds, certainties.astype(np.float32)).any()
    assert -0.7 < thresholds.min() < -0.69 and -0.11 < thresholds.max() < -0.1


def test_equal_certainties_give_one_threshold_and_none_gives_none() -> None:
    assert Scores(np.zeros((1, 9)), np.zeros((2, 9))).thresholds() == [0.0]
    assert Scores(np.full((1, 9), -np.inf), np.zeros((2, 9))).thresholds() == []


def test_tokens_of_a_text_are_one_unit() -> None:
    agreement = Agreement("largest", every_token=True)
    # The first and the last, [CLS] and [SEP], are the least certain and wrong.
    reference = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    exits = np.array([[[0.0, 0.1], [5, 0], [1, 0], [9, 0], [9, 0], [0.1, 0]]])
    scores = Scores.of([(exits, reference, reference)], agreement)
    np.testing.assert_allclose(scores.certainties, [[-np.log1p(np.exp(-1))]])
    np.testing.assert_array_equal(scores.losses, [[0.25], [0.0]])
    assert not agreement.is_binary


def test_a_text_without_tokens_is_certain_and_right() -> None:
    empty = np.array([[1.0, 0.0], [1.0, 0.0]])
    scores = Scores.of([(-empty[None], empty, empty)], Agreement("largest", every_token=True))
    assert scores.certainties.tolist() == [[np.inf]]
    assert scores.losses.tolist() == [[0.0], [0.0]]
