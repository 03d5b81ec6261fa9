"""Rewrites of the weights that no answer may show, and the biases that make up for rounding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnxscript import GraphBuilder
from support.checkpoints import MODEL_CLASSES, TINY, make_model

import albert_edge
from albert_edge.architecture.config import read_config
from albert_edge.architecture.weights import Matrix
from albert_edge.check.parity import transformers_run
from albert_edge.compress.balance import balance_embeddings, balance_values, smooth
from albert_edge.compress.statistics import Seen, gather
from albert_edge.compress.store import CompressedWeights
from albert_edge.graph.authored import Authored
from albert_edge.graph.build import author
from albert_edge.graph.observer import Observer
from albert_edge.graph.plan import CPU_OPTIMIZATIONS, Layout, Plan, Precision
from albert_edge.graph.writer import write_model
from albert_edge.onnx_format.reader import read_onnx
from albert_edge.runtime.engine import run_file

Array = npt.NDArray[Any]
Weights = dict[str, Array]
Change = Callable[[Any], None]

TOLERANCE = 1e-4
LAYOUTS: tuple[Layout, ...] = ("unrolled", "loop")
TASK = "token-classification"
VALUE, DENSE = "attention.value", "attention.dense"
NORM = "albert.embeddings.LayerNorm"
PROJECTION = "albert.encoder.embedding_hidden_mapping_in"


def inputs(task: str = TASK) -> dict[str, Array]:
    """A padded batch with both segments in use."""
    random = np.random.default_rng(0)
    shape = (3, 2, 9) if task == "multiple-choice" else (3, 9)
    lengths = np.array([9, 1, 5]).reshape(-1, *[1] * (len(shape) - 1))
    return {
        "input_ids": random.integers(0, int(TINY["vocab_size"]), shape),  # type: ignore[call-overload]
        "attention_mask": (np.arange(9) < lengths) * np.ones(shape, np.int64),
        "token_type_ids": random.integers(0, 2, shape),
    }


def layers_of(model: Any) -> list[Any]:
    body = getattr(model, "albert", model)
    return [layer for group in body.encoder.albert_layer_groups for layer in group.albert_layers]


def nothing(model: Any) -> None:
    pass


def zero_values(model: Any) -> None:
    """Channels without a value, without a reader, without both; a layer of zeros."""
    for layer in layers_of(model):
        layer.attention.value.weight[:3] = 0
        layer.attention.value.bias[:3] = 0
        layer.attention.dense.weight[:, 2:5] = 0
    layers_of(model)[1].attention.value.weight.zero_()
    layers_of(model)[1].attention.value.bias.zero_()
    layers_of(model)[2].attention.dense.weight.zero_()


def only_biases(model: Any) -> None:
    """Values that hardly depend on the token, as those of heads that weight decay did away with."""
    for layer in layers_of(model):
        layer.attention.value.weight[4] *= 1e-6
        layer.attention.value.weight[5] *= 1e-30
        layer.attention.value.bias[4:6] = 0.5


def outliers(model: Any) -> None:
    for layer in layers_of(model):
        layer.attention.value.weight[7] *= 50
        layer.attention.dense.weight[:, 7] /= 50
    body = getattr(model, "albert", model)
    body.embeddings.LayerNorm.weight[3] *= 50
    body.encoder.embedding_hidden_mapping_in.weight[:, 3] /= 50


def zero_embeddings(model: Any) -> None:
    body = getattr(model, "albert", model)
    body.embeddings.LayerNorm.weight[0] = 0
    body.embeddings.LayerNorm.weight[1] = body.embeddings.LayerNorm.bias[1] = 0
    body.encoder.embedding_hidden_mapping_in.weight[:, 1:3] = 0


def negative_scales(model: Any) -> None:
    body = getattr(model, "albert", model)
    body.embeddings.LayerNorm.weight.neg_()


CHANGES = [nothing, zero_values, only_biases, outliers, zero_embeddings, negative_scales]
every_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def make_bundle(folder: Path, task: str, change: Change = nothing, **config: Any) -> Path:
    import torch

    model = make_model(task, **config)
    with torch.no_grad():
        change(model)
    model.save_pretrained(folder / "checkpoint")
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    return folder / "bundle"


def weights_of(bundle: Path) -> Weights:
    tensors = read_onnx(bundle / "onnx" / "model.onnx").tensors
    return {name: tensor.array() for name, tensor in tensors.items()}


def layers_in(weights: Mapping[str, Array]) -> list[str]:
    suffix = f".{VALUE}.weight"
    return [name.removesuffix(suffix) for name in weights if name.endswith(suffix)]


def run_graph(bundle: Path, task: str, plan: Plan, weights: Weights) -> dict[str, Array]:
    authored = author(read_config(bundle / "config.json"), task, plan)
    path = bundle.parent / "graph.onnx"
    write_model(authored, lambda name: weights[name], path)
    return run_file(path)(inputs(task))


def assert_as_in_transformers(found: Mapping[str, Array], bundle: Path, task: str) -> None:
    expected = transformers_run(bundle.parent / "checkpoint", task)(inputs(task))
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=TOLERANCE)


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


# What is seen of activations


def outputs_of(applications: Mapping[str, Sequence[Array]]) -> dict[str, Array]:
    """Outputs of a graph that observes what enters matrices, (..., features), as it is given."""
    graph = ir.Graph([], [], nodes=[], name="observed", opset_imports={"": 23})
    builder, observer = GraphBuilder(graph), Observer()
    feeds: dict[str, Array] = {}
    entering: dict[int, ir.Value] = {}
    for name, values in applications.items():
        weight = ir.Value(name=name, shape=ir.Shape([values[0].shape[-1], 1]))
        for one in values:
            if id(one) not in entering:
                feeds[f"x{len(feeds)}"] = one
                shape = list(one.shape)
                entering[id(one)] = builder.input(f"x{len(entering)}", ir.DataType.FLOAT, shape)
            observer.observe(builder.op, weight, entering[id(one)])
    for name, value in observer.statistics(builder.op):
        builder.add_output(value, name)
    message = ir.to_proto(ir.Model(graph, ir_version=11)).SerializeToString()
    session = onnxruntime.InferenceSession(message)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def seen_of(*runs: Array) -> Seen:
    """What is known of a matrix that these activations enter, each in a run of its own."""
    return gather(outputs_of({"w": [rows]}) for rows in runs)["w"]


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
    assert set(outputs) == {"rows:a b", "mean:a b", "largest:a b", "products.0:a b"}
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


# What a file holds


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
    authored: Authored, floats: Weights, seen: Mapping[str, Seen], made: Weights
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
