"""Checkpoints of TensorFlow, whose variables are named by the program that wrote them.

Known are google-research/albert, brightmart/albert_zh, the AlbertEncoder of tensorflow/models, and
transformers' TensorFlow classes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from albert_edge.checkpoint.formats.base import COPY_AGAIN, Format, StoredTensor
from albert_edge.checkpoint.formats.keras import keras_name
from albert_edge.checkpoint.formats.layout import in_pytorch_layout
from albert_edge.checkpoint.formats.tensor_bundle import read_tensor_bundle
from albert_edge.checkpoint.formats.tensorflow_names import (
    FACTOR,
    WORDS,
    canonical_variable,
    is_of_beam_search,
    is_of_optimizer,
)
from albert_edge.errors import CheckpointError

_QUERY = ".attention.query.weight"
MAPPING = "albert.encoder.embedding_hidden_mapping_in"

# Which of several checkpoints in a folder is meant: the one run_pretraining.py calls the best.
_BEST = "model.ckpt-best.index"


class TensorFlowFormat(Format):
    """A checkpoint in a folder, or the variables of a SavedModel or a TF-Hub module in it.

    Its `file` is a pattern, as every program names its files otherwise.
    """

    @property
    def patterns(self) -> tuple[str, ...]:
        names = ("*.index", "*.data-?????-of-?????")
        return (*names, *(f"variables/{name}" for name in names))

    def files(self, folder: Path) -> list[Path]:
        found = [path for place in (folder, folder / "variables") for path in place.glob("*.index")]
        best = [path for path in found if path.name == _BEST] or found
        if len(best) > 1:
            raise CheckpointError(
                f"{folder} holds {len(best)} checkpoints of TensorFlow: "
                f"{', '.join(sorted(path.name for path in best))}.",
                tip="Put the one to export in a folder of its own.",
            )
        return best


def read_tensorflow(index: Path) -> list[StoredTensor]:
    """Read the index of a checkpoint.

    Raises:
        CheckpointError: It is damaged or hostile, or has a head that ALBERT has no class for.
        MissingExtraError: A package that reads it is not installed.
    """
    variables = [item for item in read_tensor_bundle(index) if not is_of_optimizer(item.name)]
    beam = [variable.name for variable in variables if is_of_beam_search(variable.name)]
    if beam:
        raise CheckpointError(
            f"{index}: {', '.join(sorted(beam))} are of the head that google-research/albert "
            "trains for SQuAD 2, which scores ends after a beam search over starts; no class of "
            "transformers has it.",
            tip="Train with run_squad_v1.py, whose head is that of AlbertForQuestionAnswering.",
        )
    return list(_mapped({tensor.name: tensor for tensor in map(_renamed, variables)}).values())


def _mapped(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Add the layer from word embeddings to hidden states where a program has none.

    brightmart's multiplies words by a second table before it adds positions and normalizes, and
    Google's has no layer between equal sizes. With a mapping that is the identity, either is an
    ALBERT of transformers, whose word embeddings are as wide as its hidden states.
    """
    words, factor = tensors.get(WORDS), tensors.pop(FACTOR, None)
    query = next((item for name, item in tensors.items() if name.endswith(_QUERY)), None)
    if words is None or query is None or not len(words.shape) == len(query.shape) == 2:
        return tensors
    if factor:
        words = tensors[WORDS] = _product(words, factor, query.shape[0])
    width = words.shape[-1]
    if f"{MAPPING}.weight" not in tensors and query.shape == (width, width):
        for leaf, shape, make in ("weight", (width, width), np.eye), ("bias", (width,), np.zeros):
            name = f"{MAPPING}.{leaf}"
            tensors[name] = StoredTensor(words.file, name, "F32", shape, partial(make, width))
    return tensors


def _renamed(variable: StoredTensor) -> StoredTensor:
    name = canonical_variable(variable.name)
    if name is None and variable.name.startswith("tf_albert"):
        name = keras_name(variable.name)
    return in_pytorch_layout(_flat(variable), name or variable.name)


def _flat(variable: StoredTensor) -> StoredTensor:
    """Join the two axes, heads and their size, that AlbertEncoder keeps apart in its attention."""
    if "self_attention/" not in variable.name or len(variable.shape) < 2:
        return variable
    *_, layer, leaf = variable.name.split("/")
    first, *_, last = variable.shape
    shape: tuple[int, ...] = (math.prod(variable.shape),)
    if leaf == "kernel":
        rows, columns = math.prod(variable.shape[:-1]), math.prod(variable.shape[1:])
        shape = (rows, last) if layer == "attention_output" else (first, columns)
    return replace(variable, shape=shape, read=lambda: variable.read().reshape(shape))


def _product(words: StoredTensor, factor: StoredTensor, width: int) -> StoredTensor:
    """Multiply brightmart's two tables."""
    if factor.shape != (*words.shape[1:], width):
        raise CheckpointError(
            f"{words.file}: {factor.name} has shape {factor.shape}; expected as many rows as "
            f"{words.name} of shape {words.shape} has columns, and {width} columns.",
            tip=COPY_AGAIN,
        )
    return replace(words, shape=(words.shape[0], width), read=lambda: words.read() @ factor.read())
