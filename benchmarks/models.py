"""The models that benchmarks measure: ALBERT's sizes with random weights.

Random weights change no figure of speed or memory: what a matrix product takes does not depend on
its numbers. Nothing is downloaded, and torch is not needed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import albert_edge
from albert_edge.architecture.config import read_config
from albert_edge.architecture.heads import HEADS
from albert_edge.benchmark.checkpoint import TOKENIZER_FILES
from albert_edge.benchmark.plan import Plan, variant_runtime
from albert_edge.benchmark.runtimes import Runtime
from albert_edge.bundle.bundle import open_bundle
from albert_edge.checkpoint.recipes import models_folder
from albert_edge.graph import plan as graph_plan
from albert_edge.graph.build import author

Arrays = dict[str, npt.NDArray[Any]]

HEAD = "text-classification"
THREADS = 2
SHAPES = "1x8,1x32,1x128,1x384,8x128"
DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
GEOMETRIES = {
    name: {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
    }
    for name, hidden, layers, heads in (
        ("tiny", 64, 2, 2),  # to check that a benchmark runs
        ("albert-tiny", 312, 4, 12),
        ("base", 768, 12, 12),
        ("large", 1024, 24, 16),
        ("xlarge", 2048, 24, 16),
        ("xxlarge", 4096, 12, 64),
    )
}


def sample_lines() -> list[str]:
    """The texts of the built-in sample."""
    sample = resources.files("albert_edge.check").joinpath("sample_texts.txt")
    return sample.read_text(encoding="utf-8").splitlines()


def make_checkpoint(
    folder: Path, geometry: str, *, layers: int | None = None, head: str = HEAD
) -> Path:
    """A checkpoint of random weights with the tokenizer of the model that ships."""
    folder.mkdir(parents=True)
    config = {
        "model_type": "albert",
        "architectures": [HEADS[head].class_name],
        "vocab_size": 30000,
        "embedding_size": 128,
        "hidden_act": "gelu",
        **GEOMETRIES[geometry],
    }
    config["num_hidden_layers"] = layers or config["num_hidden_layers"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in TOKENIZER_FILES:
        shutil.copyfile(models_folder() / "langid-tiny" / name, folder / name)
    draw = np.random.default_rng(0)
    graph = author(read_config(folder / "config.json"), head, graph_plan.Plan())
    tensors = {}
    for name, weight in graph.weights.items():
        centre = 1.0 if weight.spec.kind == "norm" and name.endswith(".weight") else 0.0
        values = draw.standard_normal(weight.checkpoint_shape, dtype=np.float32)
        tensors[name] = values * np.float32(0.02) + np.float32(centre)
    write_tensors(folder, tensors)
    return folder


def write_tensors(checkpoint: Path, tensors: Arrays) -> None:
    """Write the weights of a checkpoint."""
    from safetensors.numpy import save_file

    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})


def use_english_vocabulary(checkpoint: Path, scratch: Path) -> None:
    """Give a checkpoint ALBERT's 30,000 pieces, as the tokenizer.json that all peers read."""
    for name in TOKENIZER_FILES:
        (checkpoint / name).unlink()
    shutil.copyfile(DATA / "tokenizers" / "spiece.model", checkpoint / "spiece.model")
    albert_edge.export(checkpoint, scratch)
    for name in TOKENIZER_FILES:
        if (scratch / name).exists():
            shutil.copyfile(scratch / name, checkpoint / name)
    shutil.rmtree(scratch)


def make_bundle(
    source: str | Path, folder: Path, *precisions: str, texts: Sequence[str] | None = None
) -> Path:
    """A bundle in fp32, optimized for a CPU, and in some precisions, whatever their quality."""
    albert_edge.export(source, folder)
    albert_edge.optimize(folder)
    for precision in precisions:
        add_precision(folder, precision, texts=texts)
    return folder


def add_precision(bundle: Path, precision: Any, texts: Sequence[str] | None = None) -> None:
    """Quantize without limits: random weights have no decisions that are worth a refusal."""
    albert_edge.quantize(bundle, precision, texts=texts, min_agreement=0, min_cosine=0)


def own_runtimes(bundle: Path, variants: dict[str, str]) -> list[Runtime]:
    """Variants of a bundle, under the names that the tables show."""
    opened = open_bundle(bundle)
    by_name = {variant.name: variant for variant in opened.manifest.variants}
    return [variant_runtime(opened, by_name[key], name) for name, key in variants.items()]


def make_plan(model: Path, runtimes: Sequence[Runtime], rounds: int, **settings: Any) -> Plan:
    """A plan for runtimes of the model in a folder; the settings are those of `Plan`."""
    own = [runtime for runtime in runtimes if runtime.name.startswith("albert-edge")]
    return Plan(
        head=HEAD,
        config=read_config(model / "config.json"),
        reference=next((runtime for runtime in own if runtime.precision == "fp32"), own[0]),
        own=own,
        peers=[runtime for runtime in runtimes if runtime not in own],
        threads=[THREADS],
        rounds=rounds,
        **settings,
    )


def as_inputs(tokenizer: Any, text: str) -> Arrays:
    """One text as the model's inputs, unpadded."""
    ids = np.array([tokenizer.encode(text).ids], np.int64)
    mask, segments = np.ones_like(ids), np.zeros_like(ids)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}


def tokenize(checkpoint: Path, texts: Iterable[str]) -> list[Arrays]:
    """Each text as the model's inputs, unpadded and not batched."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    return [as_inputs(tokenizer, text) for text in texts]
