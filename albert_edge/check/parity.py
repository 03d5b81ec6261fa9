"""The differences between two runs of one model, on inputs that reach every part of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.architecture.heads import HEADS
from albert_edge.architecture.weights import find_weight
from albert_edge.checkpoint.formats.safetensors import write_safetensors
from albert_edge.checkpoint.tensors import Checkpoint, open_checkpoint
from albert_edge.disk.writing import scratch_folder, write_file
from albert_edge.errors import CheckpointError, Message, QualityError
from albert_edge.packages import import_extra

Arrays = Mapping[str, npt.NDArray[Any]]
Run = Callable[[Arrays], Arrays]

TOLERANCE = 1e-4  # largest absolute difference between two float32 runs of one model


@dataclass(frozen=True, slots=True)
class Parity:
    """The differences between two runs.

    Attributes:
        differences: Largest absolute difference of each output.
    """

    differences: dict[str, float]

    @property
    def largest(self) -> float:
        """The largest absolute difference of all outputs."""
        return float(np.max(list(self.differences.values())))

    @property
    def holds(self) -> bool:
        """Whether every output is within `TOLERANCE`; NaN never is."""
        return all(difference <= TOLERANCE for difference in self.differences.values())

    def require(self, candidate: str, reference: str, *, tip: str | Message) -> None:
        """Require that every output is within `TOLERANCE`.

        Raises:
            QualityError: One is not; the message names both runs.
        """
        if not self.holds:
            raise QualityError(
                f"{candidate} differs from {reference} by {self.largest:.2g}; at most "
                f"{TOLERANCE:.0e} is float32 rounding.",
                tip=tip,
            )


def compare(expected: list[Arrays], candidate: Run, inputs: list[Arrays]) -> Parity:
    """Compare the outputs of a run with those expected.

    Args:
        expected: Outputs of the reference for each input. It may have more of them than the
            candidate, whose outputs are all compared.
        candidate: The run to compare.
        inputs: Its inputs.
    """
    differences: dict[str, float] = {}
    for arrays, reference in zip(inputs, expected, strict=True):
        for name, values in candidate(arrays).items():
            largest = float(np.abs(values - reference[name]).max(initial=0.0))
            # Unlike max(), this lets a NaN through.
            differences[name] = float(np.maximum(differences.get(name, 0.0), largest))
    return Parity(differences)


def sample_inputs(
    config: AlbertConfig, head: str, mask_token_id: int | None = None
) -> list[Arrays]:
    """Build inputs that reach every part of a model: odd lengths, padding, both token types.

    Args:
        config: Gives the ranges of ids and lengths.
        head: A key of `HEADS`.
        mask_token_id: If given, every text holds this id.
    """
    random = np.random.default_rng(0)
    longest = config.max_position_embeddings
    inputs: list[Arrays] = []
    for batch, length in ((1, 1), (1, 2), (1, 7), (3, 33), (1, 128)):
        shape = HEADS[head].ids_shape(batch, min(length, longest))
        input_ids = random.integers(0, config.vocab_size, shape)
        if mask_token_id is not None:
            input_ids[..., shape[-1] // 2] = mask_token_id
        lengths = random.integers(1, shape[-1] + 1, shape[:-1])
        lengths[0] = shape[-1]
        arrays = {
            "input_ids": input_ids,
            "attention_mask": (np.arange(shape[-1]) < lengths[..., None]).astype(np.int64),
            "token_type_ids": random.integers(0, config.type_vocab_size, shape),
        }
        inputs.append(arrays)
    return inputs


def transformers_run(folder: Path, head: str, **options: Any) -> Run:
    """Load the checkpoint of a folder with transformers, to run on torch in float32.

    transformers does not take prefixes off the names of tensors: it reads a copy without them.

    Args:
        folder: The checkpoint.
        head: A key of `HEADS`.
        **options: Further arguments of from_pretrained, such as other fields of config.json.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    checkpoint = open_checkpoint(folder)
    if not checkpoint.prefix:
        return torch_run(transformers_model(folder, head, **options))
    with scratch_folder() as scratch:
        _write_plain(checkpoint, scratch)
        return torch_run(transformers_model(scratch, head, **options))


def _write_plain(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint with canonical names of tensors."""
    write_file(folder / "config.json", (checkpoint.folder / "config.json").read_bytes())
    tensors = {name: checkpoint.tensor(name) for name in checkpoint.stored if find_weight(name)}
    write_safetensors(tensors, folder / "model.safetensors", {"format": "pt"})


def transformers_model(folder: Path, head: str, **options: Any) -> Any:
    """Load the checkpoint of a folder as the model of transformers with a head, in float32.

    Args:
        folder: The checkpoint.
        head: A key of `HEADS`.
        **options: Further arguments of from_pretrained.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        CheckpointError: The installed transformers cannot load layers that lack heads.
    """
    require_transformers()
    import transformers

    if read_config(folder / "config.json").pruned_heads and not _prunes_heads(transformers):
        raise CheckpointError(
            f"{folder}: transformers {transformers.__version__} ignores pruned_heads in "
            "config.json, and cannot load layers that lack some of their heads.",
            tip="Compare with transformers 4: pip install 'transformers<5'",
        )
    model_class = getattr(transformers, HEADS[head].class_name)
    return model_class.from_pretrained(folder, local_files_only=True, **options).float().eval()


def _prunes_heads(transformers: ModuleType) -> bool:
    return hasattr(transformers.PreTrainedModel, "prune_heads")


def require_transformers() -> None:
    """Require the packages of the reference.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    purpose = "Comparing with the checkpoint"
    import_extra("torch", "transformers", extra="reference", purpose=purpose)


def torch_run(model: Any) -> Run:
    """Wrap a model of transformers as a function of named arrays."""
    import torch

    def run(arrays: Arrays) -> Arrays:
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
            return {name: value.numpy() for name, value in model(**tensors).items()}

    return run
