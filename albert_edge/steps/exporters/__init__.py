"""The exporters, from a checkpoint to onnx/model.onnx: author the graph, or trace it with optimum.

Each first checks all it can (`prepare`), then writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from albert_edge.architecture.heads import Input

# Called with the bytes of weights written so far and in all.
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Written:
    """A model that was written.

    Attributes:
        files: The .onnx file first, then its external data, if any.
        inputs: The arrays it takes.
        opset: Version of the ONNX operator set.
        weight_bytes: Size of the weights that went in, or None if the exporter does not tell.
        unused: Tensors of the checkpoint's other heads.
    """

    files: list[Path]
    inputs: tuple[Input, ...]
    opset: int
    weight_bytes: int | None = None
    unused: tuple[str, ...] = ()


Writer = Callable[[Path, Report], Written]
