"""Bundles of every schema ever written open, and answer as when they were made."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.kept_bundles import ANSWERS, TEXTS
from support.paths import DATA

import albert_edge
from albert_edge.architecture.heads import HEADS
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.manifest import MANIFEST, SCHEMA_VERSION
from albert_edge.errors import BundleError
from albert_edge.runtime.self_test import SELF_TEST

KEPT = sorted((DATA / "bundles").iterdir())

every_schema = pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.name)


def test_a_bundle_of_each_schema_is_kept() -> None:
    versions = [json.loads((kept / MANIFEST).read_text())["schema_version"] for kept in KEPT]
    assert versions == list(range(1, SCHEMA_VERSION + 1))


@every_schema
def test_a_kept_bundle_says_what_it_said(kept: Path) -> None:
    bundle = open_bundle(kept)
    manifest = bundle.manifest
    assert (manifest.head, manifest.task, manifest.unknown_fields) == (
        "text-classification",
        None,
        (),
    )
    assert manifest.labels == ("NEGATIVE", "POSITIVE")
    assert [variant.name for variant in manifest.variants] == [
        "model",
        "model_optimized",
        "model_int8",
    ]
    for variant in manifest.variants:
        assert variant.inputs == {"model": HEADS["text-classification"].inputs}
        assert [record.file for record in variant.records] == [f"onnx/{variant.name}.onnx"]
    assert len(bundle.check_all()) == 7


@every_schema
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_kept_bundle_answers_as_it_did(kept: Path, precision: str) -> None:
    recorded = json.loads((kept / ANSWERS).read_text())[precision]
    classify = albert_edge.pipeline(model=kept, precision=precision, device="cpu")
    found = classify(list(TEXTS))
    assert [answer["label"] for answer in found] == [answer["label"] for answer in recorded]
    # Kernels for integers round differently from one kind of CPU to the next.
    tolerance = 1e-5 if precision == "fp32" else 0.02
    assert [a["score"] for a in found] == pytest.approx([a["score"] for a in recorded], tolerance)


@every_schema
def test_a_kept_bundle_can_be_changed(kept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(kept, folder)
    before = open_bundle(folder).manifest
    report = albert_edge.optimize(folder, target="portable")
    after = open_bundle(folder).manifest
    *files, answers = after.files
    assert answers.file == SELF_TEST
    assert replace(after, files=tuple(files)) == before.with_variant(report.variant)
    assert json.loads((folder / MANIFEST).read_text())["schema_version"] == SCHEMA_VERSION


@every_schema
def test_int8_of_today_replaces_that_of_a_kept_bundle(kept: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(kept, folder)
    albert_edge.quantize(folder, precision="int8")
    names = [variant.name for variant in open_bundle(folder).manifest.variants]
    assert names == ["model", "model_optimized", "model_quantized"]
    assert not (folder / "onnx/model_int8.onnx").exists()


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A bundle with optional fields that no version knows yet, at every level."""
    folder = tmp_path / "bundle"
    shutil.copytree(KEPT[-1], folder)
    fields = json.loads((folder / MANIFEST).read_text())
    fields["license"] = {"name": "MIT"}
    fields["files"][0]["encoding"] = "utf-8"
    fields["variants"][1]["tuned_for"] = ["vnni"]
    fields["variants"][1]["inputs"]["model"][0]["range"] = [0, 1]
    (folder / MANIFEST).write_text(json.dumps(fields))
    return folder


def test_unknown_fields_are_ignored_and_listed(newer: Path) -> None:
    assert open_bundle(newer).manifest.unknown_fields == (
        "license",
        "files[0].encoding",
        "variants[1].tuned_for",
        "variants[1].inputs.model[0].range",
    )
    assert len(albert_edge.pipeline(model=newer)(TEXTS[0])) == 1


def test_a_model_in_several_parts(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(KEPT[-1], folder)
    fields: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    variant = fields["variants"][0]
    encoder = {**variant, "name": "parts"}
    encoder["files"] = {"encoder": variant["files"]["model"], "decoder": variant["files"]["model"]}
    states = {"name": "states", "axes": ["batch_size", "length", "16"], "type": "float32"}
    encoder["inputs"] = {"encoder": variant["inputs"]["model"], "decoder": [states]}
    fields["variants"].append(encoder)
    (folder / MANIFEST).write_text(json.dumps(fields))
    bundle = open_bundle(folder)
    parts = bundle.variant("parts")
    assert list(parts.files) == ["encoder", "decoder"]
    assert [(i.name, i.type, i.default) for i in parts.inputs["decoder"]] == [
        ("states", "float32", None)
    ]
    assert bundle.model_file(parts, "decoder").path == folder / "onnx/model.onnx"
    with pytest.raises(BundleError, match="no file of the role 'model'") as caught:
        bundle.model_file(parts)
    assert "encoder, decoder" in caught.value.tip


def test_texts_for_people_are_short() -> None:
    bundle = open_bundle(KEPT[-1])
    assert repr(bundle) == (
        f"Bundle('{KEPT[-1]}': text-classification, variants model, model_optimized, model_int8)"
    )
    assert repr(bundle.variant("model_int8")) == ("Variant('model_int8': int8, cpu, loop, 0.0 MB)")
    assert len(repr(bundle.manifest)) < 250
