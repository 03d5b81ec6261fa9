"""What a bundle stores for a self-test: items a tokenizer makes, answers onnxruntime gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from support.checkpoints import MODEL_CLASSES
from support.quantizing import ANYTHING, TEXTS, make_bundle
from support.stored_answers import change_stored_answers, read_stored_answers
from tokenizers import Tokenizer

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.compress.options import Int8
from albert_edge.errors import BundleError
from albert_edge.runtime.self_test import SELF_TEST, AnswerCheck, check_answers, read_self_test
from albert_edge.runtime.session import Session

FIELDS = {
    "text-classification": {"text", "text_pair"},
    "question-answering": {"question", "context"},
    "multiple-choice": {"prompt", "choices"},
    "pretraining": {"text", "text_pair"},
}
# The largest number of entries along each axis that is stored of each output.
STORED = {1: (32,), 2: (1, 32), 3: (1, 2, 16)}


def check(bundle: Path, variant: str) -> AnswerCheck | None:
    with Session(bundle, device="cpu", variant=variant) as session:
        return check_answers(session)


@pytest.mark.parametrize("tokenizer", [True, False])
@pytest.mark.parametrize("head", MODEL_CLASSES)
def test_items_and_answers_of_every_head(head: str, tokenizer: bool, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, head, tokenizer=tokenizer)
    assert not (bundle / SELF_TEST).exists()
    albert_edge.optimize(bundle)
    stored = read_stored_answers(bundle)
    assert (stored["schema_version"], len(stored["items"])) == (1, 4)
    assert set(stored["outputs"]) == {"model", "model_optimized"}
    if tokenizer:
        assert set(stored["items"][0]["fields"]) == FIELDS.get(head, {"text"})
        for item in stored["items"]:
            assert item["inputs"] == tokenized(bundle, item["fields"])
    else:
        assert not any("fields" in item for item in stored["items"])
    run = ort.InferenceSession(bundle / "onnx/model.onnx")
    names = [output.name for output in run.get_outputs()]
    for item, answer in zip(stored["items"], stored["outputs"]["model"], strict=True):
        inputs = {name: np.array(values) for name, values in item["inputs"].items()}
        assert list(answer) == names
        for name, values in zip(names, run.run(names, inputs), strict=True):
            part = tuple(map(slice, STORED[values.ndim]))
            assert np.abs(np.array(answer[name]) - values[part]).max() < 1e-5
    for variant in ("model", "model_optimized"):
        result = check(bundle, variant)
        assert result is not None and result.difference == 0 and result.holds


def tokenized(bundle: Path, fields: dict[str, Any]) -> Any:
    """The inputs as the tokenizers library makes them, and choices side by side."""
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    first, *rest = fields.values()
    is_list = bool(rest) and isinstance(rest[0], list)
    encodings = [
        tokenizer.encode(first, second) for second in (rest[0] if is_list else rest or [None])
    ]
    longest = max(len(encoding) for encoding in encodings)
    for encoding in encodings:
        encoding.pad(longest)
    parts = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    rows = {name: [getattr(each, part) for each in encodings] for name, part in parts.items()}
    return {name: [values] for name, values in rows.items()} if is_list else rows


def test_a_masked_variant_has_the_logits_at_the_mask(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "fill-mask")
    albert_edge.optimize(bundle, logits="masked")
    stored = read_stored_answers(bundle)
    for item, answer in zip(
        stored["items"], stored["outputs"]["model_optimized_masked"], strict=True
    ):
        (ids,) = item["inputs"]["input_ids"]
        assert answer["mask_positions"] == [[0, ids.index(4)]]
        assert np.shape(answer["mask_logits"]) == (1, 32)
    assert check(bundle, "model_optimized_masked") == AnswerCheck(0.0, 1e-4)


def test_the_answers_of_other_variants_are_kept(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "text-classification")
    albert_edge.optimize(bundle)
    first = read_stored_answers(bundle)

    def change(content: Any) -> None:
        content["outputs"]["model_optimized"][0]["logits"][0][0] = 7.0
        content["outputs"]["gone"] = content["outputs"]["model"]

    change_stored_answers(bundle, change)
    albert_edge.quantize(bundle, "int8", texts=TEXTS, **ANYTHING)
    second = read_stored_answers(bundle)
    assert second["items"] == first["items"]
    seven_bits = "model_quantized, narrow-activations"  # as a CPU without VNNI answers
    assert list(second["outputs"]) == ["model", "model_optimized", "model_quantized", seven_bits]
    assert second["outputs"]["model"] == first["outputs"]["model"]
    assert second["outputs"]["model_optimized"][0]["logits"][0][0] == 7.0
    albert_edge.quantize(bundle, Int8(activations="per-tensor"), texts=TEXTS, **ANYTHING)
    third = read_stored_answers(bundle)
    assert third["outputs"]["model_quantized"] != second["outputs"].pop("model_quantized")
    del second["outputs"][seven_bits]  # which only activations with a scale for each token have
    assert third["outputs"].items() >= second["outputs"].items()
    for variant in ("model", "model_quantized"):
        result = check(bundle, variant)
        assert result is not None and result.holds
    wrong = check(bundle, "model_optimized")
    assert wrong is not None and wrong.difference > 0.1 and not wrong.holds


def test_the_file_stays_small_however_large_the_outputs_are(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"vocab_size": 3000, "hidden_size": 240, "num_attention_heads": 3}
    bundle = make_bundle(tmp_path, "pretraining", **sizes)
    albert_edge.optimize(bundle)
    first = (bundle / SELF_TEST).stat().st_size
    albert_edge.optimize(bundle, target="portable")
    assert len(read_stored_answers(bundle)["outputs"]) == 3
    assert first < 10_000
    assert (bundle / SELF_TEST).stat().st_size - first < 4_000  # for each further variant


@pytest.fixture(scope="module")
def optimized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = make_bundle(tmp_path_factory.mktemp("stored"), "token-classification", num_labels=5)
    albert_edge.optimize(bundle)
    return bundle


@pytest.fixture
def own(optimized: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(optimized, tmp_path / "own"))


def set_answer(value: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        content["outputs"]["model"][3]["logits"][0][1][4] = value(
            content["outputs"]["model"][3]["logits"][0][1][4]
        )

    return change


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda value: value + 1e-3, 1e-3),
        (lambda value: value - 0.5, 0.5),
        (lambda value: 400.0, 400.0),
    ],
)
def test_the_largest_difference_counts(
    change: Callable[[float], float], difference: float, own: Path
) -> None:
    change_stored_answers(own, set_answer(change))
    scale = np.abs(read_stored_answers(own)["outputs"]["model"][3]["logits"]).max()
    assert scale > 1
    result = check(own, "model")
    assert result is not None and not result.holds
    assert result.difference == pytest.approx(difference / scale, rel=0.02)
    other = check(own, "model_optimized")
    assert other is not None and other.holds


def test_outputs_of_another_shape_differ_without_bound(own: Path) -> None:
    def change(content: Any) -> None:
        answers = content["outputs"]["model"]
        answers[0]["logits"][0] = [[*row, 0.0] for row in answers[0]["logits"][0]]

    change_stored_answers(own, change)
    assert check(own, "model") == AnswerCheck(np.inf, 1e-4)
    change_stored_answers(own, lambda content: content["outputs"]["model"][0].update(other=[1.0]))
    assert check(own, "model") == AnswerCheck(np.inf, 1e-4)


def test_without_stored_answers_there_is_nothing_to_compare(own: Path) -> None:
    change_stored_answers(own, lambda content: content["outputs"].pop("model"))
    assert check(own, "model") is None
    assert check(own, "model_optimized") is not None


def drop(*path: Any) -> Callable[[Any], object]:
    def change(content: Any) -> None:
        *parents, last = path
        for name in parents:
            content = content[name]
        del content[last]

    return change


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda content: content.update(schema_version=2), "schema_version"),
        (lambda content: content.update(items=3), "items"),
        (drop("items", 0), "outputs.model"),
        (drop("items", 0, "inputs"), r"items\[0\].inputs"),
        (drop("outputs", "model", 1), "outputs.model"),
        (drop("outputs", "model", 1, "logits"), "outputs.model"),
        (lambda c: c["outputs"]["model"][0].update(logits=[[1.0], [2.0, 3.0]]), "logits"),
        (lambda c: c["outputs"]["model"][0].update(logits=["a"]), "logits"),
        (lambda c: c["items"][1]["inputs"].update(input_ids=[[1.5]]), "input_ids"),
    ],
)
def test_damaged_answers_are_named(change: Callable[[Any], object], place: str, own: Path) -> None:
    change_stored_answers(own, change)
    with pytest.raises(BundleError, match=rf"self_test\.json: .*{place}"):
        read_self_test(open_bundle(own))


def test_the_file_is_hashed_as_every_other(own: Path) -> None:
    path = own / SELF_TEST
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(BundleError, match=r"self_test\.json is not the file"):
        check(own, "model")
    assert SELF_TEST in (own / MANIFEST).read_text()
