"""A checkpoint folder -> float32 tensors under canonical names, checked before they are used.

Canonical names are those of transformers' ALBERT classes, with the `albert.` prefix. Found in the
wild and understood: the bare prefix of AlbertModel, gamma/beta for LayerNorm, a tied decoder that
was saved along, buffers, and heads the task does not use.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.errors import CheckpointError, MissingExtraError

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]

FLOATS = frozenset({"F16", "BF16", "F32", "F64"})
HEADS = ("albert.pooler.", "predictions.", "sop_classifier.", "classifier.", "qa_outputs.")
BODY = ("embeddings.", "encoder.", "pooler.")
BUFFERS = frozenset({"albert.embeddings.position_ids", "albert.embeddings.token_type_ids"})

# Parameters that transformers keeps as two names of one tensor.
TIED = {
    "predictions.decoder.bias": "predictions.bias",
    "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
}

_TWINS = {original: twin for twin, original in TIED.items()}

_LAYER_NORM = {"gamma": "weight", "beta": "bias"}  # TensorFlow's names
_COPY_AGAIN = "Copy or download the checkpoint again."


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as the file holds it: its type, its shape, and how to read its values."""

    file: str
    name: str
    dtype: str
    shape: Shape
    read: Callable[[], npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose headers have been read; values are read when asked for.

    Attributes:
        folder: Where it lies.
        config: Its geometry.
        stored: Its tensors by canonical name.
    """

    folder: Path
    config: AlbertConfig
    stored: Mapping[str, StoredTensor]

    def fit(self, expected: Mapping[str, Shape]) -> list[str]:
        """Check that every expected tensor is there in its shape, and nothing unknown beside it.

        Args:
            expected: Shapes in the checkpoint's layout, by canonical name.

        Returns:
            Names of the tensors of heads that were not expected.

        Raises:
            CheckpointError: A tensor is missing, extra, mis-shaped, not floating point, or two
                tensors that should be one differ. The message names it.
        """
        for name, shape in expected.items():
            self._check(name, shape)
        used = {self._stored_name(name) for name in expected}
        others = sorted(self.stored.keys() - expected.keys() - used - BUFFERS)
        for name in others:
            if not name.startswith(HEADS):
                stored = self.stored[name]
                raise CheckpointError(
                    f"{stored.file}: tensor {stored.name} of shape {_show(stored.shape)} is no "
                    "part of the ALBERT that config.json describes.",
                    tip="Check num_hidden_groups and inner_group_num in config.json.",
                )
            if self.config.tie_word_embeddings and "predictions.bias" in expected:
                self._check_tied(name)
        return [name for name in others if name not in TIED or "predictions.bias" not in expected]

    def check_depth(self) -> None:
        """Check that the last layer is there, before anything is built for all of them.

        Raises:
            CheckpointError: config.json claims more groups or inner layers than there are.
        """
        config = self.config
        group, layer = config.num_hidden_groups - 1, config.inner_group_num - 1
        prefix = f"albert.encoder.albert_layer_groups.{group}.albert_layers.{layer}"
        self._check(f"{prefix}.ffn.weight", (config.intermediate_size, config.hidden_size))

    def tensor(self, name: str) -> Array:
        """The values of a tensor, in the checkpoint's layout.

        Raises:
            CheckpointError: It holds NaN or infinity, or the file cannot be read.
        """
        stored = self.stored[self._stored_name(name)]
        with np.errstate(over="ignore", invalid="ignore"):  # said below, as an error
            values = np.asarray(stored.read(), dtype=np.float32)
            # One NaN or infinity makes the float64 sum one too; finite float32 cannot.
            is_finite = np.isfinite(values.sum(dtype=np.float64))
        if not is_finite:
            bad = int(np.count_nonzero(~np.isfinite(values)))
            raise CheckpointError(
                f"{stored.file}: tensor {stored.name} holds {bad} values that are NaN or infinite, "
                f"of {values.size}; expected finite values of shape {_show(values.shape)}.",
                tip="The training run diverged, or the file is damaged. Use an earlier checkpoint.",
            )
        return values

    def _stored_name(self, name: str) -> str:
        """The tensor that gives a parameter: a twin of it, where only that was saved.

        Untied, the table of the decoder is a parameter of its own, and its bias the one used.
        """
        twin = _TWINS.get(name)
        if twin is None or twin not in self.stored:
            return name
        if self.config.tie_word_embeddings:
            return name if name in self.stored else twin
        return twin if name == "predictions.bias" else name

    def _check(self, name: str, shape: Shape) -> None:
        stored = self.stored.get(self._stored_name(name))
        if stored is None:
            raise CheckpointError(
                f"{self.folder}: tensor {name} is missing; expected floats of shape "
                f"{_show(shape)}, found none.",
                tip="Choose with --task the head this checkpoint was trained with, or copy the "
                "checkpoint again.",
            )
        if stored.dtype not in FLOATS:
            raise CheckpointError(
                f"{stored.file}: tensor {stored.name} holds {stored.dtype} values of shape "
                f"{_show(stored.shape)}; expected F32, F16 or BF16 of shape {_show(shape)}.",
                tip="Save the checkpoint before quantizing it; albert-edge compresses it for you.",
            )
        if stored.shape != shape:
            raise CheckpointError(
                f"{stored.file}: tensor {stored.name} has shape {_show(stored.shape)}; expected "
                f"{_show(shape)}.",
                tip="config.json and the weights belong to different models; copy both again.",
            )

    def _check_tied(self, name: str) -> None:
        original = TIED.get(name)
        if original and not np.array_equal(self.tensor(name), self.tensor(original)):
            raise CheckpointError(
                f"{self.stored[name].file}: tensor {self.stored[name].name} differs from "
                f"{original}, to which config.json ties it.",
                tip='Set "tie_word_embeddings": false in config.json if it was trained apart.',
            )


def open_checkpoint(folder: Path) -> Checkpoint:
    """Read the headers of a checkpoint folder.

    Args:
        folder: Holds config.json and model.safetensors, its sharded form with an index, or
            pytorch_model.bin (read through torch, weights only).

    Returns:
        The checkpoint.

    Raises:
        ConfigError: config.json is missing or bad.
        CheckpointError: No weights, or a damaged or hostile file.
        MissingExtraError: Reading the weights needs a package that is not installed.
    """
    config = read_config(folder / "config.json")
    stored: dict[str, StoredTensor] = {}
    for tensor in read_headers(folder):
        name = canonical_name(tensor.name)
        if name in stored:
            raise CheckpointError(
                f"{tensor.file}: tensors {stored[name].name} and {tensor.name} are both {name}.",
                tip="Keep one of them.",
            )
        stored[name] = tensor
    return Checkpoint(folder, config, stored)


def canonical_name(name: str) -> str:
    """The name transformers' current ALBERT classes give a tensor.

    >>> canonical_name("encoder.embedding_hidden_mapping_in.weight")
    'albert.encoder.embedding_hidden_mapping_in.weight'
    >>> canonical_name("albert.embeddings.LayerNorm.gamma")
    'albert.embeddings.LayerNorm.weight'
    """
    if name.startswith(BODY):
        name = f"albert.{name}"
    module, _, leaf = name.rpartition(".")
    if module.lower().endswith(("layernorm", "layer_norm")):
        name = f"{module}.{_LAYER_NORM.get(leaf, leaf)}"
    return name


def read_headers(folder: Path) -> Iterable[StoredTensor]:
    """The tensors of a folder: of model.safetensors or pytorch_model.bin, in shards or not.

    Raises:
        CheckpointError: No weights, or a damaged or hostile file.
        MissingExtraError: Reading the weights needs a package that is not installed.
    """
    for file, read in (
        ("model.safetensors", _safetensors),
        ("pytorch_model.bin", _pickled),
    ):
        if (folder / file).is_file():
            return read(folder / file)
        index = folder / f"{file}.index.json"
        if index.is_file():
            shards = _read_index(index, Path(file).suffix)
            return [tensor for shard in shards for tensor in read(folder / shard)]
    raise CheckpointError(
        f"{folder} holds no weights: no model.safetensors, no pytorch_model.bin.",
        tip="Point at the folder that save_pretrained wrote.",
    )


def _read_index(path: Path, suffix: str) -> list[str]:
    """The shards of an index, each a plain file name in the same folder."""
    try:
        shards = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a shard index: {error!r}", tip=_COPY_AGAIN) from error
    for shard in shards:
        if not isinstance(shard, str) or not shard.endswith(suffix) or set(shard) & set("/\\:\0"):
            raise CheckpointError(
                f"{path} names the shard {shard!r}; expected a plain {suffix} file name.",
                tip="Do not use this checkpoint: its index points outside its folder.",
            )
        if not (path.parent / shard).is_file():
            raise CheckpointError(
                f"{path} names the shard {shard}, which is not there.", tip=_COPY_AGAIN
            )
    return sorted(shards)


def _safetensors(path: Path) -> list[StoredTensor]:
    try:
        import ml_dtypes  # noqa: F401  (teaches numpy the name bfloat16)
        import safetensors
    except ImportError as error:
        raise MissingExtraError(
            error.name or "safetensors", extra="export", purpose=f"Reading {path.name}"
        ) from None
    try:
        file: Any = safetensors.safe_open(path, framework="numpy")
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged: {error}", tip=_COPY_AGAIN) from error

    def stored(name: str) -> StoredTensor:
        header = file.get_slice(name)
        return StoredTensor(
            file=path.name,
            name=name,
            dtype=header.get_dtype(),
            shape=tuple(header.get_shape()),
            read=lambda: file.get_tensor(name),
        )

    return [stored(name) for name in file.keys()]  # noqa: SIM118  (not a mapping)


def _pickled(path: Path) -> list[StoredTensor]:
    """The tensors of a torch pickle, of which torch unpickles plain tensors and nothing else."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError(
            "torch", extra="reference", purpose=f"Reading {path.name}"
        ) from None
    try:
        # Before torch 1.6 files were no archives, and only an archive can be mapped.
        tensors = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
        named = {name: value for name, value in tensors.items() if torch.is_tensor(value)}
        if not all(isinstance(name, str) for name in named):
            raise TypeError("a tensor has no name")
    except Exception as error:  # torch raises whatever the pickle leads it to
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{path} is not a plain dictionary of tensors and was refused: {reason}",
            tip="Convert it to model.safetensors where you trust it.",
        ) from error
    safetensors_names = {
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.float32: "F32",
        torch.float64: "F64",
    }

    def stored(name: str, tensor: torch.Tensor) -> StoredTensor:
        plain = tensor.layout == torch.strided and not tensor.is_meta
        kind = safetensors_names.get(tensor.dtype, str(tensor.dtype))
        return StoredTensor(
            file=path.name,
            name=name,
            dtype=kind if plain else f"sparse or absent {kind}",
            shape=tuple(tensor.shape),
            read=lambda: tensor.detach().float().numpy(),
        )

    return [stored(name, tensor) for name, tensor in named.items()]


def _show(shape: Iterable[int]) -> str:
    return f"({', '.join(map(str, shape))})"
