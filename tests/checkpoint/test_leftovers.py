"""Tensors beside those of the model: leftovers of training, prefixes, bodies without a pooler."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from safetensors.torch import load_file
from support.checkpoints import (
    MODEL_CLASSES,
    TINY,
    change_config,
    drop_fields,
    make_model,
    save_tensors,
)

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.errors import CheckpointError, UsageError
from albert_edge.runtime.session import Session

Tensors = dict[str, torch.Tensor]
Outputs = dict[str, npt.NDArray[np.float32]]
Make = Callable[..., Path]

VOCABULARY: Any = TINY["vocab_size"]
CLASSIFIERS = ("text-classification", "token-classification", "question-answering")
QUERY = "encoder.albert_layer_groups.1.albert_layers.0.attention.query.weight"
LEFTOVERS = {
    "crf.transitions": torch.zeros(2, 2),
    "crf.start_transitions": torch.full((2,), float("nan")),
    "encoder.lstm.weight_ih_l0": torch.zeros(5, 24),
    "embeddings.dropout.mask": torch.zeros(3),
    "loss_fct.weight": torch.tensor([0.1, 0.9]),
    "metrics.f1.total": torch.tensor(3),
    "previous_dense.weight": torch.zeros(5, 24),
    "teacher.albert.pooler.bias": torch.zeros(24),
    "ema.encoder.embedding_hidden_mapping_in.bias": torch.zeros(24),
}
WRAPPERS = (
    "module.",
    "_orig_mod.",
    "module._orig_mod.",
    "model.",
    "base_model.model.",
    "student.network.",
)
IDS = np.random.default_rng(0).integers(0, VOCABULARY, (2, 7))
ARRAYS = {
    "input_ids": IDS,
    "attention_mask": (np.arange(7) < np.array([[7], [4]])).astype(np.int64),
    "token_type_ids": (IDS % 2).astype(np.int64),
}


@pytest.fixture
def edited(checkpoint: Make) -> Make:
    """A checkpoint whose tensors `edit` has changed."""

    def make(edit: Callable[[Tensors], Tensors], task: str, **config: Any) -> Path:
        folder = checkpoint(task, **config)
        path = folder / "model.safetensors"
        tensors = edit(load_file(path))
        save_tensors(path, tensors)
        return folder

    return make


def ours(bundle: Path) -> Outputs:
    with Session(bundle, device="cpu") as session:
        return dict(session.run(ARRAYS))


def theirs(model: Any) -> Outputs:
    """The outputs of a model of transformers."""
    with torch.inference_mode():
        outputs = model.eval()(**{name: torch.from_numpy(array) for name, array in ARRAYS.items()})
    return {name: value.numpy() for name, value in outputs.items() if value is not None}


def load(folder: Path, task: str) -> Any:
    return getattr(transformers, MODEL_CLASSES[task]).from_pretrained(folder)


def assert_equal(found: Outputs, expected: Outputs) -> None:
    """Every output found is within rounding of the expected one of its name."""
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=2e-5)


# Leftovers of training


@pytest.mark.reference
@pytest.mark.parametrize("task", CLASSIFIERS)
def test_leftovers_are_ignored_as_in_transformers(task: str, edited: Make, tmp_path: Path) -> None:
    folder = edited(lambda tensors: tensors | LEFTOVERS, task)
    report = albert_edge.export(folder, tmp_path / "bundle")
    assert report.ignored == tuple(sorted(LEFTOVERS))
    assert (report.unused, report.prefix, report.lacks_pooler) == ((), "", False)
    assert_equal(ours(tmp_path / "bundle"), theirs(load(folder, task)))


def test_leftovers_are_told_from_other_heads(edited: Make, tmp_path: Path) -> None:
    added = {"crf.transitions": torch.zeros(2, 2), "classifier.bias": torch.zeros(2)}
    folder = edited(lambda tensors: tensors | added, "question-answering")
    report = albert_edge.export(folder, tmp_path / "bundle")
    assert (report.unused, report.ignored) == (("classifier.bias",), ("crf.transitions",))


@pytest.mark.parametrize(
    ("name", "tip"),
    [
        (f"albert.{QUERY.replace('groups.1', 'groups.2')}", "num_hidden_groups"),
        (f"albert.{QUERY.replace('layers.0', 'layers.2')}", "inner_group_num"),
        (QUERY.replace("groups.1", "groups.2"), "num_hidden_groups"),
        (f"albert.{QUERY.replace('weight', 'lora_A.default.weight')}", "adapters"),
        ("albert.embeddings.language_embeddings.weight", "adapters"),
    ],
)
def test_more_of_a_body_contradicts_the_geometry(
    name: str, tip: str, edited: Make, tmp_path: Path
) -> None:
    folder = edited(lambda tensors: tensors | {name: torch.zeros(24, 24)}, "fill-mask")
    with pytest.raises(
        CheckpointError, match=r"not part of the ALBERT that config\.json"
    ) as caught:
        albert_edge.export(folder, tmp_path / "bundle")
    assert name in str(caught.value) and "(24, 24)" in str(caught.value)
    assert tip in caught.value.tip
    assert not (tmp_path / "bundle").exists()


def test_what_was_seen_in_place_of_a_missing_tensor(edited: Make, tmp_path: Path) -> None:
    """In its place transformers would answer with a random head."""

    def deeper(tensors: Tensors) -> Tensors:
        del tensors["classifier.weight"]
        return tensors | {f"classifier.{i}.weight": torch.zeros(24, 24) for i in range(7)}

    folder = edited(deeper, "text-classification")
    with pytest.raises(CheckpointError, match=r"classifier\.weight is missing") as caught:
        albert_edge.export(folder, tmp_path / "bundle")
    assert "(2, 24)" in str(caught.value)
    assert "classifier.0.weight" in str(caught.value) and "and 2 more" in str(caught.value)


def test_another_model_shows_what_was_seen(edited: Make, tmp_path: Path) -> None:
    folder = edited(
        lambda _: {"bert.encoder.layer.0.output.dense.weight": torch.zeros(3, 3)}, "fill-mask"
    )
    with pytest.raises(CheckpointError, match=r"missing.*bert\.encoder\.layer\.0\.output"):
        albert_edge.export(folder, tmp_path / "bundle")


@pytest.mark.parametrize(
    ("task", "missing"),
    [
        ("text-classification", "albert.pooler.bias"),
        ("feature-extraction", "pooler.weight"),
        ("question-answering", "albert.embeddings.LayerNorm.bias"),
        ("fill-mask", "predictions.dense.weight"),
    ],
)
def test_one_missing_tensor_is_named(task: str, missing: str, edited: Make, tmp_path: Path) -> None:
    folder = edited(
        lambda tensors: {name: tensor for name, tensor in tensors.items() if name != missing}, task
    )
    with pytest.raises(CheckpointError, match=rf"tensor (albert\.)?{missing} is missing"):
        albert_edge.export(folder, tmp_path / "bundle")


@pytest.mark.parametrize("task", ["text-classification", "token-classification", "pretraining"])
def test_classes_that_config_does_not_name(task: str, checkpoint: Make, tmp_path: Path) -> None:
    folder = checkpoint(task, num_labels=5)
    drop_fields(folder, "id2label")
    with pytest.raises(
        CheckpointError,
        match=r"classifier\.(weight|bias) .*for 5 classes; config\.json has 2 labels",
    ) as caught:
        albert_edge.export(folder, tmp_path / "bundle")
    assert "id2label" in caught.value.tip


@pytest.mark.reference
@pytest.mark.parametrize("rows", [2, 5])
def test_the_classifier_decides_between_two_numbers_of_labels(
    rows: int, checkpoint: Make, tmp_path: Path
) -> None:
    """Transformers 4 loads only the one, transformers 5 only the other."""
    folder = checkpoint("text-classification", num_labels=rows)
    change_config(folder, id2label={"0": "a", "1": "b"}, num_labels=5)
    albert_edge.export(folder, tmp_path / "bundle")
    labels = dict(enumerate(open_bundle(tmp_path / "bundle").manifest.labels))
    assert labels == ({0: "a", 1: "b"} if rows == 2 else {i: f"LABEL_{i}" for i in range(5)})
    assert transformers.AlbertConfig.from_pretrained(tmp_path / "bundle").id2label == labels
    if (rows == 5) == transformers.__version__.startswith("5."):
        model = load(folder, "text-classification")
        assert model.config.id2label == labels
        assert_equal(ours(tmp_path / "bundle"), theirs(model))
    else:
        with pytest.raises(RuntimeError):
            load(folder, "text-classification")


def test_a_classifier_of_neither_number(checkpoint: Make, tmp_path: Path) -> None:
    folder = checkpoint("text-classification", num_labels=3)
    change_config(folder, id2label={"0": "a", "1": "b"}, num_labels=5)
    with pytest.raises(CheckpointError, match=r"for 3 classes; config\.json has 2 labels"):
        albert_edge.export(folder, tmp_path / "bundle")


# Prefixes


@pytest.fixture(scope="module")
def expected() -> dict[str, Outputs]:
    """The answers of the checkpoints before their tensors are renamed."""
    return {task: theirs(make_model(task)) for task in ("text-classification", "fill-mask")}


@pytest.mark.reference
@pytest.mark.parametrize("prefix", WRAPPERS)
@pytest.mark.parametrize("task", ["text-classification", "fill-mask"])
def test_a_prefix_is_taken_off(
    task: str, prefix: str, edited: Make, tmp_path: Path, expected: dict[str, Outputs]
) -> None:
    """Also beside leftovers, that have none or the same."""

    def wrap(tensors: Tensors) -> Tensors:
        wrapped = {prefix + name: tensor for name, tensor in tensors.items()}
        return wrapped | {"loss.weight": torch.ones(2), f"{prefix}crf.weight": torch.ones(2)}

    report = albert_edge.export(edited(wrap, task), tmp_path / "bundle")
    assert (report.prefix, report.ignored) == (prefix, ("crf.weight", "loss.weight"))
    assert_equal(ours(tmp_path / "bundle"), expected[task])


@pytest.mark.reference
def test_a_body_in_a_module_of_another_name(
    edited: Make, tmp_path: Path, expected: dict[str, Outputs]
) -> None:
    """albert_model.* beside classifier.*, as a Module with both saves them."""
    folder = edited(
        lambda tensors: {n.replace("albert.", "albert_model."): t for n, t in tensors.items()},
        "text-classification",
    )
    report = albert_edge.export(folder, tmp_path / "bundle")
    assert (report.prefix, report.unused, report.ignored) == ("albert_model.", (), ())
    assert_equal(ours(tmp_path / "bundle"), expected["text-classification"])


@pytest.mark.reference
@pytest.mark.parametrize("wrapper", ["module.", ""])
def test_the_encoder_of_pl_bert(wrapper: str, edited: Make, tmp_path: Path) -> None:
    """Its `encoder.` is no part of ALBERT's name encoder.albert_layer_groups."""

    def wrap(tensors: Tensors) -> Tensors:
        heads = {f"{wrapper}{n}_predictor.weight": torch.ones(2) for n in ("mask", "word")}
        return {f"{wrapper}encoder.{n}": t for n, t in tensors.items()} | heads

    report = albert_edge.export(edited(wrap, "feature-extraction"), tmp_path / "bundle")
    assert report.prefix == f"{wrapper}encoder."
    assert report.ignored == (f"{wrapper}mask_predictor.weight", f"{wrapper}word_predictor.weight")
    assert_equal(ours(tmp_path / "bundle"), theirs(make_model("feature-extraction")))


