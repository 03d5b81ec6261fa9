"""The neighbour: optimum's exporter ends in our bundle, and optimum runs the bundles we author.

optimum is not there in every environment; the one that runs the whole suite has it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.checkpoints import MODEL_CLASSES, make_model

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.errors import AlbertEdgeError, BundleError, CheckpointError, UsageError
from albert_edge.inspection.inspect import inspect
from albert_edge.inspection.verify import verify
from albert_edge.runtime.session import Session

ort = pytest.importorskip("optimum.onnxruntime", exc_type=ImportError)

TOLERANCE = 1e-4
TASKS = [task for task in MODEL_CLASSES if task != "pretraining"]
ORT_CLASSES = {
    "feature-extraction": "ORTModelForFeatureExtraction",
    "fill-mask": "ORTModelForMaskedLM",
    "text-classification": "ORTModelForSequenceClassification",
    "token-classification": "ORTModelForTokenClassification",
    "question-answering": "ORTModelForQuestionAnswering",
    "multiple-choice": "ORTModelForMultipleChoice",
}

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


@dataclass(frozen=True, repr=False)
class Exported:
    """A checkpoint with its model in transformers, and a bundle made of it."""

    task: str
    checkpoint: Path
    bundle: Path
    model: Any

    def expected(self, arrays: Arrays) -> Arrays:
        """The answers of transformers."""
        with torch.inference_mode():
            outputs = self.model(**{name: torch.from_numpy(a) for name, a in arrays.items()})
        return {name: value.numpy() for name, value in outputs.items()}


def made(folder: Path, task: str, exporter: Any) -> Exported:
    checkpoint, bundle = folder / "checkpoint", folder / "bundle"
    model = make_model(task)
    model.save_pretrained(checkpoint)
    albert_edge.export(checkpoint, bundle, exporter=exporter)
    return Exported(task, checkpoint, bundle, model)


@pytest.fixture(scope="module", params=TASKS)
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A bundle of optimum's exporter, one for each task."""
    return made(tmp_path_factory.mktemp("traced"), request.param, "optimum")


