"""A body saved without its pooler: hidden states only, from the checkpoint to answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from support.checkpoints import TINY, make_model
from support.paths import DATA

import albert_edge
from albert_edge.architecture.config import read_config
from albert_edge.bundle.bundle import open_bundle
from albert_edge.compress.options import COMPRESSIONS
from albert_edge.errors import CheckpointError, UsageError
from albert_edge.inspection.diff import diff
from albert_edge.runtime.session import Session
from albert_edge.runtime.text import load_text_encoder

REFERENCE: Any = transformers
TEXTS = ["The station is in the old town.", "Where is it?"]
WORDS = 30_000
VOCABULARY: Any = TINY["vocab_size"]


def body(folder: Path) -> Path:
    """A body as AlbertModel(add_pooling_layer=False) is saved, with a tokenizer."""
    model = make_model("feature-extraction", vocab_size=WORDS)
    bare = REFERENCE.AlbertModel(model.config, add_pooling_layer=False)
    bare.load_state_dict(model.state_dict(), strict=False)
    bare.save_pretrained(folder)
    shutil.copyfile(DATA / "tokenizers" / "spiece.model", folder / "spiece.model")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return body(tmp_path_factory.mktemp("body") / "checkpoint")


@pytest.fixture(scope="module")
def bundle(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle, with a variant of every kind."""
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    report = albert_edge.export(source, folder, verify=True)
    assert report.lacks_pooler and report.unused == report.ignored == ()
    assert report.largest_difference is not None and report.largest_difference < 1e-5
    assert albert_edge.optimize(folder).largest_difference < 1e-5
    for precision in COMPRESSIONS:
        quantize: Any = albert_edge.quantize
        limits = {"min_cosine": 0.5, "min_agreement": 0.0}
        assert quantize(folder, precision, texts=TEXTS, **limits).variant
    return folder


@pytest.fixture(scope="module")
def states(source: Path) -> dict[str, Any]:
    """The hidden states of each text, (1, sequence, hidden_size), by AlbertModel."""
    tokenizer = REFERENCE.AlbertTokenizerFast.from_pretrained(source)
    model = REFERENCE.AlbertModel.from_pretrained(source).eval()
    with torch.inference_mode():
        return {
            text: model(**tokenizer(text, return_tensors="pt")).last_hidden_state.numpy()
            for text in TEXTS
        }


@pytest.mark.parametrize("task", ["fill-mask", "question-answering", "token-classification"])
@pytest.mark.reference
def test_the_body_of_a_head_without_pooler(
    task: str, checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folder = checkpoint(task)
    report = albert_edge.export(folder, tmp_path / "bundle", task="feature-extraction")
    assert report.lacks_pooler and report.unused and not report.ignored
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (2, 9))
    with Session(tmp_path / "bundle", device="cpu") as session:
        outputs = session.run({"input_ids": ids})
    assert set(outputs) == {"last_hidden_state"}
    with torch.inference_mode():
        model = REFERENCE.AlbertModel.from_pretrained(folder).eval()
        expected = model(torch.from_numpy(ids)).last_hidden_state.numpy()
    np.testing.assert_allclose(outputs["last_hidden_state"], expected, rtol=0, atol=2e-5)


def test_a_body_with_a_pooler_has_its_output(
    checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    for task in ("feature-extraction", "pretraining", "text-classification"):
        report = albert_edge.export(
            checkpoint(task), tmp_path / "bundle", task="feature-extraction", force=True
        )
        assert not report.lacks_pooler
        with Session(tmp_path / "bundle", device="cpu") as session:
            assert set(session.run({"input_ids": [[2, 3]]})) == {
                "last_hidden_state",
                "pooler_output",
            }
        config = (tmp_path / "bundle" / "config.json").read_bytes()
        assert config == (tmp_path / "checkpoint" / "config.json").read_bytes()


@pytest.mark.parametrize("task", ["text-classification", "multiple-choice", "pretraining"])
def test_a_head_that_needs_the_pooler(task: str, source: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tensor (albert\.pooler|\w+).*is missing"):
        albert_edge.export(source, tmp_path / "bundle", task=task)
    assert not (tmp_path / "bundle").exists()


def test_its_configuration_says_so(bundle: Path) -> None:
    assert json.loads((bundle / "config.json").read_text())["add_pooling_layer"] is False
    assert read_config(bundle / "config.json").add_pooling_layer is False
    inspection = albert_edge.inspect(bundle)
    assert inspection.geometry["add_pooling_layer"] is False
    assert not any("pooler" in group.name for group in inspection.groups)
    assert len(inspection.variants) == 2 + len(COMPRESSIONS)


def test_every_variant_answers_alike(bundle: Path, states: dict[str, Any]) -> None:
    encoder = load_text_encoder(open_bundle(bundle))
    for variant in albert_edge.inspect(bundle).variants:
        tolerance = 2e-5 if variant.precision == "fp32" else 2.0
        with Session(bundle, device="cpu", variant=variant.name) as session:
            for text in TEXTS:
                outputs = session.run(encoder.encode(text))
                assert set(outputs) == {"last_hidden_state"}
                np.testing.assert_allclose(
                    outputs["last_hidden_state"], states[text], rtol=0, atol=tolerance
                )


def test_feature_extraction(bundle: Path, states: dict[str, Any]) -> None:
    extract = albert_edge.pipeline(
        "feature-extraction", model=bundle, device="cpu", precision="fp32"
    )
    for text in TEXTS:
        np.testing.assert_allclose(extract(text), states[text], rtol=0, atol=2e-5)


def test_sentence_embeddings(bundle: Path, states: dict[str, Any], tmp_path: Path) -> None:
    embed = albert_edge.pipeline(
        "sentence-embeddings", model=bundle, device="cpu", precision="fp32"
    )
    for text in TEXTS:
        np.testing.assert_allclose(embed(text), states[text][0].mean(axis=0), atol=2e-5)
    with pytest.raises(UsageError, match="the checkpoint has no pooler"):
        embed(TEXTS[0], pooling="pooler")
    data = tmp_path / "pairs.tsv"
    rows = [f"{TEXTS[i % 2]}\t{TEXTS[0]}\t{i}" for i in range(4)]
    data.write_text("\n".join(["text\ttext_pair\tscore", *rows]))
    report = albert_edge.evaluate(bundle, data, task="sentence-embeddings")
    assert report.examples == 4


def test_verify_and_diff(bundle: Path, source: Path) -> None:
    assert albert_edge.verify(bundle, against=source).differences["model_optimized"] < 1e-5
    (pair,) = diff(bundle, variant="model", second_variant="model_quantized").variants
    assert pair.answers is not None and pair.answers.quality.cosine > 0.9
