"""Whole processes taking turns: wall time, processor time and peak memory, seen from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

from albert_edge.benchmark.process import ROOT, Worker
from albert_edge.disk.writing import scratch_folder
from albert_edge.runtime.cpus import usable_cpus

# Linux counts the peak in KiB, macOS in bytes (getrusage(2)).
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments.

    Attributes:
        argv: What is run.
        prepare: Called before every run, untimed.
        env: Variables of the environment, added to those of this process.
        output: A file for what it prints; by default it is discarded.
    """

    argv: list[Any]
    prepare: Callable[[], object] = lambda: None
    env: dict[str, str] = field(default_factory=dict)
    output: os.PathLike[str] | str = os.devnull


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Several runs of a command: medians, the fastest, and the highest peak of memory in MB."""

    median_s: float
    best_s: float
    cpu_s: float
    peak_mb: float


def python(code: str, *arguments: object) -> list[str]:
    """The command line that has this interpreter run some code."""
    return [sys.executable, "-c", code, *map(str, arguments)]


def run_command(argv: list[str], env: dict[str, str], output: str) -> tuple[float, float, float]:
    """Run a command once and return its wall time, its processor time and its peak memory in MB.

    Args:
        argv: The program with its arguments.
        env: Variables of the environment, added to those of this process.
        output: A file for what it prints.

    Raises:
        CalledProcessError: Its exit code is not 0.
    """
    with open(output, "wb") as file:
        start = perf_counter()
        with subprocess.Popen(argv, stdout=file, env={**os.environ, **env}) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall = perf_counter() - start
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss * _PEAK_UNIT / 1e6


def time_commands(
    commands: Mapping[str, Command], rounds: int, *, warm_up: int = 0, tell: Callable[[str], None]
) -> dict[str, CommandResult]:
    """Run each command once a round, so that a busy machine slows all alike.

    They are started by a small process, because Linux counts what the parent of a process took as
    its peak too.

    Args:
        commands: By name.
        rounds: Runs of each that are counted.
        warm_up: Rounds before those.
        tell: Called with the name of the command before each run.

    Raises:
        WorkerError: The exit code of a command is not 0.
    """
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    with (
        scratch_folder() as folder,
        Worker(folder / "log", usable_cpus(), []) as worker,
    ):
        for _ in range(warm_up + rounds):
            for name, command in commands.items():
                tell(name)
                command.prepare()
                argv = [os.fspath(part) for part in command.argv]
                env = {"PYTHONPATH": str(ROOT), **command.env}
                runs[name].append(worker.call(run_command, argv, env, os.fspath(command.output)))
    results = {}
    for name, figures in runs.items():
        walls, cpus, peaks = zip(*figures[warm_up:], strict=True)
        results[name] = CommandResult(median(walls), min(walls), median(cpus), max(peaks))
    return results
