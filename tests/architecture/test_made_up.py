"""A head and weights that ALBERT does not have, from a checkpoint to answers: rows are enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from onnxscript import OpBuilder, nn
from safetensors.numpy import save_file
from support.checkpoints import TINY, make_model

import albert_edge
from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import HEAD_OF_TASK, HEADS, TEXT, HeadSpec, text_inputs
from albert_edge.architecture.weights import (
    FINAL,
    WEIGHTS,
    Matrix,
    WeightSpec,
    linear_weights,
)
from albert_edge.bundle.bundle import open_bundle
from albert_edge.check.parity import transformers_run
from albert_edge.compress.options import COMPRESSIONS
from albert_edge.graph.build import author
from albert_edge.graph.heads import MODULES, Head
from albert_edge.graph.linear import linear
from albert_edge.graph.operators.base import Portable
from albert_edge.inspection.diff_weights import compare_weights
from albert_edge.inspection.inspect import inspect
from albert_edge.inspection.weights import Weights
from albert_edge.runtime.session import Session
from albert_edge.runtime.vectors import cosine

Array = npt.NDArray[Any]

SIZES: dict[str, Any] = {**TINY}
KINDS = 5  # of spots
ROWS = [*linear_weights("spotter", Matrix.HEAD, FINAL), WeightSpec("contrast.weight", "parameter")]
SPEC = HeadSpec(
    class_name="AlbertForSpotting",
    outputs={"spots": (*TEXT, "num_labels")},
    decisive=("spots",),
    biases={"spotter.bias": ("spots",)},
    inputs=text_inputs()[:2],  # it has no segments
)


class Contrast(nn.Module):
    """A weight of its own: a number for every kind of spot."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter([features])

    def forward(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """Map (..., features) to the same."""
        y: ir.Value = op.Add(x, self.weight)
        return y


class Spotting(Head):
    """Scores of every token."""

    reads: ClassVar = "tokens"

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__(config, operators)
        self.contrast = Contrast(config.num_labels)
        self.spotter = linear(operators, "spotter", config.hidden_size, config.num_labels)

    def forward(self, op: OpBuilder, *inputs: ir.Value) -> dict[str, ir.Value]:
        """Scores of every token."""
        ids, mask = inputs
        hidden, _ = self.albert(op, ids, mask, op.Sub(ids, ids))
        return {"spots": self.contrast(op, self.spotter(op, hidden))}


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the head, its Module, its weights and a task."""
    monkeypatch.setitem(HEADS, "spotting", SPEC)
    monkeypatch.setitem(MODULES, "spotting", Spotting)
    monkeypatch.setitem(HEAD_OF_TASK, "spotting", "spotting")
    for row in ROWS:
        monkeypatch.setitem(WEIGHTS, row.name, row)


@pytest.fixture
def own() -> dict[str, Array]:
    """The weights of the head, in the checkpoint's layout."""
    random = np.random.default_rng(0)
    shapes = {
        "spotter.weight": (KINDS, SIZES["hidden_size"]),
        "spotter.bias": (KINDS,),
        "contrast.weight": (KINDS,),
    }
    return {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def spotting(own: dict[str, Array], tmp_path: Path) -> Path:
    """A checkpoint; that of its body alone lies beside it."""
    body = make_model("feature-extraction")
    body.save_pretrained(tmp_path / "body")
    (tmp_path / "checkpoint").mkdir()
    named = {f"albert.{name}": value.numpy() for name, value in body.state_dict().items()}
    save_file({**named, **own}, tmp_path / "checkpoint" / "model.safetensors")
    config = json.loads((tmp_path / "body" / "config.json").read_text())
    config |= {
        "architectures": ["AlbertForSpotting"],
        "id2label": {str(kind): f"KIND_{kind}" for kind in range(KINDS)},
    }
    (tmp_path / "checkpoint" / "config.json").write_text(json.dumps(config))
    return tmp_path / "checkpoint"


def test_rows_are_enough(
    made_up: None, spotting: Path, own: dict[str, Array], tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    report = albert_edge.export(spotting, bundle)
    manifest = open_bundle(bundle).manifest
    assert manifest.head == "spotting"
    assert report.unused == ("albert.pooler.bias", "albert.pooler.weight")
    optimized = albert_edge.optimize(bundle)
    assert optimized.largest_difference <= 1e-4
    quantize: Any = albert_edge.quantize
    for precision in COMPRESSIONS:
        quantized = quantize(bundle, precision=precision, min_agreement=0.0, min_cosine=0.5)
        assert quantized.quality.agreement is not None

    ids = np.random.default_rng(1).integers(5, SIZES["vocab_size"], (3, 9))
    mask = np.arange(9) < np.array([[9], [4], [7]])
    arrays = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
    segments = {"token_type_ids": np.zeros_like(ids)}
    hidden = transformers_run(tmp_path / "body", "feature-extraction")(arrays | segments)
    expected = hidden["last_hidden_state"] @ own["spotter.weight"].T + own["spotter.bias"]
    expected += own["contrast.weight"]
    for variant in open_bundle(bundle).manifest.variants:
        found = Session(bundle, device="cpu", variant=variant.name).run(arrays)["spots"]
        assert found.shape == (3, 9, KINDS)
        if variant.precision == "fp32":
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
        assert cosine(found[mask].ravel(), expected[mask].ravel()) >= 0.97, variant.name
    assert Session(bundle, device="cpu").input_names == ("input_ids", "attention_mask")

    opened = open_bundle(bundle)
    left, right = (Weights(opened, opened.variant(name)) for name in ("model", "model_q4"))
    differences = compare_weights(left, right)
    compared = {one.name: one for one in differences.shared}
    assert compared["spotter.weight"].second.startswith("int4")
    assert compared["spotter.weight"].largest > 0
    assert compared["contrast.weight"].largest == 0
    assert "spotter.bias" in differences.incomparable
    assert json.dumps(inspect(bundle), default=str)


def test_a_weight_without_a_row_is_refused(
    made_up: None, spotting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    author.cache_clear()  # of graphs written with the row
    monkeypatch.delitem(WEIGHTS, "contrast.weight")
    with pytest.raises(AssertionError, match=r"contrast\.weight has no row in"):
        albert_edge.export(spotting, tmp_path / "bundle")
