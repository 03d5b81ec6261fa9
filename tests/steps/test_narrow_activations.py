"""Activations of 7 bits: what CPUs without VNNI multiply instead, from the same file."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper
from support.quantizing import ANYTHING, TEXTS

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.change import change
from albert_edge.check.quality import Reference, thin
from albert_edge.check.sample import load_sample
from albert_edge.compress.options import Int4, Int8, Int8Block
from albert_edge.errors import BundleError
from albert_edge.runtime import adaptation, engine
from albert_edge.runtime.adaptation import Adaptation
from albert_edge.runtime.engine import load_engine, run_file
from albert_edge.runtime.narrow import with_narrow_activations
from albert_edge.runtime.self_test import check_answers, read_self_test
from albert_edge.runtime.session import Session

QUANTIZED = "model_quantized"
IDS = {"input_ids": np.array([[2, 17, 250, 3001, 9, 1234, 77, 3]])}

Arrays = dict[str, npt.NDArray[Any]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("narrow") / "langid"
    albert_edge.export("langid-tiny", folder)
    albert_edge.quantize(folder, "int8", texts=TEXTS, **ANYTHING)
    return folder


@pytest.fixture
def without_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime behaves as on a CPU that adds pairs of products in 16 bits."""
    monkeypatch.setattr(adaptation, "adds_signed_weights_exactly", lambda: False)
    monkeypatch.setattr(adaptation, "adds_narrow_activations_exactly", lambda: True)


def test_every_product_is_that_of_numpy(bundle: Path, tmp_path: Path) -> None:
    """Bit for bit: the integers of activations, and the sums of their products, scaled."""
    own = Path(shutil.copytree(bundle, tmp_path / "own"))
    albert_edge.quantize(own, Int8(layout="unrolled"), texts=TEXTS, **ANYTHING)
    path = own / "onnx" / f"{QUANTIZED}.onnx"
    model = onnx.load_from_string(with_narrow_activations(path.read_bytes(), path))
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    products = [node for node in model.graph.node if node.op_type == "MatMulIntegerToFloat"]
    steps = []
    for node in products:
        divide = makers[makers[node.input[0]].input[0]]
        assert divide.op_type == "Div"
        steps.append((divide.input[0], divide.input[1], node.input[0], node.output[0]))
    known = {value.name for value in model.graph.output}
    names = list(dict.fromkeys(name for step in steps for name in step if name not in known))
    kinds = {name: onnx.TensorProto.FLOAT for name in names}
    kinds |= {integers: onnx.TensorProto.UINT8 for _, _, integers, _ in steps}
    model.graph.output.extend(helper.make_tensor_value_info(n, kinds[n], None) for n in names)
    session = ort.InferenceSession(model.SerializeToString())
    feed = {**IDS, "attention_mask": np.ones((1, 8), np.int64)}
    feed["token_type_ids"] = np.zeros((1, 8), np.int64)
    values = dict(zip(names, session.run(names, feed), strict=True))
    largest = 0
    for node, (x, magnitude, integers, y) in zip(products, steps, strict=True):
        zero = int(weights[node.input[4]])
        assert zero in (0, 64)
        scaled = values[x] / values[magnitude] * np.float32(64 if zero else 128)
        quantized = np.rint(scaled).astype(np.int64) + zero
        assert np.array_equal(values[integers], quantized)
        sums = (quantized - zero) @ weights[node.input[1]].astype(np.int64)
        scale = weights[node.input[2]] * weights[node.input[3]]
        assert np.array_equal(values[y], sums.astype(np.float32) * scale)
        largest = max(largest, int(quantized.max()))
    assert largest == 128
    assert len(products) > 20


def test_only_the_levels_of_activations_differ(bundle: Path) -> None:
    path = bundle / "onnx" / f"{QUANTIZED}.onnx"
    before, after = (
        {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        for model in (
            onnx.load(path),
            onnx.load_from_string(with_narrow_activations(path.read_bytes(), path)),
        )
    )
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"scale_127", "zero_point_128", "scale_255"}
    levels = [float(after[name]) for name in (*sorted(changed), "zero_point_0")]
    assert levels == [1 / 64, 1 / 128, 64, 0]


