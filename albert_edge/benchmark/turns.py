"""Runtimes taking turns, so that a busy machine slows them alike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from math import ceil
from statistics import median
from typing import Any

from albert_edge.benchmark.process import Worker, WorkerError
from albert_edge.benchmark.runtimes import Arrays
from albert_edge.benchmark.worker import Answer, time_answer, time_runs

REST = 0.05  # seconds before a turn: threads of the runtime before spin on for a moment
TURN = 0.25  # seconds that the runs of a turn take, about
LONGEST = 1.0  # seconds that they take of the slowest runtime
FEWEST, MOST = 2, 32  # runs of a turn that are timed
SHORT = 0.1  # seconds: below, a turn warms up with two runs instead of one


def take_turns(
    workers: dict[str, Worker],
    inputs: Arrays,
    rounds: int,
    *,
    failed: dict[str, str],
    tell: Callable[[str], None],
) -> dict[str, list[list[float]]]:
    """Time runs: in every round each runtime has one turn, in random order.

    A turn warms up first. All runtimes have the same number of runs: as many as the one in the
    middle does in `TURN` seconds, unless the slowest would take longer than `LONGEST` for them.

    Args:
        workers: A process for each runtime, which has answered before. A runtime that fails is
            closed and removed.
        inputs: What to run.
        rounds: How many turns each has.
        failed: Receives the reason by the name of each runtime that fails.
        tell: Called with the name of the runtime before each turn.

    Returns:
        Seconds of each run, by runtime and turn.
    """
    turns: dict[str, list[list[float]]] = {name: [] for name in workers}

    def turn(name: str, runs: int) -> list[float]:
        try:
            return workers[name].call(time_runs, inputs, runs)
        except WorkerError as error:
            workers.pop(name).close()
            del turns[name]
            failed[name] = str(error)
            return []

    first = [min(seconds) for name in list(workers) if (seconds := turn(name, 2))]
    if not first:
        return turns
    enough = min(ceil(TURN / median(first)), ceil(LONGEST / max(first)))
    runs = max(FEWEST, min(MOST, enough))
    warm = 2 if median(first) < SHORT else 1
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(workers), len(workers)):
            tell(name)
            time.sleep(REST)
            if seconds := turn(name, warm + runs):
                turns[name].append(seconds[warm:])
    return turns


def answer_in_turns(
    workers: dict[str, Worker], parts: Sequence[Any], *, tell: Callable[[str], None]
) -> dict[str, list[Answer]]:
    """Time one run on each of several inputs; all runtimes answer one before any takes the next.

    Args:
        workers: A process for each runtime.
        parts: The inputs, such as chunks of texts.
        tell: Called with the name of the runtime before each turn.

    Raises:
        WorkerError: A runtime failed.
    """
    answers: dict[str, list[Answer]] = {name: [] for name in workers}
    order = random.Random(0)
    for part in parts:
        for name in order.sample(list(workers), len(workers)):
            tell(name)
            time.sleep(REST)
            answers[name].append(workers[name].call(time_answer, part))
    return answers
