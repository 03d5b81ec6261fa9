"""Runtimes measured side by side: built, started several times, then taking turns."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from albert_edge.architecture.heads import LAYERS
from albert_edge.architecture.precisions import may_stop_early
from albert_edge.benchmark.outputs import OutputDifference, compare_outputs, require_same_weights
from albert_edge.benchmark.pinning import choose_processors
from albert_edge.benchmark.plan import TOKENIZER, Plan
from albert_edge.benchmark.process import Worker, WorkerError
from albert_edge.benchmark.report import Latency, RuntimeResult
from albert_edge.benchmark.runtimes import CHECKPOINT, Arrays, Built, Runtime, Work
from albert_edge.benchmark.shapes import FIRST, Shape, make_inputs
from albert_edge.benchmark.starts import Setting, Start, median_start, start
from albert_edge.benchmark.statistics import Turns, compare, summarize
from albert_edge.benchmark.turns import take_turns
from albert_edge.benchmark.worker import answer
from albert_edge.disk.writing import write_file
from albert_edge.errors import BundleError, Call, Message
from albert_edge.progress import Progress
from albert_edge.runtime.closable import Closable

STARTS = 3  # of each runtime, or as many as there are rounds


class BenchmarkRun(Closable):
    """One benchmark while it runs. Closing it ends its processes.

    Args:
        plan: What to measure.
        scratch: A folder for models; it has the checkpoint, unless the plan writes one.
        progress: Called with the next step, the number of steps done, and their total.

    Attributes:
        plan: What is measured.
        processors: Those that processes are pinned to, by the number of threads.
        starts: How often each runtime is started.
        built: The models built so far, by the name of the runtime.
        failed: Peers that failed, and why.
    """

    def __init__(self, plan: Plan, scratch: Path, progress: Progress) -> None:
        self.plan = plan
        self.processors = {count: choose_processors(count) for count in plan.threads}
        self.starts = min(STARTS, plan.rounds)
        self.built: dict[str, Built] = {}
        self.failed: dict[str, str] = {}
        self._work = Work(scratch, plan.head)
        self._tokenizer = None
        if plan.tokenizer is not None:
            self._tokenizer = scratch / TOKENIZER
            write_file(self._tokenizer, plan.tokenizer)
        self._progress = progress
        self._workers: dict[str, Worker] = {}
        self._done = 0
        self._total = len(plan.runtimes) * (
            1 + self.starts + len(plan.threads) * len(plan.shapes) * plan.rounds
        )

    @property
    def left(self) -> list[Runtime]:
        """The runtimes that have not failed."""
        return [runtime for runtime in self.plan.runtimes if runtime.name not in self.failed]

    @property
    def baseline(self) -> str:
        """The runtime that ratios are to."""
        return self.plan.choose_baseline(self.left)

    def measure(self) -> list[RuntimeResult]:
        """Build, start and time all runtimes."""
        self.build()
        starts, outputs = self._start()
        differences = self._compare(outputs)
        turns = {}
        layers = {shape: self._mean_layers(shape) for shape in self.plan.shapes}
        for threads in self.plan.threads:
            if threads != self.plan.threads[0]:
                self._start_again(threads)
            for shape in self.plan.shapes:
                turns[threads, shape] = self._take_turns(shape, threads)
        return [
            RuntimeResult(
                name=runtime.name,
                precision=runtime.precision,
                file_bytes=self.built[runtime.name].bytes,
                **asdict(median_start(starts[runtime.name])),
                **asdict(differences[runtime.name]),
                note=self.built[runtime.name].note,
                latencies=[
                    replace(
                        _latency(shape, threads, taken[runtime.name], taken[self.baseline]),
                        mean_layers=layers[shape].get(runtime.name),
                    )
                    for (threads, shape), taken in turns.items()
                ],
            )
            for runtime in self.left
        ]

    def build(self) -> None:
        """Build the model of each runtime; peers of one extra share a process, and its imports."""
        setting = self._setting(max(self.plan.threads))
        if self.plan.peers and self.plan.write_checkpoint:
            self._write_checkpoint(setting)
        with ExitStack() as stack:
            builders: dict[str, Worker] = {}
            for runtime in self.left:
                self._tell(f"building {runtime.name}")
                if not runtime.extra:
                    self.built[runtime.name] = runtime.build(self._work)
                    continue
                if runtime.extra not in builders:
                    builder = setting.open_process(f"{runtime.extra}-build")
                    builders[runtime.extra] = stack.enter_context(builder)
                try:
                    builder = builders[runtime.extra]
                    self.built[runtime.name] = builder.call(runtime.build, self._work)
                except WorkerError as error:
                    self._fail(runtime, error)
                    del builders[runtime.extra]  # which may have ended

    def answer(self, inputs: Sequence[Any]) -> dict[str, list[Any]]:
        """Run every runtime that was built on several inputs, in a process of its own."""
        setting = self._setting(self.plan.threads[0])
        answers = {}
        for runtime in self.left:
            self._tell(f"answering with {runtime.name}")
            worker, _, _ = start(runtime, self.built[runtime.name], setting)
            with worker:
                answers[runtime.name] = [worker.call(answer, arrays) for arrays in inputs]
        return answers

    def close(self) -> None:
        """End all processes."""
        while self._workers:
            self._workers.popitem()[1].close()

    def _write_checkpoint(self, setting: Setting) -> None:
        try:
            with setting.open_process(CHECKPOINT) as worker:
                assert self.plan.write_checkpoint
                worker.call(self.plan.write_checkpoint, self.plan.source, self._work.checkpoint)
        except WorkerError as error:
            for peer in self.plan.peers:
                self._fail(peer, error)

    def _start(self) -> tuple[dict[str, list[Start]], dict[str, Arrays]]:
        """Start every runtime several times, and leave it running the last time."""
        setting = self._setting(self.plan.threads[0])
        starts: dict[str, list[Start]] = {name: [] for name in self.built}
        outputs: dict[str, Arrays] = {}
        order = random.Random(0)
        for turn in range(1, self.starts + 1):
            for runtime in order.sample(self.left, len(self.left)):
                self._tell(f"starting {runtime.name}")
                try:
                    worker, figures, outputs[runtime.name] = start(
                        runtime, self.built[runtime.name], setting
                    )
                except WorkerError as error:
                    self._fail(runtime, error)
                    continue
                starts[runtime.name].append(figures)
                if turn == self.starts:
                    self._workers[runtime.name] = worker
                else:
                    worker.close()
        return starts, outputs

    def _compare(self, outputs: dict[str, Arrays]) -> dict[str, OutputDifference]:
        """Compare all answers with those of albert-edge in fp32."""
        reference = self.plan.reference
        if reference.name not in outputs:
            setting = self._setting(self.plan.threads[0])
            worker, _, outputs[reference.name] = start(
                reference, reference.build(self._work), setting
            )
            worker.close()
        expected = outputs[reference.name]
        differences = {}
        for runtime in self.left:
            try:
                difference = compare_outputs(expected, outputs[runtime.name])
                if runtime.precision == "fp32":
                    require_same_weights(expected, difference)
                differences[runtime.name] = difference
            except WorkerError as error:
                self._fail(runtime, error)
        return differences

    def _start_again(self, threads: int) -> None:
        """Replace the processes by ones with other threads."""
        self.close()
        setting = self._setting(threads)
        for runtime in self.left:
            try:
                self._workers[runtime.name], _, _ = start(
                    runtime, self.built[runtime.name], setting
                )
            except WorkerError as error:
                self._fail(runtime, error)

    def _take_turns(self, shape: Shape, threads: int) -> dict[str, list[list[float]]]:
        name = f"{shape[0]}x{shape[1]}"
        failed: dict[str, str] = {}
        turns = take_turns(
            self._workers,
            self._inputs(shape),
            self.plan.rounds,
            failed=failed,
            tell=lambda runtime: self._tell(f"{name}, threads {threads}: {runtime}"),
        )
        for runtime in self.left:
            if runtime.name in failed:
                self._fail(runtime, WorkerError(f"{name}: {failed[runtime.name]}"))
        return turns

    def _mean_layers(self, shape: Shape) -> dict[str, float]:
        """Count the layers that variants with early exits apply to the inputs of a shape."""
        return {
            runtime.name: float(self._workers[runtime.name].call(answer, inputs)[LAYERS].mean())
            for inputs in [self._inputs(shape)]
            for runtime in self.plan.own
            if may_stop_early(runtime.precision)
        }

    def _fail(self, runtime: Runtime, error: WorkerError) -> None:
        """Go on without a peer; without albert-edge there is nothing to measure."""
        if runtime in self.plan.own:
            bundle = self.built[runtime.name].path if runtime.name in self.built else "a bundle"
            raise BundleError(
                f"{runtime.name} of {bundle} cannot be measured: {error}.",
                tip=Message("Check the bundle with: ", Call("verify", bundle)),
            )
        if runtime.name in self._workers:
            self._workers.pop(runtime.name).close()
        self.failed[runtime.name] = f"failed: {error}"

    def _tell(self, what: str) -> None:
        self._progress(what, self._done, self._total)
        self._done += 1

    def _setting(self, threads: int) -> Setting:
        return Setting(
            folder=self._work.folder,
            threads=threads,
            processors=self.processors[threads],
            first=self._inputs(FIRST),
            warm=self._inputs(self.plan.warm),
            tokenizer=self._tokenizer,
            device=self.plan.device,
        )

    def _inputs(self, shape: Shape) -> Arrays:
        return make_inputs(shape, self.plan.config, self.plan.head)


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