@pytest.mark.parametrize("key", ["state_dict", "net"])
def test_weights_beside_the_state_of_an_optimizer(
    key: str, checkpoint: Make, tmp_path: Path
) -> None:
    """As Lightning and PL-BERT save them, here under the name that save_pretrained gave."""
    folder = checkpoint("feature-extraction")
    (folder / "model.safetensors").unlink()
    model = make_model("feature-extraction")
    weights = {f"module.encoder.{name}": tensor for name, tensor in model.state_dict().items()}
    state = {0: {"step": torch.tensor(7.0), "exp_avg": torch.ones(2)}}
    saved = {"optimizer": {"state": state, "param_groups": []}, "iters": 7, "loss": torch.ones(1)}
    torch.save({key: weights, **saved}, folder / "pytorch_model.bin")
    report = albert_edge.export(folder, tmp_path / "bundle")
    assert (report.prefix, report.ignored) == (f"{key}.module.encoder.", ("loss",))
    assert_equal(ours(tmp_path / "bundle"), theirs(model))
    torch.save({key: weights, "ema": weights, **saved}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="holds 2 ALBERTs"):
        albert_edge.export(folder, tmp_path / "bundle", force=True)


def test_two_prefixes_are_refused(edited: Make, tmp_path: Path) -> None:
    """A pair of encoders: nothing says which one is meant."""
    folder = edited(
        lambda tensors: {
            f"{p}.{n}": t.clone() for p in ("query", "passage") for n, t in tensors.items()
        },
        "feature-extraction",
    )
    with pytest.raises(CheckpointError, match=r"holds 2 ALBERTs: .* passage\., query\."):
        albert_edge.export(folder, tmp_path / "bundle")


