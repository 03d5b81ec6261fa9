"""Texts a second from text to label: several modes of several runtimes, part by part in turns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from albert_edge.benchmark.runtimes import Built, Runtime, Work
from albert_edge.benchmark.starts import Setting, start
from albert_edge.benchmark.statistics import compare
from albert_edge.benchmark.turns import answer_in_turns
from albert_edge.benchmark.worker import Answer

Labels = Callable[[list[str]], list[str]]
Load = Callable[[Built, int, str], Labels]


@dataclass(frozen=True, slots=True)
class Contender:
    """A runtime that builds a model, and its modes: how texts are labelled with it."""

    runtime: Runtime
    ways: Mapping[str, Load]


def measure_throughput(
    contenders: Mapping[str, Contender],
    work: Work,
    setting: Setting,
    parts: Sequence[list[str]],
    *,
    warm_up: int = 0,
    tell: Callable[[str], None],
) -> dict[str, list[Answer]]:
    """Label parts of the texts in turns: each part by all before any begins the next.

    Args:
        contenders: By name.
        work: What the models are built of.
        setting: What is the same for every process; its first inputs are texts.
        parts: The texts.
        warm_up: How many parts are not counted.
        tell: Called with what is done next.

    Returns:
        Times and labels of every part, by contender and mode, such as "optimum, batch_size=8".

    Raises:
        WorkerError: A contender failed.
    """
    with ExitStack() as stack:
        workers = {}
        for name, contender in contenders.items():
            with setting.open_process("build") as builder:
                built = builder.call(contender.runtime.build, work)
            for way, load in contender.ways.items():
                runtime = replace(contender.runtime, name=f"{name}, {way}", load=load)
                tell(f"starting {runtime.name}")
                workers[runtime.name] = stack.enter_context(start(runtime, built, setting)[0])
        answers = answer_in_turns(workers, parts, tell=tell)
    return {name: turns[warm_up:] for name, turns in answers.items()}


def summarize_throughput(
    answers: Mapping[str, Sequence[Answer]], peers: Collection[str], reference: str
) -> dict[str, Any]:
    """Texts a second, and the speed-up over the best peer, part by part.

    Args:
        answers: What `measure_throughput` returns.
        peers: Names among which the best is the baseline; if none was measured, all are.
        reference: The contender whose labels the others are compared with, if it was measured.
    """
    seconds = {name: [answer.seconds for answer in turns] for name, turns in answers.items()}
    labels = {
        name: [label for turn in turns for label in turn.outputs] for name, turns in answers.items()
    }
    rivals = [name for name in answers if name in peers] or [*answers]
    best = min(rivals, key=lambda name: median(seconds[name]))
    exact = next((labels[name] for name in answers if name.startswith(reference)), None)
    rows = {}
    for name, turns in answers.items():
        count = len(labels[name])
        ratio = compare([[own] for own in seconds[name]], [[peer] for peer in seconds[best]])
        rows[name] = {
            "texts_per_second": count / sum(seconds[name]),
            "times_as_fast_as_best_peer": ratio.median,
            "processor_seconds_per_text": sum(turn.cpu_seconds for turn in turns) / count,
            "chunk_seconds": seconds[name],
            "labels_as_torch": exact
            and sum(a == b for a, b in zip(exact, labels[name], strict=True)) / count,
        }
    return {"best_peer": best, "contenders": rows}
