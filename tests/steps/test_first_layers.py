"""`export(..., layers=N)`: the first N layers, as transformers applies them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from support.checkpoints import TINY, hidden_states, make_model
from support.command_line import SHIPPED, Cli, assert_error

import albert_edge
from albert_edge.architecture.config import read_config
from albert_edge.check.parity import TOLERANCE, sample_inputs, transformers_run
from albert_edge.errors import UsageError
from albert_edge.onnx_format.reader import read_onnx
from albert_edge.runtime.engine import run_file

# transformers 4 cannot run fewer layers per group than there are inner layers.
PLAIN = {"num_hidden_groups": 1, "inner_group_num": 1}
GROUPS = "albert.encoder.albert_layer_groups"


def export(source: Path, layers: int, **options: Any) -> Path:
    bundle = source.parent / f"{layers}-layers"
    report = albert_edge.export(source, bundle, layers=layers, **options)
    assert report.layers == layers
    return bundle


def run_bundle(bundle: Path, head: str) -> Any:
    inputs = sample_inputs(read_config(bundle / "config.json"), head)
    return inputs, list(map(run_file(bundle / "onnx/model.onnx"), inputs))


@pytest.mark.reference
@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("head", ["text-classification", "question-answering"])
def test_as_transformers_with_fewer_layers(head: str, layers: int, tmp_path: Path) -> None:
    make_model(head, **PLAIN).save_pretrained(tmp_path / "checkpoint")
    bundle = export(tmp_path / "checkpoint", layers)
    expected = transformers_run(tmp_path / "checkpoint", head, num_hidden_layers=layers)
    for arrays, outputs in zip(*run_bundle(bundle, head), strict=True):
        for name, values in expected(arrays).items():
            np.testing.assert_allclose(outputs[name], values, rtol=0, atol=TOLERANCE)


@pytest.mark.reference
@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_groups_are_applied_as_among_all_layers(layers: int, tmp_path: Path) -> None:
    import torch

    head = "feature-extraction"
    assert (TINY["num_hidden_layers"], TINY["num_hidden_groups"]) == (4, 2)
    make_model(head).save_pretrained(tmp_path / "checkpoint")
    bundle = export(tmp_path / "checkpoint", layers)
    model = transformers.AlbertModel.from_pretrained(tmp_path / "checkpoint").eval()
    for arrays, outputs in zip(*run_bundle(bundle, head), strict=True):
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        with torch.inference_mode():
            states = hidden_states(model, tensors)
        found = outputs["last_hidden_state"]
        np.testing.assert_allclose(found, states[layers].numpy(), rtol=0, atol=TOLERANCE)
    config = transformers.AlbertConfig.from_pretrained(bundle)
    assert (config.num_hidden_layers, config.num_hidden_groups) == (layers, 1 + (layers > 2))
    names = read_onnx(bundle / "onnx/model.onnx").tensors
    assert any(name.startswith(f"{GROUPS}.1.") for name in names) is (layers > 2)


@pytest.mark.reference
@pytest.mark.parametrize("layers", [1, 3])
def test_it_is_verified_with_as_many_layers(layers: int, tmp_path: Path) -> None:
    make_model("fill-mask", inner_group_num=1).save_pretrained(tmp_path / "checkpoint")
    report = albert_edge.export(
        tmp_path / "checkpoint", tmp_path / "bundle", layers=layers, verify=True
    )
    assert report.largest_difference is not None
    assert 0 < report.largest_difference < TOLERANCE


def test_pruned_heads_of_groups_that_are_dropped(checkpoint: Callable[..., Path]) -> None:
    source = checkpoint("text-classification", pruned_heads={0: [1], 2: [0, 2]})
    config = read_config(export(source, 2) / "config.json")
    assert config.pruned_heads == ((1,), ())
    assert read_config(export(source, 3) / "config.json").pruned_heads == ((1,), (), (0, 2), ())


def test_config_json_keeps_its_other_fields(checkpoint: Callable[..., Path]) -> None:
    source = checkpoint("text-classification")
    bundle = export(source, 2)
    before, after = (json.loads((f / "config.json").read_text()) for f in (source, bundle))
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == {"num_hidden_layers", "num_hidden_groups"}
    all_of_them = export(source, 4)
    assert (all_of_them / "config.json").read_bytes() == (source / "config.json").read_bytes()


@pytest.mark.parametrize("layers", [-1, 0, 4, 7])
def test_other_numbers_are_refused_with_those_that_are_possible(
    layers: int, checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    source = checkpoint("text-classification", num_hidden_layers=6)
    with pytest.raises(UsageError, match="6 layers in 2 hidden groups") as caught:
        export(source, layers)
    assert caught.value.option == "layers"
    assert caught.value.tip == "Possible: 1, 2, 3, 5, 6."
    assert {path.name for path in tmp_path.iterdir()} == {source.name}


def test_optimum_exports_all_layers(checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="optimum exports all layers"):
        export(checkpoint("text-classification"), 1, exporter="optimum")


def test_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    done = cli("export", SHIPPED, tmp_path / "two", "--layers", 2)
    assert done.code == 0
    assert "the first 2 layers only" in done.err
    assert read_config(tmp_path / "two" / "config.json").num_hidden_layers == 2
    wrong = cli("export", SHIPPED, tmp_path / "nine", "--layers", 9)
    assert_error(wrong, 2, "4 layers in 1 hidden group", "--layers 9", "Possible: 1, 2, 3, 4.")
    assert not (tmp_path / "nine").exists()
