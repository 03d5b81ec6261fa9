"""The exporters, from a checkpoint to onnx/model.onnx: author the graph, or trace it with optimum.

`prepare` checks all that can be checked before writing, and returns the function that writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from albert_edge.architecture.heads import Input
from albert_edge.checkpoint.tensors import Unread

# Called with the bytes of weights written so far and in all.
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Written:
    """A model that was written.

    Attributes:
        files: The .onnx file first, then its external data, if any.
        inputs: The arrays it takes.
        opset: Version of the ONNX operator set.
        weight_bytes: Size of the weights, or None if the exporter does not report it.
        unread: Tensors of the checkpoint that the model does not read.
    """

    files: list[Path]
    inputs: tuple[Input, ...]
    opset: int
    weight_bytes: int | None = None
    unread: Unread = field(default_factory=Unread)


Writer = Callable[[Path, Report], Written]
