"""Schedule the runs of many items: in order, in bounded memory, on all processors.

Items come from an iterator, and answers leave in the same order. Only as many items are read ahead
as keep the device busy. A source that is slower than the model is not read ahead at all: each of
its items is answered before the next one is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Generic, TypeVar

import numpy as np

from albert_edge.runtime.inputs import Arrays
from albert_edge.runtime.session import Session

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# CUDA's fused attention needs lengths that are multiples of this.
_MULTIPLE = 8
# Seconds per item above which a source is not read ahead.
_SLOW = 0.005
# Items read ahead for each worker, and batches whose runs are sorted by length together.
_ITEMS_AHEAD = 2
_BATCHES_AHEAD = 16


@dataclass(frozen=True, slots=True)
class Job:
    """An item ready to run.

    Attributes:
        runs: The inputs of each run of the model; none if the answer is known without one.
        finish: Makes the answer from their outputs.
    """

    runs: tuple[Arrays, ...]
    finish: Callable[[Sequence[Arrays]], Any]


class _Source(Generic[Item]):
    """Yield items and whether to answer each at once; keep an error of the source for later."""

    def __init__(self, items: Iterator[Item], *, in_memory: bool = False) -> None:
        self._items = items
        self._in_memory = in_memory
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[tuple[Item, bool]]:
        at_once = not self._in_memory  # the caller waits for the first answer
        while True:
            started = perf_counter()
            try:
                item = next(self._items)
            except StopIteration:
                return
            except Exception as error:
                self.error = error
                return
            is_slow = not self._in_memory and perf_counter() - started > _SLOW
            yield item, at_once or is_slow
            at_once = False


def in_workers(
    items: Iterator[Item], work: Callable[[Item], Answer], workers: int, stop: Callable[[], None]
) -> Iterator[Answer]:
    """Answer items in threads, each item in one of them.

    Args:
        items: The items.
        work: Answers one item; called from several threads.
        workers: How many items are answered at once.
        stop: Cancels the calls of `work` in progress; called when the program is interrupted.

    Yields:
        The answers, in order; an error of `work` or `items` is raised in its place.
    """
    source = _Source(items)
    pending: deque[Future[Answer]] = deque()
    pool = ThreadPoolExecutor(workers, "albert-edge")
    try:
        for item, at_once in source:
            pending.append(pool.submit(work, item))
            most = 0 if at_once else _ITEMS_AHEAD * workers
            while pending and (len(pending) > most or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except (KeyboardInterrupt, SystemExit):
        stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    if source.error:
        raise source.error


def in_batches(
    jobs: Iterator[Job],
    session: Session,
    batch_size: int,
    longest: int,
    *,
    in_memory: bool = False,
) -> Iterator[Any]:
    """Answer items in batches of runs of similar length, padded to the longest of the batch.

    Args:
        jobs: The items, ready to run.
        session: The model.
        batch_size: The most runs in a batch.
        longest: The most tokens the model takes.
        in_memory: Whether the items are there already. Batches then depend on the items only, and
            not on how fast they are read.

    Yields:
        The answers, in order; an error of `jobs` is raised in its place.
    """
    source = _Source(jobs, in_memory=in_memory)
    portion: list[Job] = []
    for job, at_once in source:
        portion.append(job)
        if at_once or sum(max(1, len(job.runs)) for job in portion) >= _BATCHES_AHEAD * batch_size:
            yield from _portion(portion, session, batch_size, longest)
            portion = []
    yield from _portion(portion, session, batch_size, longest)
    if source.error:
        raise source.error


def _portion(jobs: list[Job], session: Session, batch_size: int, longest: int) -> Iterator[Any]:
    runs = [run for job in jobs for run in job.runs]
    longest_first = sorted(range(len(runs)), key=lambda index: -_length(runs[index]))
    outputs: list[Arrays] = [{}] * len(runs)
    for start in range(0, len(runs), batch_size):
        batch = longest_first[start : start + batch_size]
        results = run_batch(session, [runs[index] for index in batch], longest)
        for index, result in zip(batch, results, strict=True):
            outputs[index] = result
    remaining = iter(outputs)
    for job in jobs:
        yield job.finish([next(remaining) for _ in job.runs])


def run_batch(session: Session, runs: Sequence[Arrays], longest: int) -> list[Arrays]:
    """Run inputs of different lengths as one batch, padded to one length.

    Args:
        session: The model.
        runs: Inputs of batch size 1, attention_mask among them.
        longest: The most tokens the model takes.

    Returns:
        The outputs of each run, without the padding.
    """
    needed = max(map(_length, runs))
    length = min(needed + -needed % _MULTIPLE, longest)
    batch = {name: np.concatenate([_padded(run[name], length) for run in runs]) for name in runs[0]}
    outputs = session.run(batch)
    return [
        {
            name: values[row : row + 1, : _length(run)]
            if name in session.token_outputs
            else values[row : row + 1]
            for name, values in outputs.items()
        }
        for row, run in enumerate(runs)
    ]


def _length(run: Arrays) -> int:
    return int(run["input_ids"].shape[-1])


def _padded(ids: Any, length: int) -> Any:
    # With zeros: attention_mask says that they are padding.
    return np.pad(ids, [(0, 0)] * (ids.ndim - 1) + [(0, length - ids.shape[-1])])
