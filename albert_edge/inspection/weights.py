"""Read the weights of a variant as floats, whatever its precision and target.

Matrices of linear layers are (in_features, out_features) and tables (rows, features), as in the
portable file; integers are dequantized, packed projections split, and smoothing undone.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.weights import WeightSpec, find_weight, scale_name, with_indices
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import Variant
from albert_edge.compress.balance import readers
from albert_edge.compress.integer import dequantize_blocks
from albert_edge.graph.plan import Precision
from albert_edge.onnx_format.reader import Tensor, read_onnx
from albert_edge.runtime.model_source import read_checked

Floats = npt.NDArray[np.float32]


class Weights:
    """The weights of one variant, each read on demand.

    Args:
        bundle: The bundle.
        variant: One of its variants.

    Attributes:
        variant: The variant.
        operators: How often each operator occurs in its file.
        stored: How each weight is stored, by name, such as "float32" or "int8 by column".
    """

    def __init__(self, bundle: Bundle, variant: Variant) -> None:
        model = bundle.model_file(variant)
        read_checked(model)
        file = read_onnx(model)
        self.variant = variant
        self.operators = file.operators
        self._tensors = file.tensors
        self._scales = {scale_name(name) for name in self._tensors}
        self._config = bundle.read_config()
        self._sources = dict(self._locate())
        self.stored = {name: self._stored(tensor) for name, (tensor, _) in self._sources.items()}
        self._smoothings = {
            name: vector
            for vector, names in readers(self._sources).items()
            for name in names
            if vector in self._tensors
        }

    def floats(self, name: str) -> Floats:
        """Return the values of a weight, dequantized."""
        tensor, part = self._sources[name]
        spec = find_weight(tensor.name)
        values = self._values(tensor, spec)
        if spec and part is not None:
            values = np.split(values, len(spec.parts), axis=-1)[part]
        if name in self._smoothings:  # the rows hold the inverse
            values = values * self._tensors[self._smoothings[name]].array()[:, None]
        return values

    def _locate(self) -> Iterator[tuple[str, tuple[Tensor, int | None]]]:
        """Yield each weight by its name in the checkpoint, with its tensor and part, if any."""
        for name, tensor in self._tensors.items():
            spec = find_weight(name)
            if spec and spec.parts:
                yield from ((with_indices(p, name), (tensor, i)) for i, p in enumerate(spec.parts))
            elif _is_weight(spec) if spec else self._is_foreign(tensor):
                yield name, (tensor, None)

    def _is_foreign(self, tensor: Tensor) -> bool:
        """Return whether a tensor is a weight that another exporter named."""
        is_auxiliary = tensor.name.startswith("const_") or tensor.name in self._scales
        return tensor.dtype.kind == "f" and tensor.shape != () and not is_auxiliary

    def _values(self, tensor: Tensor, spec: WeightSpec | None) -> Floats:
        if tensor.dtype.kind == "f":
            return tensor.array().astype(np.float32)
        scale = self._tensors[scale_name(tensor.name)].array()
        if _is_by_column(tensor):
            zero_point = np.float32(0 if tensor.dtype == np.int8 else 128)
            by_column: Floats = (tensor.array() - zero_point) * scale
            return by_column
        is_table = spec is not None and spec.kind == "table"
        values = row_length(tensor, self._config)
        rows = dequantize_blocks(tensor.array(), scale, self._bits(tensor), values)
        return rows if is_table else rows.T

    def _bits(self, tensor: Tensor) -> int:
        """Return the bits of a value in a tensor of (rows, blocks, bytes)."""
        spec = find_weight(tensor.name)
        matrix = spec.matrix if spec else None
        return 4 if matrix and self.variant.matrices[matrix] == Precision.INT4 else 8

    def _stored(self, tensor: Tensor) -> str:
        if tensor.dtype.kind == "f":
            return tensor.dtype.name
        if _is_by_column(tensor):
            return f"{tensor.dtype} by column"
        bits = self._bits(tensor)
        return f"int{bits} by {tensor.shape[2] * 8 // bits} of a row"


def row_length(tensor: Tensor, config: AlbertConfig) -> int:
    """Return how many weights a row of blocks holds, of which the last is padded."""
    spec = find_weight(tensor.name)
    if spec is None or spec.reads is None:  # a table of embeddings, or the decoder, which is one
        return config.embedding_size
    return spec.reads.count(config, tensor.name)


def count_weights(tensor: Tensor, config: AlbertConfig) -> int:
    """Return how many weights a tensor stores, whatever its precision."""
    if tensor.dtype == np.uint8 and not _is_by_column(tensor):  # (rows, blocks, bytes)
        return tensor.shape[0] * row_length(tensor, config)
    return prod(tensor.shape)


def _is_by_column(tensor: Tensor) -> bool:
    return len(tensor.shape) == 2  # blocks are one axis more


def _is_weight(spec: WeightSpec) -> bool:
    return spec.is_exported or spec.kind == "exit"
