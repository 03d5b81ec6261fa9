"""Statistics of what enters each matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support.checkpoints import MODEL_CLASSES
from support.compressing import (
    TASK,
    TOLERANCE,
    Array,
    inputs,
    make_bundle,
    outputs_of,
    run_graph,
    seen_of,
    weights_of,
)

from albert_edge.compress.statistics import gather
from albert_edge.graph.plan import CPU_OPTIMIZATIONS, Plan


def test_statistics_by_hand() -> None:
    """Two matrices read the same, one of them another time; a third reads something else."""
    first = np.array([[[1, -4], [3, 0]]], np.float32)
    second = np.array([[-5, 1]], np.float32)
    outputs = outputs_of(
        {"a": [first, second], "b": [first], "c": [np.full((1, 1), 2, np.float32)]}
    )
    assert {name.partition(":")[2] for name in outputs} == {"a", "b", "c"}
    found = gather([{**outputs, "logits": np.array([[9.0, 9.0]])}])
    assert found.keys() == {"a", "b", "c"}
    np.testing.assert_allclose(found["a"].mean, [-1 / 3, -1], rtol=1e-6)
    assert found["a"].largest.tolist() == [5, 4]
    np.testing.assert_allclose(
        found["a"].covariance, [[[104 / 9, -10 / 3], [-10 / 3, 14 / 3]]], 1e-5
    )
    assert (found["b"].mean.tolist(), found["b"].largest.tolist()) == ([2, -2], [3, 4])
    np.testing.assert_allclose(found["b"].covariance, [[[1, 2], [2, 4]]], 1e-6)
    assert found["c"].mean.tolist() == found["c"].largest.tolist() == [2]
    np.testing.assert_array_equal(found["c"].covariance, [[[0]]])


def test_what_enters_several_matrices_is_summed_up_once() -> None:
    same = np.array([[1, -4], [3, 0]], np.float32)
    outputs = outputs_of({"a": [same], "b": [same]})
    assert set(outputs) == {"rows:a b", "mean:a b", "largest:a b", "products.0.0:a b"}
    found = gather([outputs])
    np.testing.assert_array_equal(found["a"].covariance, [[[1, 2], [2, 4]]])
    np.testing.assert_array_equal(found["b"].covariance, [[[1, 2], [2, 4]]])


@settings(deadline=None)
@given(
    st.lists(
        arrays.arrays(
            np.float32,
            st.tuples(st.integers(1, 3), st.integers(1, 4), st.just(3)),
            elements=st.floats(-100, 100, width=32),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_statistics_are_those_of_all_rows_together(activations: list[Array]) -> None:
    rows = np.concatenate([values.reshape(-1, 3) for values in activations]).astype(np.float64)
    expected = np.cov(rows.T, bias=True)
    for found in (seen_of(*activations), gather([outputs_of({"w": activations})])["w"]):
        np.testing.assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-5, atol=1e-4)
        np.testing.assert_array_equal(found.largest, np.abs(rows).max(axis=0))
        np.testing.assert_allclose(found.covariance[0], expected, rtol=1e-4, atol=1e-1)


def test_what_varies_little_about_a_large_mean_is_not_lost() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    found = seen_of(*(part + np.float32(1000) for part in np.split(rows, 5)))
    np.testing.assert_allclose(found.covariance[0], np.cov(rows.T, bias=True), atol=1e-3)


def test_statistics_of_many_features_are_kept_by_group() -> None:
    rows = np.random.default_rng(0).normal(size=(10, 1500)).astype(np.float32)
    factor = np.linspace(0.5, 2, 1500).astype(np.float32)
    found = seen_of(rows).scaled(factor)
    scaled = rows.astype(np.float64) * factor
    np.testing.assert_allclose(found.mean, scaled.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.largest, np.abs(scaled).max(axis=0), rtol=1e-5)
    assert [len(within) for within in found.covariance] == [512, 512, 476]
    for start, within in zip((0, 512, 1024), found.covariance, strict=True):
        part = scaled[:, start : start + 512]
        np.testing.assert_allclose(within, np.cov(part.T, bias=True), atol=1e-4)


def test_of_a_long_text_some_tokens_are_observed() -> None:
    for length, kept in ((1, 1), (64, 64), (65, 33), (200, 50)):
        values = np.arange(2 * length, dtype=np.float32).reshape(2, length, 1)
        outputs = outputs_of({"w": [values]})
        assert outputs["rows:w"].tolist() == [2 * kept]
        some = values[:, :: -(-length // 64)]
        np.testing.assert_allclose(outputs["mean:w"], [[some.mean()]], rtol=1e-6)
        assert outputs["largest:w"] == some.max()


@pytest.mark.reference
@pytest.mark.parametrize("task", ["fill-mask", "feature-extraction"])
def test_what_enters_every_matrix_is_what_enters_it_in_transformers(
    task: str, tmp_path: Path
) -> None:
    import torch
    import transformers

    bundle = make_bundle(tmp_path, task)
    plan = Plan("cpu", "unrolled", CPU_OPTIMIZATIONS, observed=True)
    found = gather([run_graph(bundle, task, plan, weights_of(bundle))])

    checkpoint = bundle.parent / "checkpoint"
    model = getattr(transformers, MODEL_CLASSES[task]).from_pretrained(
        checkpoint, attn_implementation="eager"
    )
    seen: dict[str, list[Array]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(module: Any, args: Any) -> None:
            values = args[0].detach().numpy()
            seen.setdefault(name, []).append(values.reshape(-1, values.shape[-1]))

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and not name.endswith("decoder"):
            full = name if name.startswith(("albert.", "predictions.")) else f"albert.{name}"
            module.register_forward_pre_hook(note(f"{full}.weight"))
    with torch.no_grad():
        model.eval()(**{name: torch.from_numpy(array) for name, array in inputs(task).items()})

    assert found.keys() == seen.keys()
    for name, values in seen.items():
        rows = np.concatenate(values)
        np.testing.assert_allclose(found[name].mean, rows.mean(axis=0), atol=TOLERANCE)
        np.testing.assert_allclose(found[name].largest, np.abs(rows).max(axis=0), atol=TOLERANCE)
        covariance = np.cov(rows.T, bias=True)
        np.testing.assert_allclose(found[name].covariance, [covariance], atol=10 * TOLERANCE)


def test_moments_for_pruning_are_of_all_features_together(tmp_path: Path) -> None:
    """And of nothing but what neurons and heads yield; the same numbers as for calibration."""
    bundle = make_bundle(tmp_path, TASK, intermediate_size=520)
    weights = weights_of(bundle)
    plan = Plan("cpu", "unrolled", CPU_OPTIMIZATIONS, moments=True)
    found = gather([run_graph(bundle, TASK, plan, weights)])
    observed = gather(
        [run_graph(bundle, TASK, replace(plan, moments=False, observed=True), weights)]
    )
    prunable = [name for name in observed if "ffn_output" in name or "attention.dense" in name]
    assert sorted(found) == sorted(prunable)
    for name, seen in found.items():
        np.testing.assert_allclose(seen.mean, observed[name].mean, atol=1e-6)
        assert len(seen.covariance) == len(seen.mean) // 512 * 2 + 1
        for within, group in zip(observed[name].covariance, seen.covariance[::2], strict=True):
            np.testing.assert_allclose(group, within, atol=1e-5)
