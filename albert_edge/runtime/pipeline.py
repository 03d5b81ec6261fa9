"""The object users hold: texts in, answers out, as transformers.pipeline gives them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from types import GeneratorType
from typing import Any

from albert_edge.errors import InputError, Message, UsageError
from albert_edge.runtime.closable import Closable
from albert_edge.runtime.providers import PROVIDERS
from albert_edge.runtime.schedule import Job, in_batches, in_workers
from albert_edge.runtime.session import Session
from albert_edge.runtime.tasks import load_task
from albert_edge.runtime.tasks.base import ArrangesInputs, WindowOutputs, Windows
from albert_edge.runtime.text import load_text_encoder

# Items of a stream that are answered before a session for workers is worth its memory.
_FIRST = 16
# Fills a GPU with short texts, and fits into its memory with long ones.
_BATCH_SIZE = 32


class Pipeline(Closable):
    """Answers texts with the model of a bundle. Made by `albert_edge.pipeline`.

    Call it with one text, a list of texts or a generator of texts; what comes back has the shape
    transformers.pipeline gives for the same call: one answer, a list, or an iterator. It may be
    called from many threads, and answers the same there.

    On a CPU each text runs alone at its true length, which is as fast as batching and wastes
    nothing on padding: one text with all threads, the texts of a list or a generator side by side
    in workers. On a GPU they run in batches of nearly one length.

    Args:
        task: What it answers.
        session: The model.
        workers: Texts of a list that are worked on at once on a CPU; they share the threads of
            the session. By default one for each thread. More than one need a second session, which
            is loaded once a list or generator has given its first 16 texts.
        **defaults: Defaults for the parameters of every call.

    Attributes:
        task: What it answers.
        session: The model.
        device: Name of the device it runs on.
    """

    def __init__(
        self, task: str, session: Session, *, workers: int | None = None, **defaults: Any
    ) -> None:
        self.task = task
        self.session = session
        self.device = session.device.name
        if workers is not None and workers < 1:
            raise UsageError(f"workers is {workers}.", tip="Give 1 or more, or leave it out.")
        self._workers = workers or (session.threads if session.device.is_cpu else 1)
        self._task = load_task(task)(session.bundle)
        self._defaults = defaults
        self._task.parameters(**defaults)
        self._encoder = load_text_encoder(session.bundle)

    def __call__(
        self,
        inputs: Any = None,
        *,
        batch_size: int | None = None,
        num_workers: int | None = None,
        **parameters: Any,
    ) -> Any:
        """Answer one item, a list of items, or a generator of items.

        Args:
            inputs: What the task takes, such as a text; see the task's `encode`. Left out where
                keyword arguments give it, as question and context do.
            batch_size: Most texts in a batch, by default 32 on CUDA. Without effect on a CPU, where
                each text runs alone.
            num_workers: Taken as transformers takes it, and without effect.
            **parameters: What the task takes beside it; see the task's `parameters`.

        Returns:
            One answer, a list of answers, or an iterator over them.

        Raises:
            InputError: A text is over the model's limit or not valid Unicode. In a list, the
                message says which.
            TypeError: An item is not of the type the task takes.
        """
        checked = self._checked(parameters)
        if isinstance(self._task, ArrangesInputs):
            inputs = self._task.arrange(inputs, checked)
        if isinstance(inputs, GeneratorType | list):
            answers = _numbered(self._stream(iter(inputs), checked, batch_size))
            return list(answers) if isinstance(inputs, list) else answers
        return self._task.single(inputs, self._answer(inputs, checked, self.session), parameters)

    async def acall(self, inputs: Any = None, **parameters: Any) -> Any:
        """Answer as a call does, in a thread, so that an event loop goes on meanwhile.

        Args:
            inputs: As in a call; the answers of a generator come as a list.
            **parameters: As in a call.
        """
        import asyncio  # which a program that awaits has loaded

        def answer() -> Any:
            answers = self(inputs, **parameters)
            return list(answers) if isinstance(inputs, GeneratorType) else answers

        return await asyncio.to_thread(answer)

    def answer(self, item: Any, **parameters: Any) -> Any:
        """Answer one item, without the list a call puts around some answers.

        Args:
            item: What the task takes, such as a text.
            **parameters: As in a call.
        """
        return self._answer(item, self._checked(parameters), self.session)

    def stream(
        self, items: Iterable[Any], *, batch_size: int | None = None, **parameters: Any
    ) -> Iterator[Any]:
        """Answer any number of items in bounded memory, each as `answer` does.

        Args:
            items: Where they come from. No more is read ahead than keeps the device busy.
            batch_size: As in a call.
            **parameters: As in a call.

        Returns:
            The answers, in order. What is wrong with an item is raised after the answers of those
            before it.
        """
        return self._stream(iter(items), self._checked(parameters), batch_size)

    def _checked(self, parameters: dict[str, Any]) -> Any:
        return self._task.parameters(**{**self._defaults, **parameters})

    def _stream(
        self, items: Iterator[Any], parameters: Any, batch_size: int | None
    ) -> Iterator[Any]:
        device = self.session.device
        size = batch_size or (_BATCH_SIZE if device.provider is PROVIDERS["cuda"] else 1)
        if not device.is_cpu and size > 1:
            jobs = (self._job(item, parameters) for item in items)
            return in_batches(jobs, self.session, size, self._encoder.max_length)
        return self._in_workers(items, parameters)

    def _in_workers(self, items: Iterator[Any], parameters: Any) -> Iterator[Any]:
        def alone(item: Any) -> Any:
            return self._answer(item, parameters, self.session)

        def beside_others(item: Any) -> Any:
            return self._answer(item, parameters, self._session_of_workers())

        stop = self.session.stop
        if self._workers == 1:
            yield from in_workers(items, alone, 1, stop)
            return
        yield from in_workers(itertools.islice(items, _FIRST), alone, 1, stop)
        yield from in_workers(items, beside_others, self._workers, stop)

    def _session_of_workers(self) -> Session:
        threads = max(1, self.session.threads // self._workers)
        return self.session if threads == self.session.threads else self.session.sibling(threads)

    def _answer(self, item: Any, parameters: Any, session: Session) -> Any:
        job = self._job(item, parameters)
        return job.finish([session.run(inputs) for inputs in job.runs])

    def _job(self, item: Any, parameters: Any) -> Job:
        encoded = self._task.encode(self._encoder, item, parameters)
        if not isinstance(encoded, Windows):
            return Job((encoded,), lambda outputs: self._task.answer(outputs[0], parameters))
        context = encoded.context
        return Job(
            encoded.inputs,
            lambda outputs: self._task.answer(WindowOutputs(tuple(outputs), context), parameters),
        )

    def close(self) -> None:
        """Free the memory of the model. Runs that are going on end."""
        self.session.close()


def _numbered(answers: Iterator[Any]) -> Iterator[Any]:
    """The same answers; an error says which item it is about."""
    for index in itertools.count():
        try:
            answer = next(answers)
        except StopIteration:
            return
        except InputError as error:
            raise InputError(Message(f"Item {index}: ", error.message), tip=error.remedy) from error
        except TypeError as error:
            raise TypeError(f"item {index}: {error}") from error
        yield answer
