"""A checkpoint folder -> float32 tensors under canonical names, checked before they are used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.config import AlbertConfig, default_labels, read_config
from albert_edge.architecture.heads import has_row_per_class
from albert_edge.architecture.weights import belongs_to_head, find_weight
from albert_edge.checkpoint.formats import read_headers
from albert_edge.checkpoint.formats.base import BEFORE_QUANTIZING, FLOATS, Shape, StoredTensor
from albert_edge.checkpoint.names import (
    BODY,
    BUFFERS,
    POOLER,
    TIED,
    canonical_names,
    find_prefixes,
)
from albert_edge.errors import Argument, CheckpointError, Message, UsageError

Array = npt.NDArray[np.float32]

_NAME_OF_TIED = {original: tied for tied, original in TIED.items()}
_GROUPS = "albert.encoder.albert_layer_groups"
# Tensors that the message about a missing one lists.
_MOST = 5


@dataclass(frozen=True, slots=True)
class Unread:
    """Tensors of a checkpoint that a model does not read, by canonical name.

    Attributes:
        of_heads: Those of ALBERT's other heads.
        leftovers: Those of no ALBERT, such as the weights of a loss or the transitions of a CRF.
    """

    of_heads: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint whose headers have been read; values are read when asked for.

    Attributes:
        folder: Its folder.
        config: Its configuration: config.json, and what its tensors decide.
        stored: Its tensors by canonical name.
        prefix: What was taken off the names of its tensors, such as "module.", or "".
    """

    folder: Path
    config: AlbertConfig
    stored: Mapping[str, StoredTensor]
    prefix: str = ""

    @property
    def parameters(self) -> set[str]:
        """The names of its tensors, and of those tied to them."""
        return {*self.stored, *(TIED[name] for name in TIED.keys() & self.stored.keys())}

    def fit(self, expected: Mapping[str, Shape]) -> Unread:
        """Check that every expected tensor has its shape, and that the body has no other ones.

        Args:
            expected: Shapes in the checkpoint's layout, by canonical name.

        Returns:
            The other tensors.

        Raises:
            CheckpointError: A tensor is missing, mis-shaped, not floating point, or of a body
                other than the configuration's; or two tensors that should be one differ. The
                message names it.
        """
        for name, shape in expected.items():
            self._check(name, shape)
        used = {self._stored_name(name) for name in expected}
        others = sorted(self.stored.keys() - expected.keys() - used - BUFFERS)
        scores_vocabulary = "predictions.bias" in expected
        for name in others:
            if name.startswith(BODY) and not name.startswith(POOLER):
                raise self._other_body(name)
            if self.config.tie_word_embeddings and scores_vocabulary:
                self._check_tied(name)
        unread = [name for name in others if name not in TIED or not scores_vocabulary]
        return Unread(
            tuple(filter(belongs_to_head, unread)),
            tuple(name for name in unread if not belongs_to_head(name)),
        )

    def check_depth(self) -> None:
        """Check that the last layer is there, before a graph is built for all of them.

        Raises:
            CheckpointError: config.json claims more groups or inner layers than there are.
        """
        config = self.config
        group, layer = config.num_hidden_groups - 1, config.inner_group_num - 1
        prefix = f"{_GROUPS}.{group}.albert_layers.{layer}"
        self._check(f"{prefix}.ffn.weight", (config.intermediate_size, config.hidden_size))

    def first_layers(self, layers: int) -> Checkpoint:
        """Return the checkpoint of a model that applies only the first layers.

        Raises:
            UsageError: There are not so many, or a configuration with so few would not apply the
                same groups.
        """
        depths = self.config.depths
        of_groups = self.config.num_hidden_groups
        if layers not in depths:
            groups = "1 hidden group" if of_groups == 1 else f"{of_groups} hidden groups"
            raise UsageError(
                Message(
                    f"{self.folder} has {self.config.num_hidden_layers} layers in {groups} and "
                    "cannot be cut to ",
                    *(Argument("layers", layers), "."),
                ),
                tip=f"Possible: {', '.join(map(str, depths))}.",
            )
        config = depths[layers]
        beyond = range(config.num_hidden_groups, of_groups)
        dropped = tuple(f"{_GROUPS}.{group}." for group in beyond)
        stored = {
            name: tensor for name, tensor in self.stored.items() if not name.startswith(dropped)
        }
        return replace(self, config=config, stored=stored)

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

    def _other_body(self, name: str) -> CheckpointError:
        """Build the error about a tensor that contradicts the configuration's geometry."""
        tip = "Merge adapters into the layers, or save the model without what was added to them."
        if find_weight(name):
            tip = "Check num_hidden_groups and inner_group_num in config.json."
        stored = self.stored[name]
        return CheckpointError(
            f"{stored.file}: tensor {stored.name} of shape {_show(stored.shape)} is not part of "
            "the ALBERT that config.json describes.",
            tip=tip,
        )

    def _missing(self, name: str, shape: Shape) -> CheckpointError:
        """Build the error about a missing tensor, with those that may be meant for it."""
        others = [s.name for n, s in self.stored.items() if not (find_weight(n) or n in BUFFERS)]
        rest = f" and {len(others) - _MOST} more" if len(others) > _MOST else ""
        seen = f" No ALBERT has its {', '.join(others[:_MOST])}{rest}." if others else ""
        return CheckpointError(
            f"{self.folder}: tensor {name} is missing; expected floats of shape {_show(shape)}, "
            f"found none.{seen}",
            tip=Message(
                "Choose with ",
                Argument("task"),
                " the head this checkpoint was trained with, or copy the checkpoint again.",
            ),
        )

    def _check(self, name: str, shape: Shape) -> None:
        stored = self.stored.get(self._stored_name(name))
        if stored is None:
            raise self._missing(name, shape)
        if stored.dtype not in FLOATS:
            raise CheckpointError(
                f"{stored.file}: tensor {stored.name} holds {stored.dtype} values of shape "
                f"{_show(stored.shape)}; expected F32, F16 or BF16 of shape {_show(shape)}.",
                tip=BEFORE_QUANTIZING,
            )
        if stored.shape != shape:
            raise self._mis_shaped(name, stored, shape)

    def _mis_shaped(self, name: str, stored: StoredTensor, shape: Shape) -> CheckpointError:
        classes = self.config.num_labels
        if has_row_per_class(name) and stored.shape[1:] == shape[1:] and shape[0] == classes:
            return CheckpointError(
                f"{stored.file}: tensor {stored.name} has shape {_show(stored.shape)}, for "
                f"{stored.shape[0]} classes; config.json has {classes} labels.",
                tip="Name all classes with id2label in config.json; without it and num_labels "
                "there are two.",
            )
        return CheckpointError(
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
        folder: Holds config.json, and weights in one of `FORMATS`.

    Returns:
        The checkpoint.

    Raises:
        ConfigError: config.json is missing or bad.
        CheckpointError: No weights, those of several models, two tensors of one name, or a
            damaged or hostile file.
        MissingExtraError: Reading the weights needs a package that is not installed.
    """
    config = read_config(folder / "config.json")
    tensors = read_headers(folder)
    prefix = _find_prefix(folder, tensors)
    stored: dict[str, StoredTensor] = {}
    names = canonical_names([tensor.name.removeprefix(prefix) for tensor in tensors])
    for name, tensor in zip(names, tensors, strict=True):
        if name in stored:
            raise CheckpointError(
                f"{tensor.file}: tensors {stored[name].name} and {tensor.name} are both {name}.",
                tip="Keep one of them.",
            )
        stored[name] = tensor
    return Checkpoint(folder, _complete(config, stored), stored, prefix)


def _complete(config: AlbertConfig, stored: Mapping[str, StoredTensor]) -> AlbertConfig:
    """Decide by the tensors what config.json leaves open.

    Bodies of some heads are saved without a pooler. Where num_labels and id2label contradict each
    other, transformers 4 takes id2label and 5 num_labels, and only one of them can be loaded.
    """
    has_pooler = any(name.startswith(POOLER) for name in stored)
    rows = {tensor.shape[:1] for name, tensor in stored.items() if has_row_per_class(name)}
    if rows == {(config.other_num_labels,)}:
        config = replace(config, labels=default_labels(config.other_num_labels or 0))
    return replace(config, add_pooling_layer=has_pooler, other_num_labels=None)


def _find_prefix(folder: Path, tensors: Iterable[StoredTensor]) -> str:
    """Find the prefix of the names of tensors; "" if some have none, as transformers reads them."""
    prefixes = find_prefixes(tensor.name for tensor in tensors)
    if "" in prefixes or not prefixes:
        return ""
    if len(prefixes) > 1:
        raise CheckpointError(
            f"{folder} holds {len(prefixes)} ALBERTs: the names of their tensors begin with "
            f"{', '.join(prefixes)}.",
            tip="Save the one to export in a folder of its own.",
        )
    return prefixes[0]


def _show(shape: Iterable[int]) -> str:
    return f"({', '.join(map(str, shape))})"
