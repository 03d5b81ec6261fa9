"""int8 weights stored as unsigned bytes: the same numbers, for programs other than this one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from support.command_line import Cli, assert_error
from support.quantizing import ANYTHING, TEXTS

import albert_edge
from albert_edge.benchmark.roofline import count_work
from albert_edge.bundle.bundle import open_bundle
from albert_edge.compress.options import Int4, Int8, Int8Block
from albert_edge.errors import QualityError
from albert_edge.inspection.diff import diff
from albert_edge.runtime import adaptation, engine
from albert_edge.runtime.adaptation import Adaptation
from albert_edge.runtime.engine import load_engine
from albert_edge.runtime.self_test import check_answers
from albert_edge.runtime.session import Session

FILES = {"int8": "model_quantized", "int8-block": "model_int8_block"}

Arrays = dict[str, npt.NDArray[Any]]

every_precision = pytest.mark.parametrize("precision", FILES)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same model with signed and with unsigned weights."""
    folder = tmp_path_factory.mktemp("unsigned")
    signed = folder / "signed"
    albert_edge.export("langid-tiny", signed)
    unsigned = Path(shutil.copytree(signed, folder / "unsigned"))
    for kind in (Int8, Int8Block):
        albert_edge.quantize(signed, kind(), texts=TEXTS, **ANYTHING)
        albert_edge.quantize(unsigned, kind(weights="unsigned"), texts=TEXTS, **ANYTHING)
    return {"signed": signed, "unsigned": unsigned}


def inputs() -> list[Arrays]:
    random = np.random.default_rng(0)
    return [
        {
            "input_ids": random.integers(0, 4000, shape),
            "attention_mask": np.ones(shape, np.int64),
            "token_type_ids": random.integers(0, 2, shape),
        }
        for shape in ((1, 1), (1, 8), (3, 17))
    ]


def initializers(bundle: Path, precision: str) -> Arrays:
    model = onnx.load(bundle / "onnx" / f"{FILES[precision]}.onnx")
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@every_precision
def test_the_file_has_the_same_numbers(precision: str, bundles: dict[str, Path]) -> None:
    signed, unsigned = (initializers(bundles[kind], precision) for kind in bundles)
    assert signed.keys() == unsigned.keys()
    changed = {name for name, values in signed.items() if values.dtype == np.int8}
    assert {"weight_zero_point", "classifier.weight"} <= changed
    for name, values in signed.items():
        if name in changed:
            assert unsigned[name].dtype == np.uint8
            assert np.array_equal(unsigned[name].astype(int) - 128, values.astype(int))
        else:
            assert np.array_equal(unsigned[name], values)


@every_precision
def test_answers_are_the_same_in_this_runtime_and_in_others(
    precision: str, bundles: dict[str, Path]
) -> None:
    sessions = [Session(folder, precision=precision) for folder in bundles.values()]
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    plain = ort.InferenceSession(bundles["unsigned"] / "onnx" / f"{FILES[precision]}.onnx", options)
    for arrays in inputs():
        ours, unsigned = (session.run(arrays)["logits"] for session in sessions)
        assert np.array_equal(ours, unsigned)
        assert np.array_equal(plain.run(["logits"], arrays)[0], unsigned)


@every_precision
def test_it_is_loaded_as_it_is_on_every_cpu(
    precision: str, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "adds_signed_weights_exactly", lambda: False)
    monkeypatch.setattr(adaptation, "adds_narrow_activations_exactly", lambda: False)
    loaded = {
        kind: Session(folder, precision=precision).adaptation for kind, folder in bundles.items()
    }
    assert loaded == {"signed": "unsigned-weights", "unsigned": None}


