"""What differs between bundles and variants: what was changed is found, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from safetensors.numpy import load_file, save_file
from support.checkpoints import TINY, make_model

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.cli.app import main
from albert_edge.errors import BundleError, MissingExtraError, UsageError
from albert_edge.inspection import diff_answers
from albert_edge.inspection.diff import DiffReport, FieldDiff, diff
from albert_edge.inspection.weights import Weights
from albert_edge.runtime.session import Session

pytestmark = pytest.mark.slow

ANY = {"min_agreement": 0.0, "min_cosine": 0.0}
LAYER = "albert.encoder.albert_layer_groups.0.albert_layers.0"

Arrays = dict[str, npt.NDArray[Any]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier's checkpoint, and its bundle in several variants; nobody changes them."""
    folder = tmp_path_factory.mktemp("diff")
    make_model("text-classification").save_pretrained(folder / "checkpoint")
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    albert_edge.optimize(folder / "bundle")
    albert_edge.optimize(folder / "bundle", target="cuda")
    for precision in ("int8", "int8-block", "int4", "fp16"):
        albert_edge.quantize(folder / "bundle", precision=precision, **ANY)  # type: ignore[arg-type]
    return folder


@pytest.fixture
def export_changed(root: Path, tmp_path: Path) -> Callable[..., Path]:
    """Exports the checkpoint with changed weights, under the same source name."""

    def export(change: Callable[[Arrays], None]) -> Path:
        checkpoint = tmp_path / "checkpoint"
        shutil.copytree(root / "checkpoint", checkpoint)
        weights = load_file(checkpoint / "model.safetensors")
        change(weights)
        save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
        albert_edge.export(checkpoint, tmp_path / "changed")
        return tmp_path / "changed"

    return export


def between(root: Path, first: str, second: str) -> DiffReport:
    return diff(root / "bundle", variant=first, second_variant=second)


# --- equal ----------------------------------------------------------------------------------


def test_a_copy_is_equal(root: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(root / "bundle", tmp_path / "copy")
    report = diff(root / "bundle", copy)
    assert report.equal
    assert len(report.variants) == 7
    assert all(one.identical for one in report.variants)
    assert not (report.fields or report.files or report.only_first or report.only_second)


def test_exporting_again_is_equal(root: Path, export_changed: Callable[..., Path]) -> None:
    again = export_changed(lambda weights: None)
    report = diff(root / "bundle", again, variant="model")
    assert report.equal


def test_a_copy_without_a_variant_is_not(root: Path, export_changed: Callable[..., Path]) -> None:
    again = export_changed(lambda weights: None)
    report = diff(again, root / "bundle")
    assert not report.equal
    assert [one.first for one in report.variants] == ["model"]
    assert report.only_first == []
    assert {"model_optimized", "model_quantized", "model_q4"} <= {*report.only_second}


# --- weights --------------------------------------------------------------------------------


def test_a_changed_weight_is_found(root: Path, export_changed: Callable[..., Path]) -> None:
    name = "classifier.weight"
    before = load_file(root / "checkpoint" / "model.safetensors")[name].astype(np.float64)

    def change(weights: Arrays) -> None:
        weights[name][1, 3] += 0.5

    changed = export_changed(change)
    after = load_file(changed.parent / "checkpoint" / "model.safetensors")[name]
    (one,) = diff(root / "bundle", changed, variant="model").variants
    assert not one.identical and one.weights is not None
    (found,) = [weight for weight in one.weights.shared if weight.largest]
    assert (found.name, found.first, found.second) == (name, "float32", "float32")
    assert found.largest == pytest.approx(0.5, rel=1e-6)
    assert found.relative == pytest.approx(0.5 / np.abs(before).max(), rel=1e-6)
    a, b = before.ravel(), after.astype(np.float64).ravel()
    assert found.cosine == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), rel=1e-9)
    assert not one.weights.incomparable and not one.weights.only_first
    assert all(weight.cosine == 1 for weight in one.weights.shared if weight is not found)


def test_zeros_and_nan_have_honest_numbers(export_changed: Callable[..., Path], root: Path) -> None:
    names = ("albert.pooler.bias", "classifier.bias")

    def change(weights: Arrays) -> None:
        weights[names[0]][:] = 0

    changed = export_changed(change)
    (one,) = diff(changed, root / "bundle", variant="model").variants
    assert one.weights is not None
    found = {weight.name: weight for weight in one.weights.shared}
    assert (found[names[0]].relative, found[names[0]].cosine) == (1.0, 0.0)
    assert found[names[1]].cosine == 1.0


