"""Runtimes in fresh processes: what a start takes, and whether they answer alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from albert_edge.benchmark.process import Worker, WorkerError
from albert_edge.benchmark.runtimes import Arrays, Built, Runtime
from albert_edge.benchmark.worker import open_runtime, read_memory
from albert_edge.runtime.vectors import cosine

TOLERANCE = 1e-3  # of the largest output: what two float32 runs of one model are within


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for every process.

    Attributes:
        folder: For what they print.
        threads: Threads of a run.
        processors: Those they are kept to; all, if there are none.
        tokenizer: A tokenizer.json that a start loads as well, or None.
        first: What they answer first.
        warm: What they answer before their memory is read again.
    """

    folder: Path
    threads: int
    processors: list[int]
    tokenizer: Path | None
    first: Arrays
    warm: Arrays

    def open_process(self, name: str) -> Worker:
        """A fresh process."""
        return Worker(self.folder / f"{name}.log", self.threads, self.processors)


@dataclass(frozen=True, slots=True)
class Start:
    """A start of a runtime, or the median of several; the fields are those of `RuntimeResult`."""

    load_s: float
    cold_start_s: float
    loaded_mb: float
    steady_mb: float
    peak_mb: float


def start(runtime: Runtime, built: Built, setting: Setting) -> tuple[Worker, Start, Arrays]:
    """Start a runtime.

    Returns:
        The process, what the start took, and the outputs for the setting's first inputs.

    Raises:
        WorkerError: It failed.
    """
    worker = setting.open_process(runtime.name)
    try:
        told = runtime, built, setting.threads, setting.tokenizer, setting.first
        load_s, outputs = worker.call(open_runtime, *told)
        cold_start_s = perf_counter() - worker.started
        memory = worker.call(read_memory, setting.warm)
    except BaseException:
        worker.close()
        raise
    return worker, Start(load_s, cold_start_s, *memory), outputs


def sum_up(starts: list[Start]) -> Start:
    """The median of every figure."""
    names = Start.__dataclass_fields__
    return Start(*(median(getattr(one, name) for one in starts) for name in names))


@dataclass(frozen=True, slots=True)
class Likeness:
    """How near outputs are to the reference: largest absolute difference, and least cosine."""

    difference: float
    cosine: float


def liken(expected: Arrays, found: Arrays) -> Likeness:
    """Compare the outputs of two runs by name.

    Args:
        expected: The reference. It may have outputs that the other has not.
        found: What is compared with it.

    Raises:
        WorkerError: There is no output of the same name and shape to compare.
    """
    pairs = [(expected[name], found[name]) for name in expected if name in found]
    if not pairs or any(a.shape != b.shape for a, b in pairs):
        raise WorkerError(f"its outputs are {_shapes(found)}, not {_shapes(expected)}")
    # Unlike max() and min(), these let a NaN through.
    difference = np.max([np.abs(a - b).max() for a, b in pairs])
    least = float(np.min([cosine(a.ravel(), b.ravel()) for a, b in pairs]))
    return Likeness(float(difference), least)


def require_same_weights(expected: Arrays, likeness: Likeness) -> None:
    """See that a float32 runtime answers as the reference does.

    Raises:
        WorkerError: It does not.
    """
    scale = max(1.0, *(float(np.abs(values).max()) for values in expected.values()))
    if not likeness.difference <= TOLERANCE * scale:
        raise WorkerError(
            f"its answers are not those of the same weights: largest difference "
            f"{likeness.difference:.2g}"
        )


def _shapes(outputs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {values.shape}" for name, values in outputs.items()) or "none"
