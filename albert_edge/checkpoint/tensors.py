"""A checkpoint folder -> float32 tensors under canonical names, checked before they are used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.architecture.weights import belongs_to_head
from albert_edge.checkpoint.formats import read_headers
from albert_edge.checkpoint.formats.base import Shape, StoredTensor
from albert_edge.checkpoint.names import BUFFERS, TIED, canonical_name
from albert_edge.errors import Argument, CheckpointError, Message

Array = npt.NDArray[np.float32]

_FLOATS = frozenset({"F16", "BF16", "F32", "F64"})
_NAME_OF_TIED = {original: tied for tied, original in TIED.items()}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose headers have been read; values are read when asked for.

    Attributes:
        folder: Its folder.
        config: Its geometry.
        stored: Its tensors by canonical name.
    """

    folder: Path
    config: AlbertConfig
    stored: Mapping[str, StoredTensor]

    def fit(self, expected: Mapping[str, Shape]) -> list[str]:
        """Check that every expected tensor has its shape, and that there are no unknown ones.

        Args:
            expected: Shapes in the checkpoint's layout, by canonical name.

        Returns:
            Names of the tensors of other heads.

        Raises:
            CheckpointError: A tensor is missing, extra, mis-shaped, not floating point, or two
                tensors that should be one differ. The message names it.
        """
        for name, shape in expected.items():
            self._check(name, shape)
        used = {self._stored_name(name) for name in expected}
        others = sorted(self.stored.keys() - expected.keys() - used - BUFFERS)
        for name in others:
            if not belongs_to_head(name):
                stored = self.stored[name]
                raise CheckpointError(
                    f"{stored.file}: tensor {stored.name} of shape {_show(stored.shape)} is not "
                    "part of the ALBERT that config.json describes.",
                    tip="Check num_hidden_groups and inner_group_num in config.json.",
                )
            if self.config.tie_word_embeddings and "predictions.bias" in expected:
                self._check_tied(name)
        return [name for name in others if name not in TIED or "predictions.bias" not in expected]

    def check_depth(self) -> None:
        """Check that the last layer is there, before a graph is built for all of them.

        Raises:
            CheckpointError: config.json claims more groups or inner layers than there are.
        """
        config = self.config
        group, layer = config.num_hidden_groups - 1, config.inner_group_num - 1
        prefix = f"albert.encoder.albert_layer_groups.{group}.albert_layers.{layer}"
        self._check(f"{prefix}.ffn.weight", (config.intermediate_size, config.hidden_size))

    def tensor(self, name: str) -> Array:
        """Read the values of a tensor, in the checkpoint's layout.

        Raises:
            CheckpointError: It holds NaN or infinity, or the file cannot be read.
        """
        stored = self.stored[self._stored_name(name)]
        with np.errstate(over="ignore", invalid="ignore"):  # reported below
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
        """Find the stored tensor of a parameter: the one tied to it, if only that was saved.

        If nothing is tied, the decoder has its own table, and its bias is the one used.
        """
        tied = _NAME_OF_TIED.get(name)
        if tied is None or tied not in self.stored:
            return name
        if self.config.tie_word_embeddings:
            return name if name in self.stored else tied
        return tied if name == "predictions.bias" else name

    def _check(self, name: str, shape: Shape) -> None:
        stored = self.stored.get(self._stored_name(name))
        if stored is None:
            raise CheckpointError(
                f"{self.folder}: tensor {name} is missing; expected floats of shape "
                f"{_show(shape)}, found none.",
                tip=Message(
                    "Choose with ",
                    Argument("task"),
                    " the head this checkpoint was trained with, or copy the checkpoint again.",
                ),
            )
        if stored.dtype not in _FLOATS:
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
                tip='Set "tie_word_embeddings": false in config.json if it was trained separately.',
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


def _show(shape: Iterable[int]) -> str:
    return f"({', '.join(map(str, shape))})"
