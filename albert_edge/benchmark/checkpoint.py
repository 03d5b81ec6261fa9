"""A bundle -> the checkpoint it was exported from, so that peers run the same weights."""

from __future__ import annotations

import json
from pathlib import Path

from albert_edge.architecture.heads import HEADS
from albert_edge.architecture.weights import find_weight
from albert_edge.bundle.bundle import Bundle
from albert_edge.check.portable import portable_file
from albert_edge.checkpoint.formats.safetensors import write_safetensors
from albert_edge.disk.writing import write_file
from albert_edge.onnx_format.reader import read_onnx

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def write_checkpoint(bundle: Bundle, folder: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer, as save_pretrained would.

    The portable file holds every weight of the task once, in float32, under its name in the
    checkpoint; only the matrices of linear layers lie the other way round.

    Args:
        bundle: The bundle.
        folder: A folder to make.

    Raises:
        BundleError: The portable file is missing, damaged, or was written by another exporter.
        ImportError: safetensors is not installed.
    """
    import numpy as np

    tensors = {
        name: np.ascontiguousarray(tensor.array().T if spec.transposed else tensor.array())
        for name, tensor in read_onnx(portable_file(bundle)).tensors.items()
        if (spec := find_weight(name))  # others are small constants of the graph itself
    }
    folder.mkdir()
    write_safetensors(tensors, folder / "model.safetensors", {"format": "pt"})
    config = bundle.read_object("config.json").values
    config["architectures"] = [HEADS[bundle.manifest.head].class_name]
    write_file(folder / "config.json", json.dumps(config).encode())
    for name in TOKENIZER_FILES:
        if (text := bundle.read_text(name)) is not None:
            write_file(folder / name, text.encode())
