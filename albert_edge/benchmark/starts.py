"""Runtimes in fresh processes, and what a start takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from albert_edge.benchmark.process import Worker
from albert_edge.benchmark.runtimes import Built, Runtime
from albert_edge.benchmark.worker import open_runtime, read_growth


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for every process.

    Attributes:
        folder: For what they print.
        threads: Threads of a run.
        processors: Those they are kept to; all, if there are none.
        first: What they answer first.
        warm: What they answer before their memory is read again.
        tokenizer: A tokenizer.json that a start loads as well, or None.
        device: Where they run.
    """

    folder: Path
    threads: int
    processors: list[int]
    first: Any
    warm: Any
    tokenizer: Path | None = None
    device: str = "cpu"

    def open_process(self, name: str) -> Worker:
        """Start a fresh process."""
        return Worker(self.folder / f"{name.replace('/', '-')}.log", self.threads, self.processors)


@dataclass(frozen=True, slots=True)
class Start:
    """A start of a runtime, or the median of several; the fields are those of `RuntimeResult`."""

    load_s: float
    cold_start_s: float
    loaded_mb: float
    steady_mb: float
    peak_mb: float


def start(runtime: Runtime, built: Built, setting: Setting) -> tuple[Worker, Start, Any]:
    """Start a runtime.

    Returns:
        The process, what the start took, and the outputs for the setting's first inputs.

    Raises:
        WorkerError: It failed.
    """
    worker = setting.open_process(runtime.name)
    try:
        load = runtime, built, setting.threads, setting.device, setting.tokenizer, setting.first
        load_s, outputs = worker.call(open_runtime, *load)
        cold_start_s = perf_counter() - worker.started
        growth = worker.call(read_growth, setting.warm, setting.device)
    except BaseException:
        worker.close()
        raise
    return worker, Start(load_s, cold_start_s, *growth), outputs


def median_start(starts: list[Start]) -> Start:
    """The median of every figure."""
    names = Start.__dataclass_fields__
    return Start(*(median(getattr(start, name) for start in starts) for name in names))
