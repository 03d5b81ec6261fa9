"""The covariance of many features: from a graph into a file, and out of it in parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.compressing import outputs_of

from albert_edge.architecture.weights import LAYER
from albert_edge.compress.statistics import gather
from albert_edge.pruning.covariance import Covariance


def test_covariance_of_all_features_is_that_of_their_activations(tmp_path: Path) -> None:
    """Over several runs and groups of features, the last of which is a small one."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(60, 1100)).astype(np.float32) + np.float32(3)
    rows[:, 900:] += rows[:, :200]
    weight = f"{LAYER.replace('*', '0')}.ffn_output.weight"
    runs = (outputs_of({weight: [part]}, prunable=True) for part in np.split(rows, 3))
    (seen,) = gather(runs).values()
    found = Covariance.write(tmp_path / "covariance", seen.covariance)
    expected = np.cov(rows.T.astype(np.float64), bias=True)
    assert len(found) == 1100
    np.testing.assert_allclose(found[:], expected, atol=1e-5)
    np.testing.assert_allclose(found[500:600], expected[500:600], atol=1e-5)
    some, others = np.array([3, 511, 512, 1099]), np.array([0, 700, 1024])
    part = found.part(some, others)
    assert len(part) == 4
    np.testing.assert_allclose(part[1:], expected[np.ix_(some[1:], others)], atol=1e-5)
    np.testing.assert_array_equal(part.part(others, some)[:], found.part(some, others)[:].T)