@pytest.mark.parametrize("name", ["model", "per-tensor"])
def test_files_without_such_activations_are_refused(
    name: str, bundle: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(bundle, tmp_path / "own"))
    if name == "per-tensor":
        albert_edge.quantize(own, Int8(activations="per-tensor"), texts=TEXTS, **ANYTHING)
        assert open_bundle(own).variant(QUANTIZED).narrow_activations is False
        name = QUANTIZED
    path = own / "onnx" / f"{name}.onnx"
    with pytest.raises(BundleError, match="cannot be quantized to 7 bits") as caught:
        with_narrow_activations(path.read_bytes(), path)
    assert caught.value.tip


def test_where_they_are_used(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, without_vnni: None
) -> None:
    def loaded(variant: str | None = None) -> tuple[str | None, npt.NDArray[Any]]:
        with Session(bundle, variant=variant, precision="int8") as session:
            return session.adaptation, session.run(IDS)["logits"]

    assert open_bundle(bundle).variant(QUANTIZED).narrow_activations
    kind, narrow = loaded()
    assert kind == "narrow-activations"
    monkeypatch.setattr(adaptation, "adds_narrow_activations_exactly", lambda: False)
    kind, unsigned = loaded()
    assert kind == "unsigned-weights"
    assert 1e-4 < np.abs(narrow - unsigned).max() < 0.2
    monkeypatch.setattr(adaptation, "adds_signed_weights_exactly", lambda: True)
    assert loaded()[0] is None
    assert loaded("model")[0] is None


def test_answers_are_stored_for_both(bundle: Path, without_vnni: None) -> None:
    stored = read_self_test(open_bundle(bundle)).outputs
    assert {*stored} == {"model", QUANTIZED, f"{QUANTIZED}, narrow-activations"}
    with Session(bundle, precision="int8") as session:
        check = check_answers(session)
    assert check is not None and check.difference == 0
    assert albert_edge.verify(bundle).answers[QUANTIZED].difference == 0


def test_the_gate_judges_them(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_vnni: None
) -> None:
    """Between the two qualities, 8 bits are written and 7 bits are not used."""
    opened = open_bundle(bundle)
    config, head = opened.read_config(), opened.manifest.head
    inputs = load_sample(opened, config, TEXTS, None).inputs
    path = bundle / "onnx" / f"{QUANTIZED}.onnx"
    full = run_file(bundle / "onnx" / "model.onnx")
    narrow = run_file(path, adaptation=Adaptation.NARROW_ACTIVATIONS)
    reference = Reference(config, head, [thin(full(arrays)) for arrays in inputs])
    expected = reference.compare([thin(narrow(arrays)) for arrays in inputs])
    measured = opened.variant(QUANTIZED).measured
    assert measured["narrow_activations"]["cosine"] == pytest.approx(expected.cosine, abs=1e-12)
    assert measured["narrow_activations"]["texts"] == len(TEXTS)
    assert expected.cosine < measured["cosine"]
    own = Path(shutil.copytree(bundle, tmp_path / "own"))
    between = (expected.cosine + measured["cosine"]) / 2
    albert_edge.quantize(own, "int8", texts=TEXTS, min_agreement=0, min_cosine=between)
    assert open_bundle(own).variant(QUANTIZED).narrow_activations is False
    assert Session(own, precision="int8").adaptation == "unsigned-weights"
    assert f"{QUANTIZED}, narrow-activations" not in read_self_test(open_bundle(own)).outputs


def test_a_bundle_of_an_earlier_version_keeps_eight_bits(
    bundle: Path, tmp_path: Path, without_vnni: None
) -> None:
    own = Path(shutil.copytree(bundle, tmp_path / "own"))
    with change(own) as pending:
        manifest = open_bundle(own).manifest
        earlier = replace(manifest.variants[-1], narrow_activations=False)
        pending.manifest = manifest.with_variant(earlier)
    with Session(own, precision="int8") as session:
        assert session.adaptation == "unsigned-weights"
        check = check_answers(session)
    assert check is not None and check.difference == 0


@pytest.mark.parametrize("options", [Int8Block(), Int4(), Int8(weights="unsigned")])
def test_who_has_nothing_to_gain_is_not_judged(
    options: Any, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def recording(*arguments: Any, adaptation: Adaptation | None = None) -> Any:
        asked.append(adaptation)
        return load_engine(*arguments, adaptation=adaptation)

    monkeypatch.setattr(engine, "load_engine", recording)
    own = Path(shutil.copytree(bundle, tmp_path / "own"))
    report = albert_edge.quantize(own, options, texts=TEXTS[:2], **ANYTHING)
    assert report.variant is not None and report.variant.narrow_activations is False
    assert asked and "narrow-activations" not in asked
