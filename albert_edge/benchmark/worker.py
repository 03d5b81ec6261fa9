"""What runs in the processes that models are built and measured in.

A process reads calls from stdin and writes answers to stdout, both pickled; whatever the
libraries print goes to stderr. It ends when stdin does, so that it never outlives its parent for
longer than the call it is in.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert_edge.benchmark.memory import forget_peak, read_memory
from albert_edge.benchmark.runtimes import Built, Runtime

TEXT = "Where is the station?"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call failed: the type of the error and its first line."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One timed run: wall time, time of the processors including spinning, and the outputs."""

    seconds: float
    cpu_seconds: float
    outputs: Any


def main() -> None:
    """Answer calls until stdin ends.

    The arguments of the process are the processors it is kept to; without any it may use all.
    """
    if processors := [int(text) for text in sys.argv[1:]]:
        os.sched_setaffinity(0, processors)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while True:
        try:
            function, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            result = function(*arguments)
        except Exception as error:  # whatever the libraries of a peer raise
            lines = str(error).strip().splitlines() or [""]
            result = Failure(f"{type(error).__name__}: {lines[0][:300]}".removesuffix(": "))
        pickle.dump(result, answers)
        answers.flush()


# The runtime of this process, at most one, and the memory before and after it was loaded.

_RUN: list[Callable[[Any], Any]] = []
_MEMORY: dict[str, float] = {}


def open_runtime(
    runtime: Runtime, built: Built, threads: int, device: str, tokenizer: Path | None, first: Any
) -> tuple[float, Any]:
    """Do all that a program does up to its first answer.

    Args:
        runtime: What to load.
        built: What it built.
        threads: Threads of a run.
        device: Where it runs.
        tokenizer: A tokenizer.json to load and use, or None.
        first: What to answer.

    Returns:
        Seconds that loading the model took, and the answer.
    """
    runtime.prepare()
    if tokenizer is not None:
        from tokenizers import Tokenizer

        Tokenizer.from_file(str(tokenizer)).encode(TEXT)
    gc.collect()
    forget_peak()
    _MEMORY["before"], _ = read_memory(device)
    start = time.perf_counter()
    _RUN[:] = [runtime.load(built, threads, device)]
    seconds = time.perf_counter() - start
    _MEMORY["loaded"], _ = read_memory(device)
    return seconds, answer(first)


def answer(inputs: Any) -> Any:
    """Run the model of this process once."""
    return _RUN[0](inputs)


def read_growth(inputs: Any, device: str) -> tuple[float, float, float]:
    """Read what the process grew by, in MB: on loading, on answering too, and at the most.

    Args:
        inputs: What to answer before reading.
        device: Whose memory is read.
    """
    answer(inputs)
    before, loaded = _MEMORY["before"], _MEMORY["loaded"]
    now, peak = read_memory(device)
    if peak != peak:  # the system keeps no peak
        peak = max(loaded, now)
    return loaded - before, now - before, peak - before


def time_runs(inputs: Any, count: int) -> list[float]:
    """Run several times; the seconds of each run."""
    run, seconds = _RUN[0], []
    for _ in range(count):
        start = time.perf_counter()
        run(inputs)
        seconds.append(time.perf_counter() - start)
    return seconds


def time_answer(inputs: Any) -> Answer:
    """Run once, and keep the outputs."""
    start, before = time.perf_counter(), time.process_time()
    outputs = answer(inputs)
    return Answer(time.perf_counter() - start, time.process_time() - before, outputs)
