"""Runtimes measured side by side: built, started several times, then taking turns."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from albert_edge.benchmark.checkpoint import write_checkpoint
from albert_edge.benchmark.peers.optimum import OPTIMUM
from albert_edge.benchmark.pinning import choose_processors
from albert_edge.benchmark.plan import Plan
from albert_edge.benchmark.process import Worker, WorkerError
from albert_edge.benchmark.report import Latency, RuntimeResult
from albert_edge.benchmark.runtimes import CHECKPOINT, Arrays, Built, Runtime, Work
from albert_edge.benchmark.shapes import FIRST, WARM, Shape, make_inputs
from albert_edge.benchmark.starts import (
    Likeness,
    Setting,
    Start,
    liken,
    require_same_weights,
    start,
    sum_up,
)
from albert_edge.benchmark.statistics import Turns, compare, summarize
from albert_edge.benchmark.turns import take_turns
from albert_edge.errors import BundleError

Progress = Callable[[str, int, int], None]

TOKENIZER = "tokenizer.json"
STARTS = 3  # of each runtime, or as many as there are rounds


class Contest:
    """One benchmark while it runs.

    Attributes:
        processors: What the processes are kept to, by the number of threads.
        starts: How often each runtime is started.
        failed: Peers that failed, and why.
    """

    def __init__(self, plan: Plan, scratch: Path, stack: ExitStack, progress: Progress) -> None:
        self.processors = {count: choose_processors(count) for count in plan.threads}
        self.failed: dict[str, str] = {}
        self._plan = plan
        self._scratch = scratch
        self._stack = stack
        self._progress = progress
        self.starts = min(STARTS, plan.rounds)
        self._done = 0
        self._total = len(plan.runtimes) * (
            1 + self.starts + len(plan.threads) * len(plan.shapes) * plan.rounds
        )
        self._work = Work(scratch, plan.bundle.manifest.task)
        self._workers: dict[str, Worker] = {}

    def measure(self) -> tuple[list[RuntimeResult], str]:
        """All results, and the name of the baseline."""
        built = self._build()
        likeness, starts = self._start(built)
        turns = {}
        for threads in self._plan.threads:
            if threads != self._plan.threads[0]:
                self._start_again(built, threads)
            for shape in self._plan.shapes:
                turns[threads, shape] = self._take_turns(shape, threads)
        left = [one for one in self._plan.runtimes if one.name not in self.failed]
        baseline = _choose_baseline(left)
        return [
            RuntimeResult(
                name=one.name,
                precision=one.precision,
                file_bytes=built[one.name].bytes,
                **asdict(sum_up(starts[one.name])),
                **asdict(likeness[one.name]),
                note=built[one.name].note,
                latencies=[
                    _latency(shape, threads, taken[one.name], taken[baseline])
                    for (threads, shape), taken in turns.items()
                ],
            )
            for one in left
        ], baseline

    def _build(self) -> dict[str, Built]:
        """What each runtime loads; peers get a checkpoint to make it of."""
        setting = self._setting(max(self._plan.threads))
        if self._plan.peers:
            self._write_checkpoint(setting)
        built = {}
        with ExitStack() as stack:
            builders: dict[str, Worker] = {}  # peers of one extra share their imports
            for one in self._left():
                self._tell(f"building {one.name}")
                if not one.extra:
                    built[one.name] = one.build(self._work)
                    continue
                if one.extra not in builders:
                    builders[one.extra] = setting.open_process(f"{one.extra}-build")
                    stack.callback(builders[one.extra].close)
                try:
                    built[one.name] = builders[one.extra].call(one.build, self._work)
                except WorkerError as error:
                    self._fail(one, error)
                    del builders[one.extra]  # which may have ended
        return built

    def _write_checkpoint(self, setting: Setting) -> None:
        folder = self._scratch / CHECKPOINT
        try:
            with setting.open_process(CHECKPOINT) as worker:
                worker.call(write_checkpoint, self._plan.bundle, folder)
        except WorkerError as error:
            for peer in self._plan.peers:
                self._fail(peer, error)

    def _start(self, built: dict[str, Built]) -> tuple[dict[str, Likeness], dict[str, list[Start]]]:
        """Start every runtime several times, and leave it running the last time."""
        setting = self._setting(self._plan.threads[0])
        starts: dict[str, list[Start]] = {name: [] for name in built}
        outputs: dict[str, Arrays] = {}
        order = random.Random(0)
        for turn in range(1, self.starts + 1):
            for one in order.sample(self._left(), len(self._left())):
                self._tell(f"starting {one.name}")
                try:
                    worker, figures, outputs[one.name] = start(one, built[one.name], setting)
                except WorkerError as error:
                    self._fail(one, error)
                    continue
                starts[one.name].append(figures)
                if turn == self.starts:
                    self._keep(one, worker)
                else:
                    worker.close()
        return self._compare(outputs, setting), starts

    def _compare(self, outputs: dict[str, Arrays], setting: Setting) -> dict[str, Likeness]:
        """How near all answers are to those of albert-edge in fp32."""
        reference = self._plan.reference
        if reference.name not in outputs:
            made = reference.build(self._work)
            worker, _, outputs[reference.name] = start(reference, made, setting)
            worker.close()
        expected = outputs[reference.name]
        likeness = {}
        for one in self._left():
            try:
                likeness[one.name] = liken(expected, outputs[one.name])
                if one.precision == "fp32":
                    require_same_weights(expected, likeness[one.name])
            except WorkerError as error:
                self._fail(one, error)
        return likeness

    def _start_again(self, built: dict[str, Built], threads: int) -> None:
        """Replace the processes by ones with other threads."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        setting = self._setting(threads)
        for one in self._left():
            try:
                worker, _, _ = start(one, built[one.name], setting)
            except WorkerError as error:
                self._fail(one, error)
            else:
                self._keep(one, worker)

    def _take_turns(self, shape: Shape, threads: int) -> dict[str, list[list[float]]]:
        name = f"{shape[0]}x{shape[1]}"
        failed: dict[str, str] = {}
        turns = take_turns(
            self._workers,
            self._inputs(shape),
            self._plan.rounds,
            failed=failed,
            tell=lambda runtime: self._tell(f"{name}, threads {threads}: {runtime}"),
        )
        for one in self._left():
            if one.name in failed:
                self._fail(one, WorkerError(f"{name}: {failed[one.name]}"))
        return turns

    def _left(self) -> list[Runtime]:
        return [one for one in self._plan.runtimes if one.name not in self.failed]

    def _keep(self, one: Runtime, worker: Worker) -> None:
        self._workers[one.name] = worker
        self._stack.callback(worker.close)

    def _fail(self, one: Runtime, error: WorkerError) -> None:
        """Go on without a peer; without albert-edge there is nothing to measure."""
        if one in self._plan.own:
            folder = self._plan.bundle.folder
            raise BundleError(
                f"{one.name} of {folder} cannot be measured: {error}.",
                tip=f"Check the bundle with: albert-edge verify {folder}",
            )
        if one.name in self._workers:
            self._workers.pop(one.name).close()
        self.failed[one.name] = f"failed: {error}"

    def _tell(self, what: str) -> None:
        self._progress(what, self._done, self._total)
        self._done += 1

    def _setting(self, threads: int) -> Setting:
        bundle = self._plan.bundle
        has_tokenizer = any(one.file == TOKENIZER for one in bundle.manifest.files)
        return Setting(
            folder=self._scratch,
            threads=threads,
            processors=self.processors[threads],
            tokenizer=bundle.listed(TOKENIZER).resolve() if has_tokenizer else None,
            first=self._inputs(FIRST),
            warm=self._inputs(WARM),
        )

    def _inputs(self, shape: Shape) -> Arrays:
        return make_inputs(shape, self._plan.config, self._work.task)


def _choose_baseline(runtimes: list[Runtime]) -> str:
    """optimum, else the first peer, else albert-edge in fp32, else what there is."""
    names = [one.name for one in runtimes]
    peers = [one.name for one in runtimes if one.extra]
    own_fp32 = [one.name for one in runtimes if one.precision == "fp32"]
    for choice in (OPTIMUM.name, *peers, *own_fp32, *names):
        if choice in names:
            return choice
    raise AssertionError("albert-edge itself is always measured")


def _latency(shape: Shape, threads: int, own: Turns, baseline: Turns) -> Latency:
    times, ratio = summarize(own), compare(own, baseline)
    return Latency(
        batch=shape[0],
        length=shape[1],
        threads=threads,
        p50_ms=1e3 * times.p50,
        p95_ms=1e3 * times.p95,
        best_ms=1e3 * times.best,
        runs=times.runs,
        outliers=times.outliers,
        sequences_per_s=shape[0] / times.mean,
        ratio=ratio.median,
        ratio_low=ratio.low,
        ratio_high=ratio.high,
    )