def test_the_gate_tries_it_as_it_is(
    bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[str | None] = []

    def recording(*arguments: Any, adaptation: Adaptation | None = None) -> Any:
        converted.append(adaptation)
        return load_engine(*arguments, adaptation=adaptation)

    monkeypatch.setattr(engine, "load_engine", recording)
    monkeypatch.setattr(adaptation, "adds_signed_weights_exactly", lambda: False)
    own = Path(shutil.copytree(bundles["signed"], tmp_path / "own"))
    albert_edge.quantize(own, Int8(weights="unsigned"), texts=TEXTS, **ANYTHING)
    assert converted and not any(converted)
    albert_edge.quantize(own, Int8(), texts=TEXTS, **ANYTHING)
    assert {"unsigned-weights", "narrow-activations"} <= {*converted}


@every_precision
def test_the_manifest_says_so(precision: str, bundles: dict[str, Path]) -> None:
    for kind, folder in bundles.items():
        variant = open_bundle(folder).variant(FILES[precision])
        assert (variant.precision, variant.weights) == (precision, kind)
        assert variant.multiplies_signed_weights == (kind == "signed")
    assert open_bundle(folder).variant("model").weights == ""


def test_inspect_and_verify_know_it(bundles: dict[str, Path]) -> None:
    report = albert_edge.inspect(bundles["unsigned"])
    assert [variant.weights for variant in report.variants] == ["", "unsigned", "unsigned"]
    assert report.unsigned_weights is None  # nothing has to be converted
    assert albert_edge.inspect(bundles["signed"]).unsigned_weights is not None
    assert set(albert_edge.verify(bundles["unsigned"]).answers) == {"model", *FILES.values()}
    with Session(bundles["unsigned"], precision="int8") as session:
        check = check_answers(session)
    assert check is not None and check.difference == 0


@every_precision
def test_diff_compares_the_numbers(precision: str, bundles: dict[str, Path]) -> None:
    name = FILES[precision]
    report = diff(*bundles.values(), variant=name, second_variant=name)
    (pair,) = report.variants
    (field,) = pair.fields
    assert (field.field, field.first, field.second) == ("weights", "signed", "unsigned")
    assert pair.operators == []
    assert pair.weights is not None and not pair.weights.incomparable
    assert max(weight.largest for weight in pair.weights.shared) == 0
    stored = {weight.name: (weight.first, weight.second) for weight in pair.weights.shared}
    assert stored["classifier.weight"] == ("int8 by column", "uint8 by column")
    assert pair.answers is not None and pair.answers.quality.largest_difference == 0
    other = diff(bundles["unsigned"], variant="model", second_variant=name)
    assert other.variants[0].weights is not None
    cosines = {weight.name: weight.cosine for weight in other.variants[0].weights.shared}
    assert cosines["classifier.weight"] > 0.999


def test_the_work_of_a_roofline_is_the_same(bundles: dict[str, Path]) -> None:
    arrays = inputs()[2]
    counts = [
        count_work(folder / "onnx" / "model_quantized.onnx", arrays) for folder in bundles.values()
    ]
    assert counts[0] == counts[1]
    assert counts[0]["MatMulIntegerToFloat"][1] > 0


def test_a_refusal_keeps_the_option(bundles: dict[str, Path], tmp_path: Path) -> None:
    own = Path(shutil.copytree(bundles["signed"], tmp_path / "own"))
    with pytest.raises(QualityError) as caught:
        albert_edge.quantize(own, Int8(weights="unsigned"), texts=TEXTS, min_cosine=1.0)
    assert 'weights="unsigned"' in caught.value.tip or "weights='unsigned'" in caught.value.tip


@pytest.mark.parametrize("precision", ["int4", "fp16"])
def test_precisions_without_such_weights_refuse_it(
    precision: str, cli: Cli, bundles: dict[str, Path]
) -> None:
    done = cli("quantize", bundles["signed"], "--precision", precision, "--weights", "unsigned")
    assert_error(done, 2, f"{precision} does not take --weights unsigned", "int8", "int8-block")
    assert not hasattr(Int4(), "weights")


def test_the_command_takes_it(cli: Cli, bundles: dict[str, Path], tmp_path: Path) -> None:
    own = Path(shutil.copytree(bundles["signed"], tmp_path / "own"))
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TEXTS), encoding="utf-8")
    precision = ("--precision", "int8", "--min-agreement", 0, "--min-cosine", 0)
    done = cli("quantize", own, *precision, "--weights", "unsigned", "--texts", texts)
    assert done.code == 0
    left, right = (
        initializers(folder, "int8")["classifier.weight"] for folder in (own, bundles["unsigned"])
    )
    assert np.array_equal(left, right)
