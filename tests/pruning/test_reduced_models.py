"""Models with the rows of a reduced vocabulary, against the whole ones: the same bits."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from support.checkpoints import make_model
from support.tokenizer_folders import TEXTS, Folder

import albert_edge
from albert_edge.architecture.config import AlbertConfig, parse_config
from albert_edge.bundle.bundle import open_bundle
from albert_edge.check.sample import Arrays, Sample, load_sample
from albert_edge.compress.compressor import Compressor, Run
from albert_edge.compress.options import Int8
from albert_edge.graph.build import author
from albert_edge.graph.plan import CPU_OPTIMIZATIONS, Plan
from albert_edge.graph.writer import write_model
from albert_edge.onnx_format.reader import read_onnx
from albert_edge.pruning.vocabulary import ReducedVocabulary, VocabularyFiles, reduce_vocabulary
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.model_source import ModelFile

COVERED = TEXTS[:4]
HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "classifier": ("text-classification", {}),
    "tied": ("fill-mask", {}),
    "untied": ("fill-mask", {"tie_word_embeddings": False}),
    "pretraining": ("pretraining", {}),
}


@dataclass(frozen=True)
class Model:
    """A portable file with what is needed to compress it."""

    head: str
    config: AlbertConfig
    portable: Path
    sample: Sample

    def floats(self) -> dict[str, Any]:
        return {name: tensor.array() for name, tensor in read_onnx(self.portable).tensors.items()}

    def quantized(self) -> Path:
        def load(model: ModelFile, *, signed_weights: bool) -> Run:
            return run_file(model)

        path = self.portable.with_name("quantized.onnx")
        scratch = self.portable.parent
        args = (self.config, self.head, self.portable, self.sample, scratch, load)
        Compressor(*args, lambda what, done, total: None).write(path, Int8().plan())
        return path

    def optimized(self) -> Path:
        path = self.portable.with_name("optimized.onnx")
        plan = Plan("cpu", "loop", CPU_OPTIMIZATIONS)
        floats = self.floats()
        write_model(author(self.config, self.head, plan), lambda name: floats[name], path)
        return path


@dataclass(frozen=True)
class Models:
    """A whole model, and the same one with a reduced vocabulary."""

    bundle: Path
    reduced: ReducedVocabulary
    whole: Model
    small: Model

    def assert_same_bits(self, whole: Path, small: Path) -> None:
        """Compare the outputs of two files for the covered texts, where both have outputs."""
        before, after = run_file(whole), run_file(small)
        for old, new in zip(self.whole.sample.inputs, self.small.sample.inputs, strict=True):
            expected = before(old)
            for name, values in after(new).items():
                same = expected[name]
                if same.shape[-1] == self.reduced.size:
                    same = same[..., self.reduced.kept]
                np.testing.assert_array_equal(values, same, strict=True)


@pytest.fixture(params=HEADS)
def models(request: pytest.FixtureRequest, tmp_path: Path) -> Models:
    return make(tmp_path, *HEADS[request.param])


def make(folder: Path, head: str, config: dict[str, Any]) -> Models:
    checkpoint = Folder("", ("unigram",)).write(folder / "checkpoint")
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    size = len(tokenizer["model"]["vocab"])
    make_model(head, vocab_size=size, **config).save_pretrained(checkpoint)
    albert_edge.export(checkpoint, folder / "bundle")
    bundle = open_bundle(folder / "bundle")
    reduced = reduce_vocabulary(files_of(folder / "bundle"), COVERED)
    assert 100 < reduced.rows < reduced.size - 4
    sample = load_sample(bundle, bundle.read_config(), COVERED, None)
    whole = Model(head, bundle.read_config(), folder / "bundle/onnx/model.onnx", sample)
    small_config = parse_config(json.dumps(reduced.files.config).encode(), "config.json")
    (folder / "small").mkdir()
    inputs: list[Arrays] = [
        {**one, "input_ids": np.searchsorted(reduced.kept, one["input_ids"])}
        for one in sample.inputs
    ]
    path = folder / "small/model.onnx"
    small = Model(head, small_config, path, replace(sample, inputs=inputs))
    floats = reduced.select_rows(whole.floats())
    write_model(author(small_config, head, Plan()), lambda name: floats[name], path)
    return Models(folder / "bundle", reduced, whole, small)


def files_of(bundle: Path) -> VocabularyFiles:
    config, tokenizer_config = (
        json.loads((bundle / name).read_text(encoding="utf-8"))
        for name in ("config.json", "tokenizer_config.json")
    )
    text = (bundle / "tokenizer.json").read_text(encoding="utf-8")
    return VocabularyFiles(text, tokenizer_config, config)


def test_floats(models: Models) -> None:
    models.assert_same_bits(models.whole.portable, models.small.portable)
    models.assert_same_bits(models.whole.optimized(), models.small.optimized())
    whole, small = (read_onnx(m.portable).tensors for m in (models.whole, models.small))
    changed = {name for name in whole if small[name].shape != whole[name].shape}
    expected = {"albert.embeddings.word_embeddings.weight", "predictions.bias"}
    expected |= {"predictions.decoder.weight"}
    assert changed == expected & whole.keys()


def test_integers(models: Models) -> None:
    models.assert_same_bits(models.whole.quantized(), models.small.quantized())


def test_other_weights_are_the_same_arrays(tmp_path: Path) -> None:
    models = make(tmp_path, *HEADS["classifier"])
    floats = models.whole.floats()
    selected = models.reduced.select_rows(floats)
    assert selected.keys() == floats.keys()
    (name,) = (name for name, values in floats.items() if selected[name] is not values)
    assert name == "albert.embeddings.word_embeddings.weight"


@pytest.mark.reference
@pytest.mark.parametrize("base", ["unigram", "wordpiece"])
def test_transformers_reads_the_files(base: str, tmp_path: Path) -> None:
    checkpoint = Folder("", (base,)).write(tmp_path / "checkpoint")
    make_model("feature-extraction", vocab_size=1_000).save_pretrained(checkpoint)
    albert_edge.export(checkpoint, tmp_path / "bundle")
    reduced = reduce_vocabulary(files_of(tmp_path / "bundle"), COVERED)
    small = tmp_path / "small"
    small.mkdir()
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        (small / file).write_bytes((tmp_path / "bundle" / file).read_bytes())
    (small / "tokenizer.json").write_text(reduced.files.tokenizer_json, encoding="utf-8")
    (small / "config.json").write_text(json.dumps(reduced.files.config))
    config = json.dumps(reduced.files.tokenizer_config)
    (small / "tokenizer_config.json").write_text(config)
    before, after = map(transformers.AutoTokenizer.from_pretrained, (tmp_path / "bundle", small))
    for text in COVERED:
        old, new = before(text, text), after(text, text)
        assert new["input_ids"] == np.searchsorted(reduced.kept, old["input_ids"]).tolist()
        assert new["token_type_ids"] == old["token_type_ids"]
    assert (after.pad_token_id, after.mask_token_id) == tuple(
        np.searchsorted(reduced.kept, [before.pad_token_id, before.mask_token_id])
    )
