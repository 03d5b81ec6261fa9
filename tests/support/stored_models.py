"""Models of bundles that are not on a disk."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import Input
from albert_edge.bundle.manifest import MODEL, FileRecord, Variant
from albert_edge.bundle.model_file import BundledModel
from albert_edge.validation.graph import Declared


@dataclass(frozen=True, slots=True)
class InMemory:
    """A storage."""

    files: Mapping[str, bytes]
    path: Path = Path("bundle")

    def open(self, file: str, *, follow: bool = True) -> Any:
        """Open a file."""
        return io.BytesIO(self.files[file])

    def view(self, file: str) -> memoryview:
        """The content of a file."""
        return memoryview(self.files[file])

    def holding(self, files: Iterable[str]) -> InMemory:
        """The same files."""
        return self

    def read_signature(self) -> bytes:
        """No signature."""
        return b""


def stored(declared: Declared, head: str, files: Mapping[str, bytes]) -> BundledModel:
    """A model whose hashes match, the .onnx file first.

    Args:
        declared: What its manifest says.
        head: What it was trained for.
        files: Contents by path.
    """
    records = tuple(
        FileRecord(file, hashlib.sha256(content).hexdigest(), len(content))
        for file, content in files.items()
    )
    masked = declared.outputs is not None and "mask_logits" in declared.outputs
    variant = Variant(
        name="model",
        files={MODEL: records},
        inputs={MODEL: declared.inputs},
        precision="fp32",
        target=declared.target,
        layout=declared.layout,
        opset=declared.opset,
        exporter=declared.exporter,
        optimizations={"masked-logits": 1} if masked else {},
        exits=declared.exits,
    )
    return BundledModel(InMemory(files), head, variant, _Returned(declared.config))


@dataclass(frozen=True, slots=True)
class _Returned:
    config: AlbertConfig

    def __call__(self) -> AlbertConfig:
        return self.config


def short_text(inputs: tuple[Input, ...]) -> dict[str, Any]:
    """Arrays of one text of eight tokens; two choices for models that choose."""
    sizes = {"batch_size": 1, "num_choices": 2, "sequence_length": 8}
    shape = tuple(sizes[axis] for axis in inputs[0].axes)
    ids = np.arange(np.prod(shape)).reshape(shape) % 5 + 2
    arrays = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return {**arrays, "token_type_ids": np.zeros_like(ids)}
