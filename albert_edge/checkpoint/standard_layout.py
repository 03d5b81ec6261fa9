"""A checkpoint in any accepted layout -> a folder as transformers' save_pretrained writes it.

What reads checkpoints knows that one layout: the exporters, transformers as the reference, and
the tokenizer. An adapter is merged into its base here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from albert_edge.architecture.config import (
    DEFAULT_NUM_LABELS,
    MOST_LABELS,
    default_labels,
    read_fields,
)
from albert_edge.architecture.weights import find_weight
from albert_edge.bundle.sentence_layout import MODULES
from albert_edge.checkpoint.formats import FORMATS, read_headers
from albert_edge.checkpoint.formats.base import BEFORE_QUANTIZING, FLOATS, StoredTensor
from albert_edge.checkpoint.formats.safetensors import write_safetensors
from albert_edge.checkpoint.lora import ADAPTER_CONFIG, Adapter, merge, read_adapter
from albert_edge.checkpoint.names import canonical_name
from albert_edge.checkpoint.original_files import (
    as_transformers_config,
    find_config,
    find_tokenizer_files,
)
from albert_edge.checkpoint.source import SMALL_FILES, TOKENIZER_FILES, Source
from albert_edge.checkpoint.tensors import open_checkpoint
from albert_edge.disk.writing import scratch_folder, write_file
from albert_edge.errors import (
    AlbertEdgeError,
    Argument,
    CheckpointError,
    ConfigError,
    Message,
)

Values = Mapping[str, Any]

_WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class _Contents:
    """What the folder is to hold.

    Attributes:
        tensors: By canonical name.
        config: The fields of config.json.
        files: Configuration and tokenizer files, by their name in the folder.
    """

    tensors: Mapping[str, StoredTensor]
    config: Values
    files: Mapping[str, Path]


@contextlib.contextmanager
def standard_layout(source: Source) -> Iterator[Source]:
    """Yield a source whose folder has the layout of transformers, a temporary one if need be.

    Raises:
        AlbertEdgeError: The adapter is unsupported or does not fit, or a file is damaged.
    """
    if source.base is None and _is_standard(source.folder):
        yield source
        return
    with scratch_folder() as folder:
        with _contents(source) as contents:
            _write(folder, contents)
        try:
            yield replace(source, root=_modules_root(source), folder=folder)
        except AlbertEdgeError as error:
            _rename(error, folder, source)
            raise


@contextlib.contextmanager
def _contents(source: Source) -> Iterator[_Contents]:
    if source.base is None:
        yield _converted(source.folder)
        return
    with standard_layout(source.base) as base:
        yield _merged(source.folder, base.folder)


def _modules_root(source: Source) -> Path:
    """Return the folder of modules.json, which the base has if the adapter does not."""
    if source.base is None or (source.root / MODULES).is_file():
        return source.root
    return source.base.root


def _weights_of(source: Source) -> str:
    """Name the weights that a source was made from."""
    if source.base:
        return f"{ADAPTER_CONFIG} on {source.base.name}"
    return next(path.name for row in FORMATS for path in row.files(source.folder))


def _rename(error: AlbertEdgeError, folder: Path, source: Source) -> None:
    """Let an error name what the user knows instead of the temporary folder and its weights."""

    def original(part: str) -> str:
        if part.startswith(f"{_WEIGHTS}:"):
            part = _weights_of(source) + part.removeprefix(_WEIGHTS)
        return part.replace(str(folder), str(source.folder))

    parts = (original(part) if isinstance(part, str) else part for part in error.message.parts)
    error.message = Message(*parts)
    error.where = error.where and original(error.where)
    error.args = (str(error.message),)


def _is_standard(folder: Path) -> bool:
    """Return whether transformers reads the weights of a folder, or there are none to convert."""
    found = (row.is_standard for row in FORMATS if row.files(folder))
    return next(found, True)


def _converted(folder: Path) -> _Contents:
    """Convert the weights of another framework, with the configuration of their program."""
    tensors = {canonical_name(tensor.name): tensor for tensor in read_headers(folder)}
    # TFAlbertMLMHead has two biases where transformers has one, and adds the decoder's.
    if used := tensors.pop("predictions.decoder.bias", None):
        tensors["predictions.bias"] = used
    files = find_tokenizer_files(folder) | _matching(folder, SMALL_FILES)
    if "config.json" in files:
        return _Contents(tensors, read_fields(files["config.json"]).values, files)
    if (original := find_config(folder)) is None:
        raise ConfigError(
            f"{folder} has no config.json and no albert_config.json.",
            tip="Copy the configuration that belongs to the weights into it.",
        )
    config = as_transformers_config(read_fields(original), tensors)
    _set_classes(config, tensors.get("classifier.bias"))
    return _Contents(tensors, config, files)


def _merged(folder: Path, base: Path) -> _Contents:
    """Merge an adapter into its base; a configuration and a tokenizer beside it come first."""
    checkpoint = open_checkpoint(base)
    adapter = read_adapter(folder)
    if base == folder:
        _refuse_merged(checkpoint.stored, adapter)
    tensors = merge(checkpoint.stored, adapter, tied=checkpoint.config.tie_word_embeddings)
    files = _matching(base, SMALL_FILES)
    if _matching(folder, TOKENIZER_FILES):
        for name in _matching(base, TOKENIZER_FILES):
            del files[name]
    files |= _matching(folder, SMALL_FILES)
    config = dict(read_fields(files["config.json"]).values)
    if adapter.class_name:
        config["architectures"] = [adapter.class_name]
    _set_classes(config, adapter.replaced.get("classifier.bias"))
    return _Contents(tensors, config, files)


def _refuse_merged(beside: Mapping[str, StoredTensor], adapter: Adapter) -> None:
    """Refuse weights beside an adapter into which it seems to have been merged before."""
    names = [name for name in adapter.replaced if name in beside]
    if names and all(_equal(beside[name], adapter.replaced[name]) for name in names):
        raise CheckpointError(
            f"{adapter.folder}: the weights beside the adapter have its {', '.join(sorted(names))}"
            " already, as if it had been merged into them.",
            tip=Message(
                f"Remove {ADAPTER_CONFIG} if it was, or name its base with ", Argument("base"), "."
            ),
        )


def _equal(ours: StoredTensor, theirs: StoredTensor) -> bool:
    return ours.shape == theirs.shape and bool(np.array_equal(ours.read(), theirs.read()))


def _set_classes(config: dict[str, Any], bias: StoredTensor | None) -> None:
    """Number the classes of a classifier, unless the configuration names as many."""
    if bias is None or len(bias.shape) != 1 or not 0 < bias.shape[0] <= MOST_LABELS:
        return
    labels, (count,) = config.get("id2label"), bias.shape
    if count != (
        len(labels) if isinstance(labels, dict) else config.get("num_labels", DEFAULT_NUM_LABELS)
    ):
        names = default_labels(count)
        config["id2label"] = {str(index): name for index, name in enumerate(names)}
        config["label2id"] = {name: index for index, name in enumerate(names)}
        config.pop("num_labels", None)


def _matching(folder: Path, patterns: tuple[str, ...]) -> dict[str, Path]:
    """Find the files right in a folder that match one of some patterns."""
    found = (path for pattern in patterns if "/" not in pattern for path in folder.glob(pattern))
    return {path.name: path for path in found if path.is_file()}


def _write(folder: Path, contents: _Contents) -> None:
    for name, path in contents.files.items():
        write_file(folder / name, path.read_bytes())
    write_file(folder / "config.json", json.dumps(contents.config, indent=2).encode())
    tensors = {
        name: np.ascontiguousarray(tensor.read(), dtype=np.float32)
        for name, tensor in contents.tensors.items()
        if _is_float(name, tensor)
    }
    write_safetensors(tensors, folder / _WEIGHTS, {"format": "pt"})


def _is_float(name: str, tensor: StoredTensor) -> bool:
    """Return whether a tensor holds floats; one of an ALBERT that does not is refused."""
    if tensor.dtype not in FLOATS and find_weight(name):
        raise CheckpointError(
            f"{tensor.file}: tensor {tensor.name} holds {tensor.dtype} values; expected floats.",
            tip=BEFORE_QUANTIZING,
        )
    return tensor.dtype in FLOATS