def unpack(tensors: Arrays, name: str, bits: int, values: int) -> npt.NDArray[np.float64]:
    """Integers in blocks as floats, (rows, values), value by value."""
    packed, scale = tensors[name], tensors[f"{name}_scale"]
    rows, _, size = packed.shape
    each = size * 8 // bits
    found = np.zeros((rows, values))
    for row in range(rows):
        for value in range(values):
            block, place = divmod(value, each)
            if bits == 4:
                integer = int(packed[row, block, place // 2]) >> 4 * (place % 2) & 15
            else:
                integer = int(packed[row, block, place])
            found[row, value] = (integer - 2 ** (bits - 1)) * float(scale[row, block])
    return found


@pytest.mark.parametrize(
    ("variant", "bits"), [("model_int8_block", 8), ("model_q4", 4)], ids=["8", "4"]
)
def test_blocks_are_the_numbers_they_stand_for(variant: str, bits: int, root: Path) -> None:
    bundle = open_bundle(root / "bundle")
    model = onnx.load(bundle.path / bundle.variant(variant).file)
    tensors = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    weights = Weights(bundle, bundle.variant(variant))
    table = "albert.embeddings.token_type_embeddings.weight"
    assert np.allclose(weights.floats(table), unpack(tensors, table, bits, 16), rtol=1e-6)
    dense = f"{LAYER}.ffn_output.weight"  # 40 values are a block of 32, and another filled up
    assert np.allclose(weights.floats(dense), unpack(tensors, dense, bits, 40).T, rtol=1e-6)
    query = f"{LAYER}.attention.query.weight"
    smoothing = tensors[f"{LAYER}.attention.smoothing.weight"][:, None]
    expected = unpack(tensors, query, bits, 24).T * smoothing
    assert np.allclose(weights.floats(query), expected, rtol=1e-6)
    assert weights.stored[dense] == f"int{bits} by 32 of a row"


def test_columns_are_the_numbers_they_stand_for(root: Path) -> None:
    bundle = open_bundle(root / "bundle")
    model = onnx.load(bundle.path / bundle.variant("model_quantized").file)
    tensors = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    weights = Weights(bundle, bundle.variant("model_quantized"))
    ffn = f"{LAYER}.ffn.weight"
    expected = (
        tensors[ffn].astype(np.float64)
        * tensors[f"{ffn}_scale"]
        * tensors[f"{LAYER}.smoothing.weight"][:, None]
    )
    assert np.allclose(weights.floats(ffn), expected, rtol=1e-6)
    assert weights.stored[ffn] == "int8 by column"


@pytest.mark.parametrize(
    ("variant", "least"),
    [("model_quantized", 0.999), ("model_int8_block", 0.999), ("model_q4", 0.95)],
)
def test_compressed_weights_are_near_what_they_were(variant: str, least: float, root: Path) -> None:
    """Read wrong by a nibble, a transpose or a scale, none would point the same way."""
    (one,) = between(root, "model", variant).variants
    assert one.weights is not None
    found = {weight.name: weight for weight in one.weights.shared}
    for name in ("embeddings.word_embeddings", "pooler", f"{LAYER[7:]}.ffn_output"):
        assert found[f"albert.{name}.weight"].cosine > least
    assert found[f"{LAYER}.attention.query.weight"].cosine > least
    assert found[f"{LAYER}.attention.LayerNorm.weight"].largest == 0
    assert found[f"{LAYER}.attention.LayerNorm.bias"].largest == 0
    assert one.weights.only_first == [
        name for name in Weights(*pair(root, "model")).stored if name.endswith("key.bias")
    ]
    assert one.weights.only_second == []


def pair(root: Path, variant: str) -> tuple[Any, Any]:
    bundle = open_bundle(root / "bundle")
    return bundle, bundle.variant(variant)


def test_what_a_rewrite_scaled_is_not_compared(root: Path) -> None:
    (one,) = between(root, "model", "model_quantized").variants
    assert one.weights is not None
    why = one.weights.incomparable
    for name in ("attention.value.weight", "attention.dense.weight"):
        assert "balanced-values" in why[f"{LAYER}.{name}"]
    for name in ("embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias"):
        assert "balanced-embeddings" in why[f"albert.{name}"]
    assert "balanced-embeddings" in why["albert.encoder.embedding_hidden_mapping_in.weight"]
    for name in (f"{LAYER}.ffn.bias", "classifier.bias"):
        assert "rounding" in why[name]
    assert not {weight.name for weight in one.weights.shared} & {*why}


def test_what_both_scaled_is_compared(root: Path) -> None:
    (one,) = between(root, "model_quantized", "model_int8_block").variants
    assert one.weights is not None
    found = {weight.name: weight for weight in one.weights.shared}
    assert found[f"{LAYER}.attention.value.weight"].cosine > 0.999
    assert f"{LAYER}.ffn.bias" in one.weights.incomparable
    assert found["albert.embeddings.LayerNorm.weight"].largest == 0


def test_packed_projections_are_taken_apart(root: Path) -> None:
    (one,) = between(root, "model", "model_optimized_cuda").variants
    assert one.weights is not None
    assert not (one.weights.only_first or one.weights.only_second or one.weights.incomparable)
    assert len(one.weights.shared) == len(Weights(*pair(root, "model")).stored)
    assert {weight.largest for weight in one.weights.shared} == {0.0}


def test_half_precision_is_rounded_to_eleven_bits(root: Path) -> None:
    (one,) = between(root, "model", "model_fp16_cuda").variants
    assert one.weights is not None
    assert one.weights.incomparable == {
        "classifier.bias": "it includes the correction of the answers"
    }
    for weight in one.weights.shared:
        assert weight.second == "float16"
        assert weight.relative <= 2**-11


# --- plan and operators ---------------------------------------------------------------------


def test_plan_and_operators(root: Path) -> None:
    (one,) = between(root, "model", "model_optimized").variants
    fields = {field.field: (field.first, field.second) for field in one.fields}
    assert fields["target"] == ("portable", "cpu")
    assert fields["layout"] == ("unrolled", "loop")
    assert fields["optimization first-token"] == (None, 1)
    assert "precision" not in fields and "exporter" not in fields
    sizes = [
        (root / "bundle/onnx" / f"{name}.onnx").stat().st_size
        for name in ("model", "model_optimized")
    ]
    assert fields["bytes"] == tuple(sizes)
    operators = {field.field: (field.first, field.second) for field in one.operators}
    assert operators["Loop"][1] == 1 and not operators["Loop"][0]
    assert "Tanh" not in operators  # one in both


# --- answers --------------------------------------------------------------------------------


def test_answers_are_what_sessions_give(root: Path, export_changed: Callable[..., Path]) -> None:
    def change(weights: Arrays) -> None:
        weights["classifier.bias"][0] += 0.25

    changed = export_changed(change)
    (one,) = diff(root / "bundle", changed, variant="model").variants
    assert one.answers is not None
    assert one.answers.quality.largest_difference == pytest.approx(0.25, rel=1e-4)
    assert one.answers.sample == "32 of random ids"
    ids = {"input_ids": np.arange(2, 30)[None]}
    apart = [
        Session(folder, variant="model").run(ids)["logits"] for folder in (root / "bundle", changed)
    ]
    assert (apart[1] - apart[0])[0] == pytest.approx([0.25, 0.0], abs=1e-6)


def test_answers_to_texts_where_there_is_a_tokenizer(tmp_path: Path) -> None:
    albert_edge.export("langid-tiny", tmp_path / "langid")
    albert_edge.quantize(tmp_path / "langid")
    report = diff(tmp_path / "langid", variant="model", second_variant="model_quantized")
    (one,) = report.variants
    assert one.answers is not None
    assert one.answers.sample == "40 of the built-in sample"
    assert one.answers.quality.agreement == 1.0
    assert 0.999 < one.answers.quality.cosine < 1


def test_without_onnxruntime_the_rest_is_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: object, **options: object) -> None:
        raise MissingExtraError("onnxruntime", extra="cpu", purpose="Running a model")

    monkeypatch.setattr(diff_answers, "Session", missing)
    (one,) = between(root, "model", "model_quantized").variants
    assert one.answers is None
    assert one.no_answers is not None and "pip install 'albert-edge[cpu]'" in one.no_answers
    assert one.weights is not None and one.weights.shared


@pytest.mark.parametrize(
    ("task", "config", "why"),
    [
        ("token-classification", {}, "one answers text-classification"),
        ("text-classification", {"vocab_size": 310}, "their vocab_size differs"),
        ("text-classification", {"num_labels": 3}, "their num_labels differs"),
    ],
)
def test_models_that_cannot_be_asked_the_same(
    task: str, config: dict[str, Any], why: str, root: Path, tmp_path: Path
) -> None:
    make_model(task, **config).save_pretrained(tmp_path / "other")
    albert_edge.export(tmp_path / "other", tmp_path / "bundle")
    report = diff(root / "bundle", tmp_path / "bundle")
    assert not report.equal
    (one,) = report.variants
    assert one.answers is None
    assert one.no_answers is not None and why in one.no_answers


# --- bundles --------------------------------------------------------------------------------


def test_another_geometry(root: Path, tmp_path: Path) -> None:
    make_model("text-classification", intermediate_size=44).save_pretrained(tmp_path / "checkpoint")
    albert_edge.export(tmp_path / "checkpoint", tmp_path / "wide")
    report = diff(root / "bundle", tmp_path / "wide")
    assert FieldDiff("intermediate_size", TINY["intermediate_size"], 44) in report.fields
    assert [field.field for field in report.fields] == ["intermediate_size"]
    assert [field.field for field in report.files] == ["config.json"]
    (one,) = report.variants
    assert one.weights is not None
    assert one.weights.incomparable[f"{LAYER}.ffn.weight"] == "its shape is (24, 40) and (24, 44)"
    assert one.answers is not None  # the same texts go into both


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to compare"),
        ({"variant": "model"}, "compared with itself"),
        ({"second_variant": "model"}, "compared with itself"),
        ({"variant": "model", "second_variant": "model"}, "compared with itself"),
    ],
)
def test_one_thing_is_not_two(arguments: dict[str, str], message: str, root: Path) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        diff(root / "bundle", **arguments)
    assert "variants with variant and second_variant" in refused.value.tip


