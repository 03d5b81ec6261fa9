"""Layers that lack attention heads, each its own, as transformers 4 saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import transformers
from safetensors.numpy import load_file, save_file
from support.checkpoints import TINY, change_config, make_model
from support.compressing import inputs, weights_of

import albert_edge
from albert_edge.architecture.config import read_config
from albert_edge.architecture.weights import Matrix
from albert_edge.bundle.bundle import open_bundle
from albert_edge.check.parity import torch_run, transformers_run
from albert_edge.errors import CheckpointError
from albert_edge.graph.build import author
from albert_edge.graph.plan import OPTIMIZATIONS, Optimization, Plan, Precision
from albert_edge.graph.writer import write_model
from albert_edge.inspection.weights import Weights
from albert_edge.runtime.engine import run_file

pytestmark = pytest.mark.reference

TASK = "token-classification"  # the last layer is computed for every token
TOLERANCE = 1e-5
HEAD = int(TINY["hidden_size"]) // int(TINY["num_attention_heads"])  # type: ignore[call-overload]

# From the first, the third and the last of 2 groups x 2 inner layers.
PRUNED = {0: [1], 2: [0, 2], 3: [2]}

UNFUSED = OPTIMIZATIONS["cuda"] - {Optimization.FUSED_ATTENTION}
PLANS = {
    "portable": Plan(),
    "portable-loop": Plan(layout="loop"),
    "cpu": Plan("cpu", "unrolled", OPTIMIZATIONS["cpu"]),
    "cpu-loop": Plan("cpu", "loop", OPTIMIZATIONS["cpu"]),
    "cuda": Plan("cuda", "unrolled", OPTIMIZATIONS["cuda"]),
    "cuda-unfused": Plan("cuda", "unrolled", UNFUSED),
}

Outputs = dict[str, npt.NDArray[Any]]


def layer_name(layer: int) -> str:
    group, inner = divmod(layer, int(TINY["inner_group_num"]))  # type: ignore[call-overload]
    return f"albert.encoder.albert_layer_groups.{group}.albert_layers.{inner}.attention"


def features(heads: list[int]) -> list[int]:
    return [HEAD * head + offset for head in heads for offset in range(HEAD)]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outputs]:
    """A checkpoint whose heads were cut out, and the answers of one whose heads yield zeros."""
    folder = tmp_path_factory.mktemp("pruned") / "checkpoint"
    model = make_model(TASK)
    model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    for layer, heads in PRUNED.items():
        name, lost = layer_name(layer), features(heads)
        dense = model.get_submodule(f"{name}.dense")
        dense.weight.data[:, lost] = 0
        for part in ("query", "key", "value"):
            for leaf in ("weight", "bias"):
                key = f"{name}.{part}.{leaf}"
                tensors[key] = np.delete(tensors[key], lost, axis=0)
        tensors[f"{name}.dense.weight"] = np.delete(tensors[f"{name}.dense.weight"], lost, axis=1)
    contiguous = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    save_file(contiguous, folder / "model.safetensors", metadata={"format": "pt"})
    change_config(folder, pruned_heads={str(layer): heads for layer, heads in PRUNED.items()})
    albert_edge.export(folder, folder.parent / "bundle")
    return folder.parent / "bundle", torch_run(model)(inputs(TASK))  # type: ignore[return-value]


def assert_close(answers: Any, reference: Outputs) -> None:
    np.testing.assert_allclose(answers["logits"], reference["logits"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
def test_a_pruned_head_contributes_nothing(
    plan: Plan, expected: tuple[Path, Outputs], tmp_path: Path
) -> None:
    bundle, reference = expected
    stored = weights_of(bundle)
    authored = author(read_config(bundle / "config.json"), TASK, plan)
    write_model(authored, lambda name: stored[name], tmp_path / "model.onnx")
    assert_close(run_file(tmp_path / "model.onnx")(inputs(TASK)), reference)


def test_the_bundle_says_which_heads_there_are(expected: tuple[Path, Outputs]) -> None:
    bundle, _ = expected
    config = json.loads((bundle / "config.json").read_text())
    assert config["pruned_heads"] == {str(layer): heads for layer, heads in PRUNED.items()}
    assert [read_config(bundle / "config.json").heads(layer) for layer in range(4)] == [2, 3, 1, 2]


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT4])
def test_matrices_of_fewer_heads_are_quantized_and_read_back(
    precision: Precision, expected: tuple[Path, Outputs], tmp_path: Path
) -> None:
    """The rows of blocks are padded: their length is that of the heads that are left."""
    bundle = albert_edge.export(expected[0].parent / "checkpoint", tmp_path / "bundle").bundle
    any_quality = {"min_agreement": 0.0, "min_cosine": 0.0}
    variant = albert_edge.quantize(bundle, precision.value, **any_quality).variant  # type: ignore[arg-type]
    assert variant is not None
    assert variant.matrices[Matrix.ATTENTION_OUTPUT] == precision
    portable, quantized = (
        Weights(open_bundle(bundle), v) for v in (open_bundle(bundle).manifest.variants[0], variant)
    )
    for layer in range(4):
        name = f"{layer_name(layer)}.query.weight"
        assert quantized.floats(name).shape == portable.floats(name).shape
        name = f"{layer_name(layer)}.dense.weight"
        assert quantized.floats(name).shape == portable.floats(name).shape


def test_tensors_with_other_heads_than_config_json_says(
    expected: tuple[Path, Outputs], tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    make_model(TASK).save_pretrained(folder)
    change_config(folder, pruned_heads={"2": [0]})
    with pytest.raises(CheckpointError, match=r"groups.1.*\(24, 24\); expected \(16, 24\)"):
        albert_edge.export(folder, tmp_path / "bundle")


def test_as_transformers_prunes_heads(tmp_path: Path) -> None:
    """Transformers 5 has dropped pruned heads, and cannot load what 4 saved."""
    folder = tmp_path / "checkpoint"
    model = make_model(TASK)
    if not hasattr(model, "prune_heads"):
        model.save_pretrained(folder)
        change_config(folder, pruned_heads={"0": [1]})
        with pytest.raises(CheckpointError, match=f"{transformers.__version__} ignores") as caught:
            transformers_run(folder, TASK)
        assert "transformers<5" in caught.value.tip
        return
    model.prune_heads(PRUNED)
    model.save_pretrained(folder)
    bundle = albert_edge.export(folder, tmp_path / "bundle", verify=True).bundle
    answers = albert_edge.Session(bundle).run(inputs(TASK))
    assert_close(answers, torch_run(model)(inputs(TASK)))  # type: ignore[arg-type]
    assert_close(answers, transformers_run(folder, TASK)(inputs(TASK)))  # type: ignore[arg-type]
