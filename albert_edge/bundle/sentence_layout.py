"""The layout of a sentence-transformers folder: modules.json lists the steps to an embedding.

    modules.json  config_sentence_transformers.json
    sentence_bert_config.json  config.json  model.safetensors  ...   or in 0_Transformer/
    1_Pooling/config.json  2_Dense/config.json  2_Dense/model.safetensors  3_Normalize/

Standard library only, since the runtime and the exporter both import this module.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import BundleError, CheckpointError
from albert_edge.json_fields import (
    JsonObject,
    MakeError,
    parse_object,
    parse_objects,
    read_text,
)

MODULES = "modules.json"
MODEL_CONFIG = "config_sentence_transformers.json"
TRANSFORMER_CONFIG = "sentence_bert_config.json"
MODULE_CONFIG = "config.json"
MODULE_WEIGHTS = "model.safetensors"

_PACKAGE = "sentence_transformers."
_FOLDER = re.compile(r"[\w-]{0,60}")  # in UTF-8, within the 255 bytes of a name on any disk


@dataclass(frozen=True, slots=True)
class Module:
    """An entry of modules.json.

    Attributes:
        kind: The name of its class, such as "Pooling"; with its package, unless that is
            sentence_transformers.
        folder: Where its files are; "", for the first module only, is the folder of modules.json.
    """

    kind: str
    folder: str


@dataclass(frozen=True, slots=True)
class SentenceFiles:
    """The files of a sentence-transformers folder, in a bundle or on their way into one.

    Attributes:
        root: The folder, for errors.
        read: Returns the content of a file, or None if there is no such file.
        error: Makes an exception of a message.
    """

    root: Path
    read: Callable[[str], bytes | None]
    error: MakeError

    def modules(self) -> tuple[Module, ...]:
        """Read the modules; none if there is no modules.json."""
        content = self.read(MODULES)
        if content is None:
            return ()
        return parse_modules(content, str(self.root / MODULES), self.error)

    def object(self, file: str) -> JsonObject:
        """Read a JSON object; an empty one if there is no such file."""
        content = self.read(file)
        return parse_object(
            b"{}" if content is None else content, str(self.root / file), self.error
        )


def bundle_files(bundle: Bundle, tip: str) -> SentenceFiles:
    """Return the listed files of a bundle, each checked when it is read.

    Args:
        bundle: The bundle.
        tip: What to do if one of them is damaged or holds an unsupported setting.
    """

    def read(file: str) -> bytes | None:
        return bundle.read(file) if bundle.has(file) else None

    return SentenceFiles(bundle.path, read, partial(BundleError, tip=tip, where=bundle.path))


def parse_modules(text: str | bytes, place: str, error: MakeError) -> tuple[Module, ...]:
    """Parse the text of a modules.json.

    Args:
        text: The text.
        place: Where it comes from, for errors.
        error: Makes an exception of a message; raised if it is not a list of modules, or a folder
            in it is not a plain name.
    """
    modules = tuple(_module(entry) for entry in parse_objects(text, place, error))
    if not modules or not all(module.folder for module in modules[1:]):
        raise error(f"{place} lists no modules, or one without a folder after the first.")
    return modules


def transformer_folder(root: Path) -> Path:
    """Find the folder of config.json, weights and tokenizer in a checkpoint folder.

    Args:
        root: The folder, of any layout.

    Raises:
        CheckpointError: Its modules.json is damaged.
    """
    path = root / MODULES
    if not path.is_file():
        return root
    error = partial(CheckpointError, tip="Copy the checkpoint again.", where=path)
    first = parse_modules(read_text(path, error), str(path), error)[0]
    return root / first.folder if first.kind == "Transformer" else root


def _module(entry: JsonObject) -> Module:
    type_, folder = entry.text("type"), entry.text("path")
    if not _FOLDER.fullmatch(folder):  # neither a path out of the folder nor a file of the bundle
        raise entry.fault("path", "a folder named by up to 60 letters, digits, _ and -")
    kind = type_.rpartition(".")[2] if type_.startswith(_PACKAGE) else type_
    return Module(kind, folder)
