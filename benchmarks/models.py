"""The models that benchmarks measure: ALBERT's sizes with random weights.

Random weights change no figure of speed or memory: what a matrix product takes does not depend on
its numbers. Nothing is downloaded, and torch is not needed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import albert_edge
from albert_edge.architecture.config import read_config
from albert_edge.architecture.heads import HEADS
from albert_edge.checkpoint.recipes import models_folder
from albert_edge.graph.build import author
from albert_edge.graph.plan import Plan

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

HEAD = "text-classification"
THREADS = 2
DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
GEOMETRIES = {
    name: {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
    }
    for name, hidden, layers, heads in (
        ("tiny", 64, 2, 2),  # for a look at whether a benchmark runs
        ("base", 768, 12, 12),
        ("large", 1024, 24, 16),
        ("xlarge", 2048, 24, 16),
        ("xxlarge", 4096, 12, 64),
    )
}
GEOMETRY = ("--geometry", {"choices": GEOMETRIES, "default": "base"})
GEOMETRIES_OPTION = ("--geometry", {"choices": GEOMETRIES, "action": "append"})


def rounds(default: int) -> tuple[str, dict[str, Any]]:
    """The option for how many turns there are."""
    return "--rounds", {"type": int, "default": default, "help": f"{default} by default"}


def installed(*modules: str) -> bool:
    """Whether all of some modules can be imported."""
    return all(find_spec(module) for module in modules)


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
    tensors = {}
    for name, weight in author(read_config(folder / "config.json"), head, Plan()).weights.items():
        centre = 1.0 if name.lower().endswith(("layernorm.weight", "layer_norm.weight")) else 0.0
        values = draw.standard_normal(weight.checkpoint_shape, dtype=np.float32)
        tensors[name] = values * np.float32(0.02) + np.float32(centre)
    write_tensors(folder, tensors)
    return folder


def read_tensors(checkpoint: Path) -> Arrays:
    """The weights of a checkpoint."""
    from safetensors.numpy import load_file

    return load_file(checkpoint / "model.safetensors")


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
    source: str | Path, folder: Path, *precisions: str, texts: Iterable[str] | None = None
) -> Path:
    """A bundle in fp32, optimized for a CPU, and in some precisions, whatever their quality."""
    albert_edge.export(source, folder)
    albert_edge.optimize(folder)
    for precision in precisions:
        add_precision(folder, precision, texts=list(texts) if texts else None)
    return folder


def add_precision(bundle: Path, precision: Any, **options: Any) -> None:
    """Quantize; random weights have no decisions that are worth a refusal."""
    limits: dict[str, Any] = {"min_agreement": 0.0, "min_cosine": 0.0}
    albert_edge.quantize(bundle, precision=precision, **{**limits, **options})


def as_inputs(tokenizer: Any, text: str) -> Arrays:
    """One text as the model's inputs, unpadded."""
    ids = np.array([tokenizer.encode(text).ids], np.int64)
    return {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }


def tokenize(checkpoint: Path, texts: Iterable[str]) -> list[Arrays]:
    """Each text as the model's inputs, alone and unpadded."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    return [as_inputs(tokenizer, text) for text in texts]
