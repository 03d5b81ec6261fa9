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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from albert_edge.benchmark.runtimes import Arrays, Built, Run, Runtime

TEXT = "Where is the station?"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call failed: the type of the error and its first line."""

    reason: str


def main() -> None:
    """Answer calls until there are no more.

    The arguments of the process are the processors it is kept to; none leaves it all it has.
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
            answer = function(*arguments)
        except Exception as error:  # whatever the libraries of a peer raise
            lines = str(error).strip().splitlines() or [""]
            answer = Failure(f"{type(error).__name__}: {lines[0][:300]}".removesuffix(": "))
        pickle.dump(answer, answers)
        answers.flush()


# What a process is asked to do with a runtime. It holds one at most.

_RUN: list[Run] = []
_MEMORY: dict[str, float] = {}


def open_runtime(
    runtime: Runtime, built: Built, threads: int, tokenizer: Path | None, first: Arrays
) -> tuple[float, Arrays]:
    """Do all that a program does up to its first answer.

    Args:
        runtime: What to load.
        built: What it built.
        threads: Threads of a run.
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
    _forget_peak()
    _MEMORY["before"] = _resident("VmRSS")
    start = time.perf_counter()
    _RUN[:] = [runtime.load(built, threads)]
    seconds = time.perf_counter() - start
    _MEMORY["loaded"] = _resident("VmRSS")
    return seconds, answer(first)


def answer(inputs: Arrays) -> Arrays:
    """The outputs for some inputs."""
    return dict(_RUN[0](inputs))


def read_memory(inputs: Arrays) -> tuple[float, float, float]:
    """What the process grew by, in MB: on loading, on answering too, and at the most.

    Args:
        inputs: What to answer before reading.
    """
    answer(inputs)
    before = _MEMORY["before"]
    steady, peak = _resident("VmRSS"), _resident("VmHWM")
    return _MEMORY["loaded"] - before, steady - before, peak - before


def time_runs(inputs: Arrays, count: int) -> list[float]:
    """Seconds of each of some runs."""
    run, seconds = _RUN[0], []
    for _ in range(count):
        start = time.perf_counter()
        run(inputs)
        seconds.append(time.perf_counter() - start)
    return seconds


def _resident(field: str) -> float:
    """A field of /proc/self/status in MB of 10^6 bytes; NaN where there is no such file."""
    try:
        with open("/proc/self/status") as file:
            lines = dict(line.split(":", 1) for line in file)
    except OSError:
        return float("nan")
    return int(lines[field].split()[0]) * 1024 / 1e6


def _forget_peak() -> None:
    """Have the kernel count VmHWM from here on (proc(5), clear_refs)."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return
