"""The weights of compressed graphs, from the float weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.compressing import (
    NORM,
    TASK,
    Array,
    Weights,
    make_bundle,
    seen_of,
    weights_of,
)

from albert_edge.architecture.config import read_config
from albert_edge.architecture.weights import Matrix
from albert_edge.compress.statistics import InputStatistics
from albert_edge.compress.store import CompressedWeights
from albert_edge.graph.authored import Authored
from albert_edge.graph.build import author
from albert_edge.graph.plan import CPU_OPTIMIZATIONS, Plan, Precision


def dequantized(made: Mapping[str, Array], name: str) -> Array:
    """The matrix that integers stand for, (in_features, out_features)."""
    integers, scale = made[name].astype(np.float64), made[name + "_scale"].astype(np.float64)
    if made[name].dtype == np.int8:
        return integers * scale
    if integers.shape[-1] == 16:  # 32 values of 4 bits
        low, high = integers % 16, integers // 16
        integers = np.stack([low, high], axis=-1).reshape(*integers.shape[:2], 32) - 8
    else:
        integers -= 128
    matrix: Array = (integers * scale[..., None]).reshape(len(integers), -1).T
    return matrix


def assert_made_in_any_order(
    authored: Authored, floats: Weights, seen: Mapping[str, InputStatistics], made: Weights
) -> None:
    """A weight is the same whatever was asked for before it: nothing, or all that follow it."""
    backwards = CompressedWeights(authored, floats, seen, {})
    for name in reversed(list(authored.weights)):
        np.testing.assert_array_equal(backwards(name), made[name], err_msg=name)
    for name in authored.weights:
        first = CompressedWeights(authored, floats, seen, {})
        if name.endswith(("bias", "_scale")):
            for _ in range(2):  # asked for again, too
                np.testing.assert_array_equal(first(name), made[name], err_msg=name)


@pytest.mark.parametrize("hidden_act", ["gelu", "relu", "tanh", "silu"])
@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT8_BLOCK, Precision.INT4])
def test_biases_make_up_for_rounding_and_for_the_shift(
    precision: Precision, hidden_act: str, tmp_path: Path
) -> None:
    """With the mean input, a compressed layer answers what the float layer does."""
    bundle = make_bundle(tmp_path, "pretraining", hidden_act=hidden_act)
    floats = weights_of(bundle)
    random = np.random.default_rng(0)
    seen = {
        name: seen_of(random.normal(1, 1, (50, len(values))).astype(np.float32))
        for name, values in floats.items()
        if values.ndim == 2 and "embeddings." not in name
    }
    bound = {"gelu": -0.1701, "silu": -0.2785, "relu": 0.0, "tanh": None}[hidden_act]
    plan = Plan("cpu", "loop", CPU_OPTIMIZATIONS, precisions=dict.fromkeys(Matrix, precision))
    authored = author(read_config(bundle / "config.json"), "pretraining", plan)
    weights = CompressedWeights(authored, floats, seen, {})
    made = {name: weights(name) for name in authored.weights}
    assert_made_in_any_order(authored, floats, seen, made)

    corrected = 0
    for name, one in seen.items():
        x = one.mean
        bias = name.removesuffix("weight") + "bias"
        if bias not in made:  # that of the keys
            assert name.endswith("key.weight")
            continue
        corrected += 1
        matrix = dequantized(made, name)[: len(x)]
        shifted = x.astype(np.float64)
        if precision is Precision.INT8 and name.endswith("ffn_output.weight") and bound:
            shifted = shifted - bound
        expected = x.astype(np.float64) @ floats[name] + floats[bias]
        np.testing.assert_allclose(shifted @ matrix + made[bias], expected, rtol=0, atol=1e-4)
        assert not np.array_equal(made[bias], floats[bias])
    assert corrected == 4 * 5 + 4
    for name in ("predictions.bias", f"{NORM}.bias", "predictions.LayerNorm.weight"):
        np.testing.assert_array_equal(made[name], floats[name])


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT4, Precision.FP16, None])
def test_without_a_mean_biases_are_kept(precision: Precision | None, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, TASK, hidden_act="tanh")
    floats = weights_of(bundle)
    precisions = dict.fromkeys(Matrix, precision) if precision else {}
    plan = Plan("portable" if precision is Precision.FP16 else "cpu", precisions=precisions)
    authored = author(read_config(bundle / "config.json"), TASK, plan)
    weights = CompressedWeights(authored, floats, {}, {})
    for name, weight in authored.weights.items():
        values = weights(name)
        assert (values.shape, values.dtype) == (weight.shape, weight.dtype)
        if name.endswith("bias"):
            np.testing.assert_allclose(values, floats[name], rtol=1e-3)


def test_a_cache_keeps_integers_and_nothing_else(tmp_path: Path) -> None:
    """From one graph to the next: other precisions, and a bias shifted here and not there."""
    bundle = make_bundle(tmp_path, TASK)
    floats = weights_of(bundle)
    config = read_config(bundle / "config.json")
    cache: dict[Any, Any] = {}
    plans = [
        dict.fromkeys(Matrix, Precision.INT8),
        {Matrix.FFN_OUTPUT: Precision.INT4},
        {Matrix.FFN_OUTPUT: Precision.INT8, Matrix.EMBEDDINGS: Precision.INT4},
        {},
        dict.fromkeys(Matrix, Precision.INT8),
    ]
    for precisions in plans:
        authored = author(config, TASK, Plan("cpu", precisions=precisions))
        kept, fresh = (CompressedWeights(authored, floats, {}, some) for some in (cache, {}))
        for name in authored.weights:
            np.testing.assert_array_equal(kept(name), fresh(name))
