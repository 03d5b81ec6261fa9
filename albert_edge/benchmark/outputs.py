"""How far the outputs of two runtimes are apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_edge.benchmark.process import WorkerError
from albert_edge.benchmark.runtimes import Arrays
from albert_edge.runtime.vectors import cosine

TOLERANCE = 1e-3  # of the largest output, between two float32 runs of the same weights


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """Largest absolute difference over all outputs, and the least cosine of any of them."""

    difference: float
    cosine: float


def compare_outputs(expected: Arrays, outputs: Arrays) -> OutputDifference:
    """Compare the outputs of two runs by name.

    Args:
        expected: The reference. It may have outputs that the other has not.
        outputs: What is compared with it.

    Raises:
        WorkerError: There is no output of the same name and shape to compare.
    """
    pairs = [(expected[name], outputs[name]) for name in expected if name in outputs]
    if not pairs or any(a.shape != b.shape for a, b in pairs):
        raise WorkerError(f"its outputs are {_shapes(outputs)}, not {_shapes(expected)}")
    # Unlike max() and min(), these let a NaN through.
    difference = np.max([np.abs(a - b).max() for a, b in pairs])
    return OutputDifference(
        float(difference), float(np.min([cosine(a.ravel(), b.ravel()) for a, b in pairs]))
    )


def require_same_weights(expected: Arrays, difference: OutputDifference) -> None:
    """Check that a float32 runtime answers as the reference does.

    Raises:
        WorkerError: It does not.
    """
    scale = max(1.0, *(float(np.abs(values).max()) for values in expected.values()))
    if not difference.difference <= TOLERANCE * scale:
        raise WorkerError(
            f"its answers are not those of the same weights: largest difference "
            f"{difference.difference:.2g}"
        )


def _shapes(outputs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {values.shape}" for name, values in outputs.items()) or "none"
