"""Shared by tests: folders of sentence-transformers, and both libraries on the same one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers.sentence_transformer.modules
import torch

import albert_edge
from support.pipelines import SENTENCES, checkpoint

# Its annotations are not complete, and differ between versions.
REFERENCE: Any = sentence_transformers
KINDS: Any = sentence_transformers.sentence_transformer.modules

HIDDEN = 24
TEXTS = ["", " ", *SENTENCES[:6], "今天天气很好。", "[MASK] and [SEP]"]
FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}

Array = np.ndarray[Any, np.dtype[Any]]
# The checkpoint with a vocabulary: `base()` or `base("vocab.txt")`.
Base = Callable[..., Path]


@dataclass(frozen=True, repr=False)
class Both:
    """Our pipeline on a bundle, and sentence-transformers' model of the folder it was made of."""

    bundle: Path
    ours: Any
    theirs: Any

    def compare(self, texts: Any = tuple(TEXTS), **options: Any) -> None:
        """Compare what both make of the same texts; `normalize` is renamed for the other."""
        ours = self.ours.encode(texts, truncation=True, **options)
        theirs = self.reference(texts, **options)
        assert_same(ours, theirs)

    def reference(self, texts: Any, *, normalize: bool = False, **options: Any) -> Array:
        texts = texts if isinstance(texts, str) else list(texts)
        found: Array = self.theirs.encode(
            texts, normalize_embeddings=normalize, show_progress_bar=False, **options
        )
        return found


def assert_same(ours: Array, theirs: Array) -> None:
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape
    # Relative to 1, or to the largest element where that is more.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1.0, np.abs(theirs).max()))
    lengths = np.linalg.norm(ours, axis=-1) * np.linalg.norm(theirs, axis=-1)
    assert np.all((ours * theirs).sum(axis=-1) >= 0.99999 * lengths)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A plain checkpoint with the tokenizer of its bundle beside it, for each vocabulary."""
    made: dict[str, Path] = {}

    def make(vocabulary: str = "spiece.model") -> Path:
        if vocabulary not in made:
            folder = tmp_path_factory.mktemp("base")
            source = checkpoint(folder / "checkpoint", "feature-extraction", vocabulary, seed=5)
            albert_edge.export(source, folder / "bundle")
            (source / vocabulary).unlink()
            for path in (folder / "bundle").glob("*token*.json"):
                shutil.copy(path, source)
            made[vocabulary] = source
        return made[vocabulary]

    return make


def pair(source: Path) -> Both:
    bundle = source.with_name(f"{source.name}-bundle")
    albert_edge.export(source, bundle)
    ours = embeddings(bundle)
    return Both(bundle, ours, REFERENCE.SentenceTransformer(str(source), device="cpu"))


def embeddings(bundle: Path, **options: Any) -> Any:
    """Our pipeline, as what has an `encode`."""
    return albert_edge.pipeline("sentence-embeddings", model=bundle, threads=1, **options)


def saved(base: Path, folder: Path, *modules: Any, **options: Any) -> Path:
    """What the installed sentence-transformers saves."""
    transformer = KINDS.Transformer(str(base))
    model = REFERENCE.SentenceTransformer(modules=[transformer, *modules], device="cpu", **options)
    model.save(str(folder))
    return folder


def pooling(*modes: str, **options: Any) -> Any:
    return KINDS.Pooling(HIDDEN, pooling_mode=modes, **options)


def dense(inputs: int = HIDDEN, outputs: int = 10, **options: Any) -> Any:
    torch.manual_seed(inputs + outputs)
    return KINDS.Dense(inputs, outputs, **options)


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def change_json(path: Path, **changes: Any) -> None:
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | changes)


def old(
    base: Path,
    folder: Path,
    flags: dict[str, Any],
    *,
    transformer: dict[str, Any] | None = None,
    normalized: bool = False,
    in_folder: str = "0_Transformer",
    config_file: str = "sentence_bert_config.json",
) -> Path:
    """The layout of the first versions, written by hand."""
    shutil.copytree(base, folder / in_folder)
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalized else [])]
    paths = [in_folder, *(f"{index}_{kind}" for index, kind in enumerate(kinds[1:], 1))]
    entries = [
        {
            "idx": index,
            "name": str(index),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    write_json(folder / "modules.json", entries)
    settings = {"max_seq_length": 128, "do_lower_case": False, **(transformer or {})}
    write_json(folder / in_folder / config_file, settings)
    write_json(folder / "1_Pooling/config.json", {"word_embedding_dimension": HIDDEN, **flags})
    return folder