def test_a_prefix_that_some_names_lack(edited: Make, tmp_path: Path) -> None:
    """Names without a prefix are read as they are; those behind one are then missing."""
    folder = edited(
        lambda tensors: {
            ("module." if "groups.1" in name else "") + name: tensor
            for name, tensor in tensors.items()
        },
        "fill-mask",
    )
    with pytest.raises(CheckpointError, match=r"groups\.1.*is missing.*module\.albert"):
        albert_edge.export(folder, tmp_path / "bundle")


@pytest.mark.reference
def test_verification_of_a_prefixed_checkpoint(edited: Make, tmp_path: Path) -> None:
    """Of the folder itself transformers would read random weights."""
    folder = edited(
        lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()}, "fill-mask"
    )
    report = albert_edge.export(folder, tmp_path / "bundle", verify=True)
    assert report.largest_difference is not None and report.largest_difference < 1e-5
    assert albert_edge.verify(tmp_path / "bundle", against=folder).differences["model"] < 1e-5
    wrong = theirs(load(folder, "fill-mask"))["logits"]
    assert np.abs(ours(tmp_path / "bundle")["logits"] - wrong).max() > 0.1


# Configurations that do not name their class


@pytest.mark.parametrize(
    ("task", "found"),
    [
        ("feature-extraction", "feature-extraction"),
        ("fill-mask", "fill-mask"),
        ("pretraining", "pretraining"),
        ("question-answering", "question-answering"),
    ],
)
@pytest.mark.parametrize("architectures", [None, []])
def test_a_head_found_by_its_weights(
    architectures: Any, task: str, found: str, checkpoint: Make, tmp_path: Path
) -> None:
    folder = checkpoint(task)
    drop_fields(folder, "architectures", "model_type")
    if architectures is not None:
        change_config(folder, architectures=architectures)
    assert albert_edge.export(folder, tmp_path / "bundle").head == found
    config = json.loads((tmp_path / "bundle" / "config.json").read_text())
    assert (config["architectures"], config["model_type"]) == ([MODEL_CLASSES[found]], "albert")


@pytest.mark.parametrize("task", ["text-classification", "token-classification", "multiple-choice"])
def test_a_classifier_of_a_class_not_named(task: str, checkpoint: Make, tmp_path: Path) -> None:
    folder = checkpoint(task)
    drop_fields(folder, "architectures")
    with pytest.raises(
        UsageError,
        match="no known architecture; its weights fit text-classification, token-classification, "
        "multiple-choice",
    ):
        albert_edge.export(folder, tmp_path / "bundle")
    assert albert_edge.export(folder, tmp_path / "bundle", task=task).head == task


def test_a_class_that_is_unknown(checkpoint: Make, tmp_path: Path) -> None:
    """It may compute something else, so that its weights do not decide."""
    folder = checkpoint("fill-mask")
    change_config(folder, architectures=["AlbertForSomethingElse"])
    with pytest.raises(UsageError, match="it names AlbertForSomethingElse"):
        albert_edge.export(folder, tmp_path / "bundle")
