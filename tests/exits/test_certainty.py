"""Certainties of exits, against cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from albert_edge.exits.certainty import certainty


def test_of_classes_it_is_the_log_of_the_largest_probability() -> None:
    logits = np.log([[[1.0, 3.0], [8.0, 2.0]], [[5.0, 5.0], [1.0, 999.0]]])
    expected = np.log([[0.75, 0.8], [0.5, 0.999]])
    np.testing.assert_allclose(certainty(logits, "largest"), expected, rtol=1e-12)


def test_large_logits_neither_overflow_nor_lose_what_differs() -> None:
    logits = np.array([[[1e4, 1e4 - 1.0]], [[-1e4, -1e4]]], np.float32)
    expected = [[-math.log1p(math.exp(-1))], [-math.log(2)]]
    np.testing.assert_allclose(certainty(logits, "largest"), expected, rtol=1e-6)


def test_of_labels_it_is_the_distance_of_the_nearest_one_from_zero() -> None:
    logits = np.array([[[3.0, -0.5], [-2.0, -4.0]]])
    np.testing.assert_array_equal(certainty(logits, "positive"), [[0.5, 2.0]])


def test_of_a_number_it_is_how_little_it_moved_and_nothing_is_known_at_first() -> None:
    numbers = np.array([[1.0, 5.0], [1.5, 5.0], [-0.5, 4.0]])[..., None]
    expected = [[-np.inf, -np.inf], [-0.5, 0.0], [-2.0, -1.0]]
    np.testing.assert_array_equal(certainty(numbers, None), expected)


def test_of_several_numbers_it_is_how_little_all_of_them_moved() -> None:
    numbers = np.array([[[1.0, 5.0, 0.0]], [[1.5, 3.0, -0.25]]])
    np.testing.assert_array_equal(certainty(numbers, None), [[-np.inf], [-2.75]])


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_equal_classes_are_as_uncertain_as_can_be(classes: int) -> None:
    logits = np.full((3, 4, classes), 2.5, np.float32)
    np.testing.assert_allclose(certainty(logits, "largest"), -math.log(classes), rtol=1e-6)


def test_the_type_of_the_graph_is_kept() -> None:
    logits = np.zeros((2, 3, 1), np.float32)
    for decision in ("largest", "positive", None):
        assert certainty(logits, decision).dtype == np.float32
