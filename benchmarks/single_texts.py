"""Texts answered one at a time: runtimes of the same model in turns, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any

import command

from albert_edge.benchmark.process import Worker, WorkerError
from albert_edge.benchmark.runtimes import Arrays, Built, Run, Runtime, Work
from albert_edge.benchmark.starts import Setting, median_start, start
from albert_edge.benchmark.statistics import compare
from albert_edge.benchmark.turns import answer_in_turns

TimedText = tuple[float, Arrays]  # seconds, and the outputs


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a runtime.

    Attributes:
        figures: Of its start, its file, and its speed.
        texts: The time of every text, and the outputs.
    """

    figures: dict[str, Any]
    texts: list[TimedText]


def measure_single_texts(
    runtimes: Sequence[Runtime],
    work: Work,
    setting: Setting,
    chunks: Sequence[Sequence[Arrays]],
    *,
    own: Collection[str],
    baselines: Mapping[str, str],
    starts: int,
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Measure runtimes on texts; ratios are taken within a chunk.

    Args:
        runtimes: What is measured.
        work: What they are built of.
        setting: What is the same for every process; its first inputs are a chunk.
        chunks: The texts; all runtimes answer one chunk before any begins the next.
        own: Names of the runtimes of albert-edge, which may not fail.
        baselines: The runtime that a speed-up is over, by the key of that figure.
        starts: How often each runtime of albert-edge is started; what a start takes is the median.

    Returns:
        What was measured by name, and why others failed.

    Raises:
        WorkerError: A runtime of albert-edge failed.
    """
    workers: dict[str, Worker] = {}
    figures: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    with ExitStack() as stack:
        for runtime in runtimes:
            is_own = runtime.name in own
            command.log(f"starting {runtime.name}")
            try:
                built = runtime.build(work) if is_own else _build(runtime, work, setting)
                worker, took = _start(runtime, built, setting, starts if is_own else 1)
            except WorkerError as error:
                if is_own:
                    raise
                failed[runtime.name] = str(error)
                continue
            workers[runtime.name], figures[runtime.name] = stack.enter_context(worker), took
        answers = answer_in_turns(workers, chunks, tell=lambda name: None)
    texts = {
        name: [text for answer in turns for text in answer.outputs]
        for name, turns in answers.items()
    }
    totals = {
        name: [[sum(seconds for seconds, _ in answer.outputs)] for answer in turns]
        for name, turns in answers.items()
    }
    for name, row in figures.items():
        row["texts_per_second"] = len(texts[name]) / sum(seconds for seconds, _ in texts[name])
        for key, rival in baselines.items():
            row[key] = asdict(compare(totals[name], totals[rival])) if rival in totals else None
    return {name: Measured(figures[name], texts[name]) for name in workers}, failed


def load_timed(
    built: Built, threads: int, device: str, *, load: Callable[[Built, int, str], Run]
) -> Callable[[Sequence[Arrays]], list[TimedText]]:
    """Load a runtime so that it answers a list of texts one by one, and times each."""
    run = load(built, threads, device)

    def answer(texts: Sequence[Arrays]) -> list[TimedText]:
        return [time_text(run, inputs) for inputs in texts]

    return answer


def time_text(run: Run, inputs: Arrays) -> TimedText:
    """Answer one text."""
    began = perf_counter()
    outputs = run(inputs)
    return perf_counter() - began, outputs


def _build(runtime: Runtime, work: Work, setting: Setting) -> Built:
    with setting.open_process("build") as builder:
        return builder.call(runtime.build, work)


def _start(
    runtime: Runtime, built: Built, setting: Setting, times: int
) -> tuple[Worker, dict[str, Any]]:
    """Start a runtime several times; its last process, and what a start took."""
    timed = replace(runtime, load=partial(load_timed, load=runtime.load))
    starts = []
    for remaining in reversed(range(times)):
        worker, took, _ = start(timed, built, setting)
        starts.append(took)
        if remaining:
            worker.close()
    return worker, {**asdict(median_start(starts)), "file_bytes": built.bytes}
