"""The layout of a sentence-transformers folder: modules.json lists the steps to an embedding.

    modules.json  config_sentence_transformers.json
    sentence_bert_config.json  config.json  model.safetensors  ...   or in 0_Transformer/
    1_Pooling/config.json  2_Dense/config.json  2_Dense/model.safetensors  3_Normalize/

Standard library only: the runtime and the exporter both stand on this module.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from albert_edge.errors import CheckpointError

MODULES = "modules.json"
MODEL_CONFIG = "config_sentence_transformers.json"
TRANSFORMER_CONFIG = "sentence_bert_config.json"
MODULE_CONFIG = "config.json"
MODULE_WEIGHTS = "model.safetensors"

_PACKAGE = "sentence_transformers."
_FOLDER = re.compile(r"[\w-]*")


@dataclass(frozen=True, slots=True)
class Module:
    """An entry of modules.json.

    Attributes:
        kind: The name of its class, such as "Pooling"; with its package, if that is another one.
        folder: Where its files are; "", for the first alone, is the folder of modules.json.
    """

    kind: str
    folder: str


def parse_modules(text: str) -> tuple[Module, ...]:
    """Read the text of a modules.json.

    Raises:
        ValueError: It is no such list, or a folder in it is not a plain name.
    """
    try:
        modules = tuple(_module(entry["type"], entry["path"]) for entry in json.loads(text))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no list of modules with a type and a path: {error!r}") from error
    if not modules or not all(module.folder for module in modules[1:]):
        raise ValueError("it lists no modules, or one without a folder after the first")
    return modules


def transformer_folder(root: Path) -> Path:
    """Where in a checkpoint folder config.json, weights and tokenizer are.

    Args:
        root: The folder, of any layout.

    Raises:
        CheckpointError: Its modules.json is damaged.
    """
    path = root / MODULES
    if not path.is_file():
        return root
    try:
        first = parse_modules(path.read_text(encoding="utf-8"))[0]
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged: {error}", tip="Copy the checkpoint again."
        ) from error
    return root / first.folder if first.kind == "Transformer" else root


def _module(type_: str, folder: str) -> Module:
    if not _FOLDER.fullmatch(folder):  # nothing outside, and no file of the bundle's own
        raise ValueError(f"it names the folder {folder!r}, expected letters, digits, _ and -")
    kind = type_.rpartition(".")[2] if type_.startswith(_PACKAGE) else type_
    return Module(kind, folder)
