"""The weights of ALBERT as a table with a row for each, which holds every fact about it.

Names are those of transformers' ALBERT classes. A row covers all hidden groups and inner layers:
its name has "*" in place of an index. A new weight needs a row here and a Module in `graph/` that
declares it as a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from albert_edge.architecture.activations import LOWER_BOUNDS
from albert_edge.architecture.config import AlbertConfig

Kind = Literal["matrix", "table", "bias", "norm", "parameter", "smoothing", "exit"]


class Matrix(StrEnum):
    """The distinct matrices of an ALBERT, whose precisions may differ."""

    EMBEDDINGS = "embeddings"
    PROJECTION = "projection"
    QUERY_KEY_VALUE = "query-key-value"
    ATTENTION_OUTPUT = "attention-output"
    FFN = "ffn"
    FFN_OUTPUT = "ffn-output"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class Features:
    """The input of matrices.

    Attributes:
        name: Its name.
        size: The field of the configuration that says how many features there are.
        by_head: Whether the attention heads of a layer yield it, of which there may be fewer.
        smoothing: The weight that scales it, in plans that smooth.
        is_activated: Whether it is the output of the model's activation function.
    """

    name: str
    size: str = "hidden_size"
    by_head: bool = False
    smoothing: str | None = None
    is_activated: bool = False

    @property
    def is_prunable(self) -> bool:
        """Whether neurons or heads yield it, of which some can be removed."""
        return self.by_head or self.is_activated

    def count(self, config: AlbertConfig, name: str) -> int:
        """Return how many features enter the matrix of this name."""
        if self.by_head:
            group, inner = (int(index[1:]) for index in _INDEX.findall(name))
            return config.heads(config.distinct_layer(group, inner)) * config.head_size
        size: int = getattr(config, self.size)
        return size

    def lower_bound(self, hidden_act: str) -> float | None:
        """Return the minimum of its values, at most 0, or None if there is none worth using."""
        return LOWER_BOUNDS.get(hidden_act) if self.is_activated else None


@dataclass(frozen=True, slots=True)
class WeightSpec:
    """The facts about a weight.

    Attributes:
        name: Its name in the checkpoint, with "*" for an index.
        kind: "matrix" of a linear layer, "table" whose rows are looked up, "bias" of either,
            "norm" (scale or shift of a normalization), "parameter" of an activation function,
            "smoothing" (a vector that only compressed files have), or of an "exit" (which no
            checkpoint has).
        matrix: Which of the distinct matrices it is, or None.
        reads: The input of the matrix, or None.
        parts: The weights that stand side by side in it, if it is packed.
        rewrite: The exact rewrite that scales its channels before quantization, if any.
        by_piece: Whether its first axis counts the pieces of the vocabulary.
    """

    name: str
    kind: Kind
    matrix: Matrix | None = None
    reads: Features | None = None
    parts: tuple[str, ...] = ()
    rewrite: str = ""
    by_piece: bool = False

    @property
    def transposed(self) -> bool:
        """Whether checkpoints store it as (out_features, in_features), the transpose of files."""
        return self.kind == "matrix"

    @property
    def is_exported(self) -> bool:
        """Whether checkpoints have it under this name."""
        return self.kind not in ("smoothing", "exit") and not self.parts


EMBEDDING_NORM = "albert.embeddings.LayerNorm"
PROJECTION = "albert.encoder.embedding_hidden_mapping_in"
LAYER = "albert.encoder.albert_layer_groups.*.albert_layers.*"
ATTENTION = f"{LAYER}.attention"
PACKED, PARTS = f"{ATTENTION}.query_key_value", ("query", "key", "value")

EMBEDDED = Features("embeddings", "embedding_size")
HIDDEN = Features("hidden states", smoothing=f"{ATTENTION}.smoothing.weight")
MIXED = Features("values mixed by attention", by_head=True)
ATTENDED = Features("attention output", smoothing=f"{LAYER}.smoothing.weight")
ACTIVATED = Features("activations", "intermediate_size", is_activated=True)
FINAL = Features("final hidden states")
POOLED = Features("pooled hidden states")

BALANCED_VALUES, BALANCED_EMBEDDINGS = "balanced-values", "balanced-embeddings"


def linear_weights(module: str, matrix: Matrix, reads: Features) -> list[WeightSpec]:
    """Return the rows of a linear layer: its matrix and its bias."""
    return [
        WeightSpec(f"{module}.weight", "matrix", matrix, reads),
        WeightSpec(f"{module}.bias", "bias"),
    ]


def _norm(module: str, rewrite: str = "") -> list[WeightSpec]:
    return [WeightSpec(f"{module}.{leaf}", "norm", rewrite=rewrite) for leaf in ("weight", "bias")]


def _balanced(specs: list[WeightSpec], rewrite: str, *leaves: str) -> list[WeightSpec]:
    return [
        replace(spec, rewrite=rewrite) if spec.name.endswith(leaves) else spec for spec in specs
    ]


def _rows() -> Iterator[WeightSpec]:
    for table in ("word", "token_type", "position"):
        name = f"albert.embeddings.{table}_embeddings.weight"
        yield WeightSpec(name, "table", Matrix.EMBEDDINGS, by_piece=table == "word")
    yield from _norm(EMBEDDING_NORM, BALANCED_EMBEDDINGS)
    rows = linear_weights(PROJECTION, Matrix.PROJECTION, EMBEDDED)
    yield from _balanced(rows, BALANCED_EMBEDDINGS, "weight")
    yield from linear_weights(f"{ATTENTION}.query", Matrix.QUERY_KEY_VALUE, HIDDEN)
    yield from linear_weights(f"{ATTENTION}.key", Matrix.QUERY_KEY_VALUE, HIDDEN)
    rows = linear_weights(f"{ATTENTION}.value", Matrix.QUERY_KEY_VALUE, HIDDEN)
    yield from _balanced(rows, BALANCED_VALUES, "weight", "bias")
    for row in linear_weights(PACKED, Matrix.QUERY_KEY_VALUE, HIDDEN):
        names = (row.name.replace(PACKED, f"{ATTENTION}.{part}") for part in PARTS)
        yield replace(row, parts=tuple(names))
    rows = linear_weights(f"{ATTENTION}.dense", Matrix.ATTENTION_OUTPUT, MIXED)
    yield from _balanced(rows, BALANCED_VALUES, "weight")
    yield from _norm(f"{ATTENTION}.LayerNorm")
    yield from linear_weights(f"{LAYER}.ffn", Matrix.FFN, ATTENDED)
    for parameter in ("weight", "alpha_p", "alpha_n", "beta", "eps"):
        yield WeightSpec(f"{LAYER}.activation.{parameter}", "parameter")
        yield WeightSpec(f"predictions.activation.{parameter}", "parameter")
    yield from linear_weights(f"{LAYER}.ffn_output", Matrix.FFN_OUTPUT, ACTIVATED)
    yield from _norm(f"{LAYER}.full_layer_layer_norm")
    for features in (HIDDEN, ATTENDED):
        yield WeightSpec(str(features.smoothing), "smoothing")
    yield from linear_weights("albert.pooler", Matrix.HEAD, FINAL)
    yield from linear_weights("predictions.dense", Matrix.HEAD, FINAL)
    yield from _norm("predictions.LayerNorm")
    yield WeightSpec("predictions.bias", "bias", by_piece=True)
    yield WeightSpec("predictions.decoder.weight", "table", Matrix.HEAD, by_piece=True)
    yield from linear_weights("sop_classifier.classifier", Matrix.HEAD, POOLED)
    yield from linear_weights("classifier", Matrix.HEAD, POOLED)
    yield from linear_weights("qa_outputs", Matrix.HEAD, FINAL)
    for leaf in ("weight", "bias", "threshold"):
        yield WeightSpec(f"exits.{leaf}", "exit")


WEIGHTS: dict[str, WeightSpec] = {row.name: row for row in _rows()}


def find_weight(name: str) -> WeightSpec | None:
    """Return the row of a weight, or None if it is unknown.

    >>> find_weight("albert.encoder.albert_layer_groups.0.albert_layers.1.ffn.weight").matrix
    <Matrix.FFN: 'ffn'>
    """
    return WEIGHTS.get(_INDEX.sub(".*", name))


def with_indices(row: str, name: str) -> str:
    """Fill in the indices of a row's name from those of a weight.

    >>> with_indices("groups.*.layers.*.norm.bias", "groups.0.layers.1.ffn.weight")
    'groups.0.layers.1.norm.bias'
    """
    for index in _INDEX.findall(name):
        row = row.replace(".*", index, 1)
    return row


def scale_name(name: str) -> str:
    """Return the name of the scale of a quantized weight."""
    return f"{name}_scale"


def belongs_to_head(name: str) -> bool:
    """Return whether a weight is in a module of a head rather than of the body."""
    modules = {row.split(".")[0] for row in WEIGHTS} - {"albert"}
    return name.startswith("albert.pooler.") or name.partition(".")[0] in modules


_INDEX = re.compile(r"\.\d+(?=\.)")