def test_what_is_not_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no variant 'model_int9'") as refused:
        between(root, "model", "model_int9")
    assert "model_quantized" in refused.value.tip
    with pytest.raises(BundleError, match="not an albert-edge bundle"):
        diff(root / "bundle", tmp_path)
    copy = shutil.copytree(root / "bundle", tmp_path / "copy")
    path = copy / "onnx/model_quantized.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(BundleError, match="sha256"):
        diff(root / "bundle", copy)


# --- the command ----------------------------------------------------------------------------

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["albert-edge", "inspect", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def test_the_command_compares_bundles(
    root: Path, export_changed: Callable[..., Path], cli: Cli
) -> None:
    def change(weights: Arrays) -> None:
        weights["albert.pooler.bias"][:] = 9

    changed = export_changed(change)
    code, out, err = cli(root / "bundle", "--diff", changed)
    assert (code, err) == (0, "")
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert any(row.startswith("albert.pooler.bias float32 ") for row in rows)
    assert not any(row.startswith("classifier.weight") for row in rows)
    assert "74 of 75 weights that can be compared are equal." in rows
    assert any(row.startswith("variants model_optimized, ") for row in rows)
    assert any(row.startswith("Answers to 32 of random ids: cosine 0.") for row in rows)


def test_the_command_says_that_nothing_differs(root: Path, tmp_path: Path, cli: Cli) -> None:
    copy = shutil.copytree(root / "bundle", tmp_path / "copy")
    assert cli(root / "bundle", "--diff", copy) == (0, "Nothing differs.\n", "")
    code, out, _ = cli(root / "bundle", "--diff", copy, "--json")
    assert (code, json.loads(out)["equal"], json.loads(out)["schema_version"]) == (0, True, 1)


def test_the_command_compares_variants(root: Path, cli: Cli) -> None:
    chosen = ("--variant", "model", "--diff-variant", "model_quantized")
    code, out, err = cli(root / "bundle", *chosen)
    assert (code, err) == (0, "")
    assert "cannot be compared" in out and "balanced-values" in out
    assert "com.microsoft.MatMulIntegerToFloat" in out
    code, out, _ = cli(root / "bundle", *chosen, "--json")
    report = json.loads(out)
    (one,) = report["variants"]
    assert (one["first"], one["second"], one["identical"]) == ("model", "model_quantized", False)
    assert {"name", "first", "second", "largest", "relative", "cosine"} == {
        *one["weights"]["shared"][0]
    }
    assert cli(root / "bundle", *chosen, "--diff", root / "bundle")[1] != ""


def test_the_command_refuses_one_variant(root: Path, cli: Cli) -> None:
    code, out, err = cli(root / "bundle", "--variant", "model")
    assert (code, out) == (2, "")
    assert err.startswith("ERROR Variant 'model' would be compared with itself.\nTIP   ")


def test_a_report_is_a_short_text(root: Path) -> None:
    bundle = root / "bundle"
    report = diff(bundle, variant="model", second_variant="model_quantized")
    assert repr(report) == f"DiffReport('{bundle}', '{bundle}': 1 pairs of variants compared)"
