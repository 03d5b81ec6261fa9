"""Exact rewrites of the weights: no answer changes, and channels are balanced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.checkpoints import MODEL_CLASSES
from support.compressing import (
    DENSE,
    NORM,
    PROJECTION,
    TASK,
    VALUE,
    Change,
    assert_as_in_transformers,
    every_change,
    every_layout,
    layers_in,
    make_bundle,
    only_biases,
    outliers,
    run_graph,
    weights_of,
    zero_values,
)

from albert_edge.compress.balance import balance_embeddings, balance_values, smooth
from albert_edge.graph.plan import CPU_OPTIMIZATIONS, Layout, Plan

pytestmark = pytest.mark.slow

# Balancing


@pytest.mark.reference
@every_change
@pytest.mark.parametrize("task", ["fill-mask", "text-classification", "feature-extraction"])
def test_balancing_changes_no_answer(task: str, change: Change, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, task, change)
    weights = weights_of(bundle)
    balanced = {**weights, **balance_values(weights)}
    balanced.update(balance_embeddings(balanced))
    assert balanced.keys() == weights.keys()
    assert all(np.isfinite(values).all() for values in balanced.values())
    changed = {name for name in weights if not np.array_equal(weights[name], balanced[name])}
    assert {f"{NORM}.weight", f"{PROJECTION}.weight"} <= changed
    assert f"{PROJECTION}.bias" not in changed and "albert.pooler.weight" not in changed
    plan = Plan("cpu", "loop", CPU_OPTIMIZATIONS)
    assert_as_in_transformers(run_graph(bundle, task, plan, balanced), bundle, task)


def test_a_channel_gets_the_same_share_of_both_matrices(tmp_path: Path) -> None:
    weights = weights_of(make_bundle(tmp_path, TASK, outliers))
    for name in layers_in(weights):
        weights[f"{name}.{VALUE}.bias"] = np.zeros(24, np.float32)
    balanced = balance_values(weights)
    assert len(layers_in(weights)) == 4
    for name in layers_in(weights):
        before = np.linalg.norm(balanced[f"{name}.{VALUE}.weight"], axis=0)
        after = np.abs(balanced[f"{name}.{DENSE}.weight"]).max(axis=1)
        np.testing.assert_allclose(before / after, (before / after)[0], rtol=1e-4)
        # Between them nothing happened; and on the whole neither grew.
        product, as_before = (
            some[f"{name}.{VALUE}.weight"].astype(float) @ some[f"{name}.{DENSE}.weight"]
            for some in (balanced, weights)
        )
        np.testing.assert_allclose(product, as_before, rtol=0, atol=1e-5)
        factors = weights[f"{name}.{DENSE}.weight"] / balanced[f"{name}.{DENSE}.weight"]
        assert np.log(np.abs(factors)).mean() == pytest.approx(0, abs=1e-4)


def test_zero_channels_stay_as_they_are(tmp_path: Path) -> None:
    weights = weights_of(make_bundle(tmp_path, TASK, zero_values))
    balanced = {**weights, **balance_values(weights)}
    first, second, third, _ = layers_in(weights)
    for name in (f"{second}.{VALUE}", f"{second}.{DENSE}", f"{third}.{VALUE}", f"{third}.{DENSE}"):
        np.testing.assert_array_equal(balanced[f"{name}.weight"], weights[f"{name}.weight"])
    value, dense = f"{first}.{VALUE}.weight", f"{first}.{DENSE}.weight"
    np.testing.assert_array_equal(balanced[value][:, 2:5], weights[value][:, 2:5])
    np.testing.assert_array_equal(balanced[dense][2:5], weights[dense][2:5])
    assert (balanced[value][:, 5:] != weights[value][:, 5:]).any()


def test_a_bias_alone_does_not_outgrow_the_other_values(tmp_path: Path) -> None:
    """A value channel of hardly any weight must not be blown up: its bias would be, too."""
    weights = weights_of(make_bundle(tmp_path, TASK, only_biases))
    balanced = balance_values(weights)
    for name in layers_in(weights):
        bias = np.abs(balanced[f"{name}.{VALUE}.bias"])
        others = np.delete(np.linalg.norm(balanced[f"{name}.{VALUE}.weight"], axis=0), [4, 5])
        assert bias.max() < 20 * (others.max() + np.delete(bias, [4, 5]).max())


# Smoothing


@pytest.mark.reference
@every_layout
@pytest.mark.parametrize("task", MODEL_CLASSES)
def test_smoothing_changes_no_answer(task: str, layout: Layout, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, task)
    weights = weights_of(bundle)
    random = np.random.default_rng(0)
    # Of any activations whatever: some features were never seen, some are far larger than others.
    largest = {
        name: np.exp(random.normal(0, 2, len(values))).astype(np.float32)
        for name, values in weights.items()
        if values.ndim == 2
    }
    for name in largest:
        largest[name][:3] = 0
    smoothed = smooth(weights, largest)
    vectors = [name for name in smoothed if name.endswith("smoothing.weight")]
    assert len(vectors) == 2 * len(layers_in(weights)) == 8
    assert all((smoothed[name] > 0).all() and (smoothed[name][:3] == 1).all() for name in vectors)
    plan = Plan("cpu", layout, CPU_OPTIMIZATIONS, smoothed=True)
    assert_as_in_transformers(run_graph(bundle, task, plan, {**weights, **smoothed}), bundle, task)


def test_the_three_that_read_the_same_are_smoothed_by_the_same(tmp_path: Path) -> None:
    weights = weights_of(make_bundle(tmp_path, TASK))
    ones = {n: np.ones(len(v), np.float32) for n, v in weights.items() if v.ndim == 2}
    smoothed = smooth(weights, ones)
    for name in layers_in(weights):
        vector = smoothed[f"{name}.attention.smoothing.weight"]
        for part in ("query", "key", "value"):
            matrix = f"{name}.attention.{part}.weight"
            np.testing.assert_allclose(smoothed[matrix] * vector[:, None], weights[matrix], 1e-5)
