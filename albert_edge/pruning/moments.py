"""Second moments of what neurons and attention heads yield, over all applications of a layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from albert_edge.architecture.config import AlbertConfig
from albert_edge.compress.statistics import gather
from albert_edge.graph.plan import CPU_OPTIMIZATIONS, Plan
from albert_edge.progress import Progress
from albert_edge.pruning.covariance import Covariance, Floats
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.memory import return_freed_memory

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of the features that enter a matrix.

    Attributes:
        mean: Their means, (features,).
        covariance: Their covariance, (features, features).
    """

    mean: Floats
    covariance: Covariance


def measure_moments(
    config: AlbertConfig,
    head: str,
    floats: Mapping[str, Floats],
    inputs: Sequence[Arrays],
    scratch: Path,
    progress: Progress,
) -> dict[str, Moments]:
    """Run a model on texts, and sum up inside the graph what enters two matrices of each layer.

    Args:
        config: The geometry.
        head: A key of `HEADS`.
        floats: The weights by name, as the portable file has them.
        inputs: The texts.
        scratch: A folder for the covariances, and for files that are not kept.
        progress: Called with (what, done, total).

    Returns:
        The moments of the input of each attention.dense.weight and ffn_output.weight.
    """
    from albert_edge.graph.build import author
    from albert_edge.graph.writer import write_model

    plan = Plan("cpu", "unrolled", CPU_OPTIMIZATIONS, moments=True)
    files = write_model(author(config, head, plan), floats.__getitem__, scratch / "moments.onnx")

    def outputs() -> Iterator[Arrays]:
        run = run_file(files[0])
        for count, arrays in enumerate(inputs, 1):
            yield run(arrays)
            progress("measuring neurons and heads", count, len(inputs))
        del run
        return_freed_memory()  # before the sums take more

    moments = {
        name: Moments(seen.mean, Covariance.write(scratch / f"{name}.covariance", seen.covariance))
        for name, seen in gather(outputs()).items()
    }
    for file in files:
        file.unlink()
    return moments
