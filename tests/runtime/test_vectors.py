"""The arithmetic of vectors: cosine at its corners, softmax and sigmoid without overflow."""

from __future__ import annotations

from math import inf, isnan, nan

import numpy as np
import pytest

from albert_edge.runtime.vectors import cosine, sigmoid, softmax, unit


def test_cosine_is_taken_of_the_last_axis() -> None:
    first = np.array([[[3.0, 4], [1, 0]], [[1, 1], [2, 0]]], np.float32)
    second = np.array([[[4.0, 3], [0, 1]], [[-1, -1], [5, 0]]], np.float32)
    assert cosine(first, second) == pytest.approx(np.array([[0.96, 0], [-1, 1]]))
    assert float(cosine(first[0, 0], second[0, 0])) == pytest.approx(0.96)


def test_cosine_of_equal_vectors_is_exactly_one() -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float32)
    assert (cosine(vectors, vectors) == 1).all()


def test_cosine_of_zero_vectors() -> None:
    zero, other = np.zeros(3, np.float32), np.array([1, 2, 3], np.float32)
    assert cosine(zero, zero) == 1
    assert cosine(zero, other) == 0 and cosine(other, zero) == 0


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_cosine_of_what_is_not_finite_is_nan(bad: float) -> None:
    vector = np.array([1, bad], np.float32)
    with np.errstate(invalid="ignore"):
        for other in (vector, np.zeros(2, np.float32), np.ones(2, np.float32)):
            assert isnan(cosine(vector, other)) and isnan(cosine(other, vector))


def test_softmax_and_sigmoid_do_not_overflow() -> None:
    logits = np.array([[-1e4, 0, 1e4], [1, 1, 1]], np.float32)
    with np.errstate(over="raise", invalid="raise"):
        assert softmax(logits) == pytest.approx(np.array([[0, 0, 1], [1 / 3] * 3]))
        assert sigmoid(logits[0]) == pytest.approx(np.array([0, 0.5, 1]))
    assert sigmoid(np.array([2.0], np.float32)) == pytest.approx(1 / (1 + np.exp(-2)))


def test_a_unit_vector_has_length_one_and_a_zero_vector_stays() -> None:
    assert unit(np.array([3, 4], np.float32)) == pytest.approx(np.array([0.6, 0.8]))
    assert (unit(np.zeros(2, np.float32)) == 0).all()
