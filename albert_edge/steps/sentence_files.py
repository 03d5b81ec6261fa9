"""The files of a sentence-transformers folder -> the bundle, in the same layout.

Configurations are copied unchanged, so that sentence-transformers opens the bundle too.
"""

from __future__ import annotations

import json
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
    Module,
    SentenceFiles,
    parse_modules,
)
from albert_edge.checkpoint.formats import FORMATS, read_headers
from albert_edge.checkpoint.formats.safetensors import write_safetensors
from albert_edge.checkpoint.source import Source
from albert_edge.checkpoint.tensors import Checkpoint
from albert_edge.errors import Argument, CheckpointError, Message
from albert_edge.json_fields import parse_json, read_object, read_text
from albert_edge.runtime.tasks.ranking_settings import CROSS_ENCODER, read_ranking_settings
from albert_edge.runtime.tasks.sentence_modules import read_sentence_modules

# The current name, and the one for an ALBERT in early versions of sentence-transformers.
_TRANSFORMER_CONFIGS = (TRANSFORMER_CONFIG, "sentence_albert_config.json")
_EMBEDDING, _RANKING = "feature-extraction", "text-classification"


def write_sentence_files(
    pending: Change, source: Source, config: AlbertConfig, head: str
) -> list[str]:
    """Write the files that turn outputs of a model into embeddings, or into scores of pairs.

    Args:
        pending: The change of the bundle.
        source: The checkpoint.
        config: Its configuration.
        head: A key of `HEADS`.

    Returns:
        The files written; none if the checkpoint has none that sentence-transformers reads for
        this head.

    Raises:
        CheckpointError: A file is damaged, or the weights of a module are.
    """
    path = source.root / MODULES
    if not path.is_file() or not _has_files(source, head):
        return []
    error = partial(CheckpointError, tip="Copy the checkpoint again.", where=path)
    text = read_text(path, error)
    _, *modules = parse_modules(text, str(path), error)
    entries = parse_json(text, str(path), error)
    entries[0]["path"] = ""  # the model of a bundle has no folder of its own
    pending.write(MODULES, [(json.dumps(entries, indent=2) + "\n").encode()])
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
            pending.write(file, [original.read_bytes()])
            files.append(file)
    return files + [
        file for module in modules for file in _write_weights(pending, source, config, module)
    ]


def check_sentence_files(pending: Change, source: Source, config: AlbertConfig, head: str) -> None:
    """Check that a pipeline supports what the files written for a head ask for.

    Args:
        pending: The change of the bundle, with the files.
        source: The checkpoint.
        config: Its configuration.
        head: A key of `HEADS`.

    Raises:
        CheckpointError: It does not; the message names the module or the setting.
    """

    def read(file: str) -> bytes | None:
        path = pending.folder / file
        return path.read_bytes() if path.is_file() else None

    tip = Message(
        "Name the task to export only the model, and do the rest in your program: ",
        Argument("task", head),
        ".",
    )
    files = SentenceFiles(source.root, read, partial(CheckpointError, tip=tip, where=source.root))
    if head == _EMBEDDING:
        read_sentence_modules(files, config.hidden_size)
    elif head == _RANKING:
        read_ranking_settings(files).activation(len(config.labels))


def _has_files(source: Source, head: str) -> bool:
    if head == _RANKING:
        error = partial(CheckpointError, tip="Copy the checkpoint again.", where=source.root)
        settings = read_object(source.root / MODEL_CONFIG, error, optional=True)
        return settings.values.get("model_type") == CROSS_ENCODER
    return head == _EMBEDDING


def _write_weights(
    pending: Change, source: Source, config: AlbertConfig, module: Module
) -> list[str]:
    """Write a module's weights as float32 safetensors, the only format the runtime reads."""
    folder = source.root / module.folder
    if not any(row.files(folder) for row in FORMATS):
        return []
    file = f"{module.folder}/{MODULE_WEIGHTS}"
    stored = {tensor.name: tensor for tensor in read_headers(folder)}
    checkpoint = Checkpoint(folder, config, stored)
    checkpoint.fit(
        {name: tensor.shape for name, tensor in stored.items()}
    )  # checks that they are floats
    write_safetensors({name: checkpoint.tensor(name) for name in stored}, pending.path(file))
    return [file]
