"""What was seen of the activations that enter each matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.compress.integer import Floats


@dataclass(frozen=True, slots=True)
class Activations:
    """Statistics of what enters the matrices, over all texts, tokens and applications of a layer.

    Attributes:
        mean: Of every feature, by the name of the matrix's weight.
        largest: The largest magnitude of every feature, likewise.
    """

    mean: Mapping[str, Floats]
    largest: Mapping[str, Floats]

    def scaled(self, factors: Mapping[str, Floats]) -> Activations:
        """The same with features multiplied by `factors`, by the name of the matrix's weight."""
        return Activations(
            {name: mean * factors.get(name, 1) for name, mean in self.mean.items()},
            {name: most * factors.get(name, 1) for name, most in self.largest.items()},
        )


def gather(runs: Iterable[Mapping[str, npt.NDArray[Any]]]) -> Activations:
    """Gather statistics from runs of a graph that was authored with `Plan.observed`.

    Args:
        runs: Outputs by name; those named "WEIGHT:COUNT" are activations, (..., features).
    """
    sums: dict[str, npt.NDArray[np.float64]] = {}
    counts: dict[str, int] = {}
    largest: dict[str, Floats] = {}
    for outputs in runs:
        for output, values in outputs.items():
            name, colon, _ = output.rpartition(":")
            if not colon:
                continue
            rows = values.reshape(-1, values.shape[-1])
            sums[name] = sums.get(name, 0.0) + rows.sum(axis=0, dtype=np.float64)
            counts[name] = counts.get(name, 0) + len(rows)
            most = np.abs(rows).max(axis=0)
            largest[name] = np.maximum(largest.get(name, most), most)
    means = {name: (total / counts[name]).astype(np.float32) for name, total in sums.items()}
    return Activations(means, largest)
