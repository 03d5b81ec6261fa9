"""Shared by tests of compressing: models to compress, their weights, statistics of activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime
import pytest
from onnxscript import GraphBuilder

import albert_edge
from albert_edge.architecture.config import read_config
from albert_edge.check.parity import transformers_run
from albert_edge.compress.statistics import InputStatistics, gather
from albert_edge.graph.build import author
from albert_edge.graph.observer import Observer
from albert_edge.graph.plan import Layout, Plan
from albert_edge.graph.writer import write_model
from albert_edge.onnx_format.reader import read_onnx
from albert_edge.runtime.engine import run_file
from support.checkpoints import TINY, make_model

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


def outputs_of(
    applications: Mapping[str, Sequence[Array]], *, prunable: bool = False
) -> dict[str, Array]:
    """Outputs of a graph that observes what enters matrices, (..., features), as it is given."""
    graph = ir.Graph([], [], nodes=[], name="observed", opset_imports={"": 23})
    builder, observer = GraphBuilder(graph), Observer(prunable=prunable)
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


def seen_of(*runs: Array) -> InputStatistics:
    """What is known of a matrix that these activations enter, each in a run of its own."""
    return gather(outputs_of({"w": [rows]}) for rows in runs)["w"]
