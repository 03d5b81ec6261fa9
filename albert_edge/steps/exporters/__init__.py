"""The two roads from a checkpoint to onnx/model.onnx: author the graph, or trace it with optimum.

Each road first checks all it can (`prepare`), then writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Written:
    """A model that was written.

    Attributes:
        files: The .onnx file first, then its external data, if any.
        opset: Version of the ONNX operator set.
        weight_bytes: Size of the weights that went in, or None if the road does not know.
        unused: Tensors of the checkpoint's other heads.
    """

    files: list[Path]
    opset: int
    weight_bytes: int | None = None
    unused: tuple[str, ...] = ()


Writer = Callable[[Path, Progress], Written]