@pytest.fixture(scope="module", params=TASKS)
def authored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A bundle of our own exporter with a second variant, one for each task."""
    exported = made(tmp_path_factory.mktemp("authored"), request.param, "native")
    albert_edge.optimize(exported.bundle)
    return exported


def inputs(task: str, batch: int, length: int) -> Arrays:
    """Random ids with padding and both token types."""
    random = np.random.default_rng(length)
    shape = (batch, 3, length) if task == "multiple-choice" else (batch, length)
    mask = np.ones(shape, np.int64)
    mask[-1, ..., length // 2 + 1 :] = 0
    return {
        "input_ids": random.integers(0, 300, shape),
        "attention_mask": mask,
        "token_type_ids": random.integers(0, 2, shape),
    }


SHAPES = [(1, 1), (1, 7), (3, 40)]


def assert_same(found: Arrays, expected: Arrays) -> None:
    """Every output found is one expected, and none is far from it."""
    assert found
    for name, values in found.items():
        assert values.shape == expected[name].shape
        assert np.abs(values - expected[name]).max() <= TOLERANCE, name


# --- optimum's exporter ---------------------------------------------------------------------


def test_traced_bundle_answers_as_transformers(traced: Exported) -> None:
    with Session(traced.bundle) as session:
        for batch, length in SHAPES:
            arrays = inputs(traced.task, batch, length)
            assert_same(dict(session.run(arrays)), traced.expected(arrays))


def test_traced_bundle_says_who_made_it(traced: Exported) -> None:
    bundle = open_bundle(traced.bundle)
    [variant] = bundle.manifest.variants
    assert (variant.exporter, variant.name) == ("optimum", "model")
    assert variant.file == "onnx/model.onnx"
    assert bundle.manifest.head == traced.task
    assert bundle.check_all()
    # Nothing lies there that the manifest does not list.
    listed = {record.file for record in bundle.manifest.records()} | {"albert_edge.json"}
    there = {
        path.relative_to(traced.bundle).as_posix()
        for path in traced.bundle.rglob("*")
        if path.is_file()
    }
    assert there == listed


def test_traced_bundle_has_the_outputs_of_an_authored_one(traced: Exported, tmp_path: Path) -> None:
    """Whoever reads answers by name need not know which road the bundle took."""
    albert_edge.export(traced.checkpoint, tmp_path / "native")
    arrays = inputs(traced.task, 1, 7)
    with Session(traced.bundle) as theirs, Session(tmp_path / "native") as ours:
        assert set(theirs.run(arrays)) <= set(ours.run(arrays))


def test_traced_bundle_can_be_verified(traced: Exported) -> None:
    report = verify(traced.bundle, against=str(traced.checkpoint))
    assert report.differences["model"] <= TOLERANCE


def test_inspect_counts_every_weight_of_a_traced_bundle(traced: Exported) -> None:
    """A traced graph hides weights under made-up names; they are weights all the same."""
    graph = onnx.load(traced.bundle / "onnx/model.onnx").graph
    weights = [prod(t.dims) for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    found = inspect(traced.bundle)
    assert found.parameters == sum(weights)
    assert sum(group.parameters for group in found.groups) == sum(weights)
    # More than the embeddings, whose names tracing keeps.
    assert found.parameters >= 0.95 * sum(p.numel() for p in traced.model.parameters())


def test_traced_bundle_is_not_optimized(traced: Exported) -> None:
    before = (traced.bundle / "albert_edge.json").read_bytes()
    with pytest.raises(BundleError, match="optimum") as caught:
        albert_edge.optimize(traced.bundle)
    assert 'exporter="native"' in caught.value.tip
    assert (traced.bundle / "albert_edge.json").read_bytes() == before


def test_pretraining_has_no_optimum_road(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    source = checkpoint("pretraining")
    with pytest.raises(UsageError, match="pretraining") as caught:
        albert_edge.export(source, tmp_path / "out", exporter="optimum")
    assert "native" in caught.value.tip
    assert not (tmp_path / "out").exists()
    albert_edge.export(source, tmp_path / "out", exporter="native")
    assert open_bundle(tmp_path / "out").manifest.head == "pretraining"


def test_random_weights_are_not_traced(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    """Where transformers finds no tensor under its name it takes a random one."""
    folder, bundle = checkpoint("fill-mask"), tmp_path / "bundle"
    with pytest.raises(CheckpointError, match=r"qa_outputs\.bias is missing, so optimum"):
        albert_edge.export(folder, bundle, task="question-answering", exporter="optimum")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file({f"module.{name}": t for name, t in tensors.items()}, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"begin with module\., so optimum"):
        albert_edge.export(folder, bundle, exporter="optimum")
    assert not bundle.exists()


def test_a_traced_body_without_pooler(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    report = albert_edge.export(
        checkpoint("fill-mask"),
        tmp_path / "bundle",
        task="feature-extraction",
        exporter="optimum",
        verify=True,
    )
    assert report.lacks_pooler
    with Session(tmp_path / "bundle") as session:
        assert set(session.run({"input_ids": [[2, 3]]})) == {"last_hidden_state"}


def test_verifying_export(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    source = checkpoint("text-classification")
    report = albert_edge.export(source, tmp_path / "out", exporter="optimum", verify=True)
    assert report.exporter == "optimum"
    assert report.largest_difference is not None
    assert 0 <= report.largest_difference <= TOLERANCE


def test_damaged_checkpoint_is_an_error_and_leaves_nothing(
    checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    source = checkpoint("text-classification")
    content = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(AlbertEdgeError):
        albert_edge.export(source, tmp_path / "out", exporter="optimum")
    assert not (tmp_path / "out").exists()


def test_code_of_a_checkpoint_is_not_run(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    """Also on the road through libraries that could run it."""
    source = checkpoint("text-classification")
    mark = tmp_path / "executed"
    (source / "evil.py").write_text(f"open({str(mark)!r}, 'w')\n")
    config = json.loads((source / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": "evil.Config",
        "AutoModelForSequenceClassification": "evil.Model",
    }
    (source / "config.json").write_text(json.dumps(config))
    try:
        albert_edge.export(source, tmp_path / "out", exporter="optimum")
    except AlbertEdgeError:
        assert not (tmp_path / "out").exists()
    assert not mark.exists()


# --- optimum's models on our bundles --------------------------------------------------------


@pytest.mark.parametrize("subfolder", ["", "onnx"])
def test_optimum_runs_an_authored_bundle(subfolder: str, authored: Exported) -> None:
    """Straight from the folder, where it finds onnx/model.onnx beside the other variants."""
    model_class = getattr(ort, ORT_CLASSES[authored.task])
    options: dict[str, Any] = {"subfolder": subfolder} if subfolder else {}
    if subfolder:
        options["config"] = authored.model.config  # it looks for config.json there as well
    model = model_class.from_pretrained(authored.bundle, **options)
    assert Path(model.path).relative_to(authored.bundle).as_posix() == "onnx/model.onnx"
    for batch, length in SHAPES:
        arrays = inputs(authored.task, batch, length)
        outputs = model(**{name: torch.from_numpy(array) for name, array in arrays.items()})
        found = {name: value.numpy() for name, value in outputs.items() if value is not None}
        assert_same(found, authored.expected(arrays))


def test_optimum_keeps_the_labels(tmp_path: Path) -> None:
    model = make_model("text-classification", id2label={0: "no", 1: "yes"})
    model.save_pretrained(tmp_path / "checkpoint")
    albert_edge.export(tmp_path / "checkpoint", tmp_path / "bundle")
    loaded = ort.ORTModelForSequenceClassification.from_pretrained(tmp_path / "bundle")
    assert loaded.config.id2label == {0: "no", 1: "yes"}
