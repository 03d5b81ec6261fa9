"""What can be left out at which cost, against brute force and numpy's least squares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from albert_edge.pruning.columns import refit, removal_order
from albert_edge.pruning.covariance import Covariance

Array = npt.NDArray[Any]
Store = Callable[[Array], Covariance]

ROWS = 400
DAMPING = 1e-6


@pytest.fixture
def stored(tmp_path: Path) -> Store:
    """Writes a covariance."""
    return lambda matrix: Covariance.write(tmp_path / "covariance", [matrix])


def activations(features: int, seed: int = 0) -> Array:
    """Correlated features with means of their own."""
    random = np.random.default_rng(seed)
    shares = np.eye(features) + 0.8 * random.normal(size=(features, features)) / features**0.5
    mixed = random.normal(size=(ROWS, features)) @ shares
    rows: Array = (mixed + random.normal(size=features) * 3).astype(np.float32)
    return rows


def weights(features: int, outputs: int = 5, seed: int = 1) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    matrix, bias = random.normal(size=(features, outputs)), random.normal(size=outputs)
    return matrix.astype(np.float32), bias.astype(np.float32)


def covariance(rows: Array) -> Array:
    return np.cov(rows.T.astype(np.float64), bias=True).astype(np.float32)


def least_squares(rows: Array, kept: Array, target: Array) -> tuple[Array, Array, float]:
    """Return matrix, bias and mean squared error, from the activations themselves."""
    inputs = np.column_stack([rows[:, kept], np.ones(len(rows))]).astype(np.float64)
    solution = np.linalg.lstsq(inputs, target.astype(np.float64), rcond=None)[0]
    error = np.square(inputs @ solution - target).sum(axis=1).mean()
    return solution[:-1], solution[-1], float(error)


def test_refit_is_the_least_squares_solution(stored: Store) -> None:
    rows, (matrix, bias) = activations(12), weights(12)
    kept = np.array([0, 3, 4, 7, 8, 11])
    found = refit(stored(covariance(rows)), rows.mean(axis=0), matrix, bias, kept, DAMPING)
    expected, intercept, _ = least_squares(rows, kept, rows.astype(float) @ matrix + bias)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found[1], intercept, rtol=0, atol=1e-3)


def test_refit_of_all_features_changes_nothing(stored: Store) -> None:
    rows, (matrix, bias) = activations(12), weights(12)
    found = refit(stored(covariance(rows)), rows.mean(axis=0), matrix, bias, np.arange(12), DAMPING)
    assert found[0] is matrix
    assert found[1] is bias


@pytest.mark.parametrize("size", [1, 2, 3])
def test_order_of_removal_is_that_of_brute_force(size: int, stored: Store) -> None:
    """At every step the group goes without which a new fit of all others is best."""
    rows, (matrix, _) = activations(12), weights(12)
    target = rows.astype(np.float64) @ matrix
    left = list(range(12 // size))
    order, errors = [], [0.0]
    while len(left) > 1:
        trials = {}
        for group in left:
            kept = [g * size + i for g in left if g != group for i in range(size)]
            trials[group] = least_squares(rows, np.array(kept), target)[2]
        best = min(trials, key=trials.__getitem__)
        order.append(best)
        errors.append(trials[best])
        left.remove(best)
    found = removal_order(stored(covariance(rows)), matrix, size)
    assert found.order.tolist() == order
    np.testing.assert_allclose(found.cost, np.diff(errors), rtol=1e-2)


def test_order_of_more_features_than_are_eliminated_at_a_time(stored: Store) -> None:
    """Every step against the inverse of the covariance of what is left."""
    features = 140
    rows, (matrix, bias) = activations(features), weights(features)
    found = removal_order(stored(covariance(rows)), matrix, 1)
    assert sorted({*found.order.tolist()}) == sorted(found.order.tolist())
    assert len(found.order) == features - 1
    for gone in (0, 1, 100, 127, 128, 135):
        kept = np.setdiff1d(np.arange(features), found.order[:gone])
        fitted, _ = refit(stored(covariance(rows)), rows.mean(axis=0), matrix, bias, kept, DAMPING)
        inverse = np.linalg.inv(covariance(rows[:, kept]).astype(np.float64))
        cost = np.square(fitted).sum(axis=1) / np.diag(inverse)
        assert kept[np.argmin(cost)] == found.order[gone]
        np.testing.assert_allclose(found.cost[gone], cost.min(), rtol=1e-2)


def test_combinations_of_other_features_go_first_and_cost_nothing(stored: Store) -> None:
    random = np.random.default_rng(2)
    own = activations(10)
    rows = np.concatenate([own, own @ random.normal(size=(10, 6)).astype(np.float32)], axis=1)
    matrix, bias = weights(16)
    scale = np.square(rows @ matrix).sum(axis=1).mean()
    found = removal_order(stored(covariance(rows)), matrix, 1)
    assert found.cost[:6].sum() < 1e-6 * scale < found.cost[6:].sum()
    kept = np.setdiff1d(np.arange(16), found.order[:6])
    fitted, shift = refit(stored(covariance(rows)), rows.mean(axis=0), matrix, bias, kept, DAMPING)
    difference = np.abs(rows[:, kept] @ fitted + shift - (rows @ matrix + bias)).max()
    assert difference < 1e-4 * np.sqrt(scale)


def test_features_that_never_vary_are_the_first_and_become_bias(stored: Store) -> None:
    rows, (matrix, bias) = activations(8), weights(8)
    rows[:, [2, 5]] = [7.0, 0.0]
    found = removal_order(stored(covariance(rows)), matrix, 1)
    assert {*found.order[:2].tolist()} == {2, 5}
    kept = np.setdiff1d(np.arange(8), [2, 5])
    fitted, shift = refit(stored(covariance(rows)), rows.mean(axis=0), matrix, bias, kept, DAMPING)
    np.testing.assert_allclose(fitted, matrix[kept], rtol=0, atol=1e-5)
    np.testing.assert_allclose(shift, bias + 7 * matrix[2], rtol=0, atol=1e-4)


def test_nothing_varies(stored: Store) -> None:
    matrix, bias = weights(4)
    zeros = np.zeros((4, 4), np.float32)
    assert len(removal_order(stored(zeros), matrix, 1).order) == 3
    fitted, shift = refit(
        stored(zeros), np.ones(4, np.float32), matrix, bias, np.array([1]), DAMPING
    )
    np.testing.assert_allclose(fitted[0] + shift, matrix.sum(axis=0) + bias, rtol=0, atol=1e-5)
