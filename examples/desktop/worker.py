"""The thread that owns the model: the window asks, never waits, and gets events back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from answers import OPTIONS, Answer, read_answer, read_texts

import albert_edge
from albert_edge.errors import AlbertEdgeError, UsageError

if TYPE_CHECKING:  # numpy and onnxruntime are loaded with the model, when the window is there
    from albert_edge.runtime.pipeline import Pipeline

# Seconds that a file may keep the thread before a typed text gets its turn.
SLICE = 0.03


@dataclass(frozen=True, slots=True)
class Opened:
    """A model is ready."""

    path: str
    task: str
    precision: str
    precisions: list[str]


@dataclass(frozen=True, slots=True)
class Answered:
    """A typed text has its answer."""

    text: str
    answer: Answer
    milliseconds: float


@dataclass(slots=True)
class FileJob:
    """The answers to a file so far; reported again and again until it has ended."""

    path: Path
    texts: Iterator[tuple[str, float]]
    answers: list[tuple[str, Answer]] = field(default_factory=list)
    fraction: float = 0.0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A request failed; everything is as it was before it."""

    message: str
    tip: str = ""


Event = Opened | Answered | FileJob | Failed


class Worker:
    """Answers texts and files with one model at a time.

    A request replaces an older one of its kind that has not begun. So of what is typed while the
    model is busy, only the newest text is answered.

    Args:
        report: Called with every event, on the thread of the worker.
    """

    # A typed text goes before the next slice of a file.
    ORDER = ("model", "text", "file")

    def __init__(self, report: Callable[[Event], object]) -> None:
        self._report = report
        self._pipeline: Pipeline | None = None
        self._requests: dict[str, Callable[[], None]] = {}
        self._wake = threading.Condition()
        self._cancelled = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="model")
        self._thread.start()

    def open(self, path: str, precision: str = "auto") -> None:
        self.cancel()  # the answers of a file come from one model
        self._request("model", partial(self._open, path, precision))

    def ask(self, text: str) -> None:
        self._request("text", partial(self._answer, text))

    def ask_file(self, path: Path) -> None:
        self._cancelled.clear()
        self._request("file", partial(self._begin_file, path))

    def cancel(self) -> None:
        """End the file in progress; its answers so far stay."""
        self._cancelled.set()

    def close(self) -> None:
        """End the thread, after the run in progress."""
        self.cancel()
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _request(self, kind: str, work: Callable[[], None]) -> None:
        with self._wake:
            self._requests[kind] = work
            self._wake.notify()

    def _work(self) -> None:
        while work := self._next():
            try:
                work()
            except AlbertEdgeError as error:
                self._report(Failed(str(error), error.tip))
            except OSError as error:
                self._report(Failed(f"{error.filename}: {error.strerror}."))
            except Exception as error:  # without its thread the window would wait for ever
                self._report(Failed(f"{type(error).__name__}: {error}"))
        if self._pipeline:
            self._pipeline.close()

    def _next(self) -> Callable[[], None] | None:
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._requests)
            if self._closed:
                return None
            return self._requests.pop(min(self._requests, key=self.ORDER.index))

    def _open(self, path: str, precision: str) -> None:
        from albert_edge.runtime.variants import offered_precisions

        pipeline = albert_edge.pipeline(model=path, precision=precision)
        needed = pipeline.kind.fields.needed
        if needed != ("text",):
            pipeline.close()
            raise UsageError(
                f"{pipeline.task} takes {' and '.join(needed)}; this window has one text.",
                tip="Open a model that takes one text.",
            )
        if self._pipeline:
            self._pipeline.close()
        self._pipeline = pipeline
        session = pipeline.session
        precisions = offered_precisions(session.bundle, session.device)
        self._report(Opened(path, pipeline.task, session.variant.mode, precisions))

    def _answer(self, text: str) -> None:
        if self._pipeline:
            started = perf_counter()
            answer = self._run(text)
            self._report(Answered(text, answer, 1000 * (perf_counter() - started)))

    def _run(self, text: str) -> Answer:
        assert self._pipeline
        task = self._pipeline.task
        return read_answer(task, text, self._pipeline.answer(text, **OPTIONS.get(task, {})))

    def _begin_file(self, path: Path) -> None:
        if self._pipeline:
            self._continue_file(FileJob(path, read_texts(path)))

    def _continue_file(self, job: FileJob) -> None:
        until = perf_counter() + SLICE
        try:
            for text, fraction in job.texts:
                job.answers.append((text, self._run(text)))
                job.fraction = fraction
                if perf_counter() > until or self._cancelled.is_set():
                    job.ended = self._cancelled.is_set()
                    break
            else:
                job.ended = True
        except Exception:
            job.ended = True
            raise
        finally:
            self._report(job)
        if not job.ended:
            with self._wake:  # unless another file was asked for meanwhile
                self._requests.setdefault("file", partial(self._continue_file, job))
