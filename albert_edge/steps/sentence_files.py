"""The files of a sentence-transformers folder -> the bundle, in the same layout.

Configurations are copied unchanged; the runtime names modules that it does not support.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

from albert_edge.architecture.config import AlbertConfig
from albert_edge.bundle.change import Change
from albert_edge.bundle.sentence_layout import (
    MODEL_CONFIG,
    MODULE_CONFIG,
    MODULE_WEIGHTS,
    MODULES,
    TRANSFORMER_CONFIG,
    parse_modules,
)
from albert_edge.checkpoint.formats import read_headers
from albert_edge.checkpoint.source import Source
from albert_edge.checkpoint.tensors import Checkpoint
from albert_edge.errors import CheckpointError
from albert_edge.json_fields import parse_json, read_text

# The current name, and the one for an ALBERT in early versions of sentence-transformers.
_TRANSFORMER_CONFIGS = (TRANSFORMER_CONFIG, "sentence_albert_config.json")


def write_sentence_files(pending: Change, source: Source, config: AlbertConfig) -> list[str]:
    """Write the files that turn outputs of a model into embeddings of sentences.

    Args:
        pending: The change of the bundle.
        source: The checkpoint.
        config: Its configuration.

    Returns:
        The files written; none if the checkpoint has no modules.json.

    Raises:
        CheckpointError: The weights of a Dense module are missing or damaged.
    """
    path = source.root / MODULES
    if not path.is_file():
        return []
    error = partial(CheckpointError, tip="Copy the checkpoint again.", where=path)
    text = read_text(path, error)
    _, *modules = parse_modules(text, str(path), error)
    entries = parse_json(text, str(path), error)
    entries[0]["path"] = ""  # the model of a bundle has no folder of its own
    pending.path(MODULES).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    settings = [source.folder / name for name in _TRANSFORMER_CONFIGS]
    originals = {
        MODEL_CONFIG: source.root / MODEL_CONFIG,
        TRANSFORMER_CONFIG: next(filter(Path.is_file, settings), settings[0]),
    }
    for module in modules:
        config_file = f"{module.folder}/{MODULE_CONFIG}"
        originals[config_file] = source.root / config_file
    files = [MODULES]
    for file, original in originals.items():
        if original.is_file():
            shutil.copyfile(original, pending.path(file))
            files.append(file)
    for module in modules:
        if module.kind == "Dense":
            files.append(f"{module.folder}/{MODULE_WEIGHTS}")
            _write_weights(source.root / module.folder, config, pending.path(files[-1]))
    return files


def _write_weights(folder: Path, config: AlbertConfig, target: Path) -> None:
    """Write a module's weights as float32 safetensors, the only format the runtime reads."""
    from safetensors.numpy import save_file

    stored = {tensor.name: tensor for tensor in read_headers(folder)}
    checkpoint = Checkpoint(folder, config, stored)
    checkpoint.fit(
        {name: tensor.shape for name, tensor in stored.items()}
    )  # checks that they are floats
    save_file({name: checkpoint.tensor(name) for name in stored}, target)
