"""Rounding weights together: by hand, against trying everything, and as a rule."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albert_edge.compress.integer import dequantize_blocks, quantize_blocks, quantize_columns
from albert_edge.compress.rounding import round_weights
from albert_edge.graph.observer import groups

Array = npt.NDArray[Any]

SCALE = np.ones(1, np.float32)


def column(*values: float) -> Array:
    return np.array(values, np.float32)[:, None]


def error(matrix: Array, rounded: Array, covariance: Array) -> float:
    """How much the product varies from the float one, summed up over out_features."""
    off = (rounded - matrix).astype(np.float64)
    return float(np.einsum("io,ij,jo->", off, covariance.astype(np.float64), off))


def related(random: np.random.Generator, features: int, rows: int = 2000) -> Array:
    """Activations that vary in few directions, and a little in all others."""
    few = random.normal(size=(rows, max(1, features // 8)))
    mixed = few @ random.normal(size=(few.shape[1], features))
    return (mixed + 0.3 * random.normal(size=(rows, features))).astype(np.float32)


def test_to_the_nearest_by_hand() -> None:
    rounded = round_weights(column(0.5, 1.5, -0.6, 9, -9), SCALE, -8, 7)
    assert rounded.ravel().tolist() == [0, 2, -1, 7, -8]


def test_together_by_hand() -> None:
    """Two features that are always the same: 0.4 of each is 0.8 of one."""
    same = np.array([[1, 1], [1, 1]], np.float32)
    assert round_weights(column(0.4, 0.4), SCALE, -8, 7).ravel().tolist() == [0, 0]
    assert round_weights(column(0.4, 0.4), SCALE, -8, 7, [same]).ravel().tolist() == [1, 0]
    # And of opposite ones the errors are to be the same, not opposite.
    opposite = np.array([[1, -1], [-1, 1]], np.float32)
    assert round_weights(column(0.4, 0.6), SCALE, -8, 7, [opposite]).ravel().tolist() == [1, 1]
    unrelated = np.eye(2, dtype=np.float32)
    assert round_weights(column(0.4, 0.4), SCALE, -8, 7, [unrelated]).ravel().tolist() == [0, 0]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 300), st.integers(1, 5))
def test_the_error_is_within_the_bound_of_the_nearest_plane(
    seed: int, features: int, columns: int
) -> None:
    """Babai 1986: half a step along every edge of the orthogonalized lattice."""
    random = np.random.default_rng(seed)
    matrix = random.uniform(-60, 60, (features, columns)).astype(np.float32)
    x = related(random, features, 400)
    covariance = np.cov(x.T, bias=True).reshape(features, features).astype(np.float32)
    scale = np.float32(1) + random.random((features, columns), np.float32)
    integers = round_weights(matrix, scale, -127, 127, [covariance])
    assert (integers == np.rint(integers)).all() and np.abs(integers).max() < 127
    damped = covariance.astype(np.float64) * (1 + 0.01 * np.eye(features))
    edges = np.diag(np.linalg.cholesky(damped))[:, None] * scale
    assert error(matrix, integers * scale, damped) <= (edges**2).sum() / 4 * (1 + 1e-4)


def test_integers_stay_in_range() -> None:
    random = np.random.default_rng(0)
    matrix = random.normal(0, 9, (200, 4)).astype(np.float32)
    covariance = np.cov(related(random, 200).T).astype(np.float32)
    integers = round_weights(matrix, SCALE, -8, 7, [covariance])
    assert (integers.min(), integers.max()) == (-8, 7)


def test_nearly_the_best_there_is() -> None:
    """Against trying all neighbours of five weights."""
    random = np.random.default_rng(0)
    ours = best = nearest = 0.0
    for _ in range(30):
        matrix = random.uniform(-5, 5, (5, 1)).astype(np.float32)
        covariance = np.cov(related(random, 5).T).astype(np.float32)
        ours += error(matrix, round_weights(matrix, SCALE, -8, 7, [covariance]), covariance)
        nearest += error(matrix, round_weights(matrix, SCALE, -8, 7), covariance)
        steps = itertools.product((-1, 0, 1, 2), repeat=5)
        best += min(error(matrix, np.floor(matrix) + column(*s), covariance) for s in steps)
    assert best <= ours < 0.5 * nearest


@pytest.mark.parametrize(("bits", "less"), [(8, 0.35), (4, 0.35)])
def test_what_it_is_for(bits: int, less: float) -> None:
    """Answers to inputs that were not seen, of many features, in blocks and in columns."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(300, 64)).astype(np.float32)
    x = related(random, 300)
    seen, unseen = x[:1000], x[1000:]
    covariance = [np.cov(seen.T).astype(np.float32)]
    off = []
    for known in (None, covariance):
        blocks = dequantize_blocks(*quantize_blocks(matrix.T, bits, 32, known), bits, 300).T
        off.append([((unseen @ (blocks - matrix)) ** 2).mean()])
        if bits == 8:
            integers, scale = quantize_columns(matrix, known)
            off[-1].append(((unseen @ (integers * scale - matrix)) ** 2).mean())
    for nearest, together in zip(*off, strict=True):
        assert together < less * nearest


def test_groups_are_rounded_each_on_its_own() -> None:
    assert groups(1200) == [slice(0, 512), slice(512, 1024), slice(1024, 1200)]
    random = np.random.default_rng(0)
    matrix = random.normal(0, 9, (1200, 3)).astype(np.float32)
    x = related(random, 1200)
    parts = [np.cov(x[:, cut].T).astype(np.float32) for cut in groups(1200)]
    found = round_weights(matrix, SCALE, -127, 127, parts)
    for cut, part in zip(groups(1200), parts, strict=True):
        alone = round_weights(matrix[cut], SCALE, -127, 127, [part])
        np.testing.assert_array_equal(found[cut], alone)


def test_features_that_were_never_seen_to_vary() -> None:
    covariance = np.zeros((3, 3), np.float32)
    matrix = column(0.4, 1.6, -2.2)
    assert round_weights(matrix, SCALE, -8, 7, [covariance]).ravel().tolist() == [0, 2, -2]
    covariance[1, 1] = 1e30
    assert round_weights(matrix, SCALE, -8, 7, [covariance]).ravel().tolist() == [0, 2, -2]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_activations_that_overflowed_say_nothing(value: float) -> None:
    covariance = np.full((2, 2), value, np.float32)
    assert round_weights(column(0.4, 0.4), SCALE, -8, 7, [covariance]).ravel().tolist() == [0, 0]


def test_what_is_no_covariance_says_nothing() -> None:
    covariance = np.array([[1, 2], [2, 1]], np.float32)
    assert round_weights(column(0.4, 0.4), SCALE, -8, 7, [covariance]).ravel().tolist() == [0, 0]
