"""The base class of pipelines: texts in, answers out, as transformers.pipeline gives them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from operator import length_hint
from types import GeneratorType
from typing import Any, ClassVar

from albert_edge.architecture.heads import LAYERS
from albert_edge.errors import InputError, UsageError
from albert_edge.progress import progress_bar
from albert_edge.runtime.closable import Closable
from albert_edge.runtime.exits import join_choices, split_choices
from albert_edge.runtime.inputs import Arrays
from albert_edge.runtime.item_error import ON_ERROR, ItemError
from albert_edge.runtime.parameters import (
    CALL_OPTIONS,
    RETURN_LAYERS,
    LayersUsed,
    read_choice,
    require_known,
)
from albert_edge.runtime.providers import PROVIDERS
from albert_edge.runtime.schedule import Job, in_batches, in_workers
from albert_edge.runtime.session import Session
from albert_edge.runtime.signature import CALLS, translate
from albert_edge.runtime.task import Task, WindowOutputs
from albert_edge.runtime.text import TextEncoder, load_text_encoder

# An item and its place among those of a call.
Numbered = tuple[int, Any]

# Items answered with the first session; only longer streams load a second one for workers.
_FIRST = 16
# Enough short texts to fill a GPU, and few enough long ones for its memory.
_BATCH_SIZE = 32


class Pipeline(Closable):
    """Answers texts with the model of a bundle. Made by `albert_edge.pipeline`.

    Call it with one text, a list of texts or a generator of texts. The result has the form that
    transformers.pipeline gives for the same call: one answer, a list, or an iterator. It may be
    called from many threads, with the same answers.

    On a CPU each text runs by itself and without padding, which is as fast as batching: a single
    text with all threads, the texts of a list or a generator in parallel in workers. On a GPU texts
    run in batches of similar length.

    Each task has its own class, whose calls take the parameters of that task.

    Args:
        session: The model.
        workers: How many texts of a list are answered at once on a CPU; they share the threads of
            the session. By default one for each thread. More than one needs a second session,
            which is loaded after the first 16 texts of a list or generator.
        encoder: The tokenizer; by default that of the bundle.
        **defaults: Defaults for the parameters of every call.

    Attributes:
        task: The name of the task.
        kind: The class of the task.
        session: The model.
        device: The name of the device it runs on.
        encoder: The tokenizer.
    """

    task: ClassVar[str]
    kind: ClassVar[type[Task]]

    def __init__(
        self,
        session: Session,
        *,
        workers: int | None = None,
        encoder: TextEncoder | None = None,
        **defaults: Any,
    ) -> None:
        self.session = session
        self.device = session.device.name
        if workers is not None and workers < 1:
            raise UsageError(f"workers is {workers}.", tip="Give 1 or more, or leave it out.")
        self._workers = workers or (session.threads if session.device.is_cpu else 1)
        self._task = self.kind(session.bundle)
        self._defaults = self._translate(defaults)
        self._read({})
        self.encoder = self._task.prepare(encoder or load_text_encoder(session.bundle))

    def __repr__(self) -> str:
        return f"<{self.task} pipeline of {self.session.summary}>"

    def __call__(self, *inputs: Any, **parameters: Any) -> Any:
        """Answer one item, a list of items, or a generator of items.

        Args:
            *inputs: What the task takes, such as a text. Left out where keyword arguments give it,
                as question and context do.
            **parameters: Those of the task, and `CallOptions`: batch_size, num_workers, on_error,
                progress. Names that only transformers has are accepted, see
                `albert_edge.runtime.signature`.

        Returns:
            One answer, a list of answers, or an iterator over them. With on_error="record", an
            `ItemError` in the place of each answer that an item cannot have.

        Raises:
            InputError: A text is over the model's limit or not valid Unicode. In a list, the
                message says which.
            TypeError: An item is not of the type the task takes.
            UnknownArgumentError: A parameter is unknown; it is a TypeError too.
            UsageError: A parameter is invalid.
        """
        given = self._translate(self._task.bind(inputs, parameters))
        item = _opened(given.pop("inputs", None))
        checked, options = self._read(given)
        item = self._task.arrange(item, checked)
        if isinstance(item, GeneratorType | list):
            answers = _numbered(self._stream(item, checked, options))
            return list(answers) if isinstance(item, list) else answers
        answer = self._answer((0, item), checked, options, self.session)
        return self._task.single(item, answer, given)

    async def acall(self, *inputs: Any, **parameters: Any) -> Any:
        """Answer as a call does, in a thread, without blocking the event loop.

        Args:
            *inputs: As in a call; the answers of a generator come as a list.
            **parameters: As in a call.
        """
        import asyncio  # a program that awaits has imported it already

        def answer() -> Any:
            answers = self(*inputs, **parameters)
            return list(answers) if isinstance(answers, GeneratorType) else answers

        return await asyncio.to_thread(answer)

    def answer(self, item: Any, **parameters: Any) -> Any:
        """Answer one item, without the list that a call puts around some answers.

        Args:
            item: What the task takes, such as a text.
            **parameters: As in a call.
        """
        return self._answer((0, item), *self._read(self._translate(parameters)), self.session)

    def stream(self, items: Iterable[Any], **parameters: Any) -> Iterator[Any]:
        """Answer any number of items in bounded memory, each as `answer` does.

        Args:
            items: The items. Only as many are read ahead as keep the device busy.
            **parameters: As in a call.

        Returns:
            The answers, in order. An error about an item is raised after the answers of the items
            before it.
        """
        return self._stream(items, *self._read(self._translate(parameters)))

    @classmethod
    def require_known(cls, given: Iterable[str], also: Collection[str] = ()) -> None:
        """Raise UnknownArgumentError if a parameter of a call is unknown.

        Args:
            given: The names of the parameters.
            also: Names that are known, though no parameters of a call.
        """
        accepted = {*CALLS.get(cls.task, ()), *CALL_OPTIONS, *also}
        require_known(cls.task, given, cls.kind.parameter_names(), accepted)

    def _translate(self, given: dict[str, Any]) -> dict[str, Any]:
        """Check the names of parameters, and replace those that only transformers has."""
        self.require_known(given, also=("inputs",))
        return translate(self.task, CALLS.get(self.task, {}), given)

    def _read(self, given: dict[str, Any]) -> tuple[Any, LayersUsed]:
        """Check the parameters of a call; the defaults of this pipeline fill in missing ones."""
        merged = self._task.merge(self._defaults, given)
        if "inputs" in merged:
            raise UsageError("The items are given by name.", tip="Pass them in a call.")
        names = {*CALL_OPTIONS, RETURN_LAYERS} & merged.keys()
        options: Any = {name: merged.pop(name) for name in names}
        read_choice(options, "on_error", "raise", ON_ERROR)
        return self._task.parameters(merged), options

    def _stream(self, items: Iterable[Any], parameters: Any, options: LayersUsed) -> Iterator[Any]:
        device = self.session.device
        default = _BATCH_SIZE if device.provider is PROVIDERS["cuda"] else 1
        size = options.get("batch_size") or default
        if not device.is_cpu and size > 1:
            jobs = (self._job(item, parameters, options) for item in enumerate(items))
            longest, in_memory = self.encoder.max_length, isinstance(items, list)
            answers = in_batches(jobs, self.session, size, longest, in_memory=in_memory)
        else:
            answers = self._in_workers(enumerate(items), parameters, options)
        progress = options.get("progress", False)
        if not progress:
            return answers
        return _with_progress(answers, progress, length_hint(items) or None)

    def _in_workers(
        self, items: Iterator[Numbered], parameters: Any, options: LayersUsed
    ) -> Iterator[Any]:
        def with_all_threads(item: Numbered) -> Any:
            return self._answer(item, parameters, options, self.session)

        def in_parallel(item: Numbered) -> Any:
            return self._answer(item, parameters, options, self._session_of_workers())

        stop = self.session.stop
        if self._workers == 1:
            yield from in_workers(items, with_all_threads, 1, stop)
            return
        yield from in_workers(itertools.islice(items, _FIRST), with_all_threads, 1, stop)
        yield from in_workers(items, in_parallel, self._workers, stop)

    def _session_of_workers(self) -> Session:
        threads = max(1, self.session.threads // self._workers)
        return self.session if threads == self.session.threads else self.session.sibling(threads)

    def _answer(
        self, item: Numbered, parameters: Any, options: LayersUsed, session: Session
    ) -> Any:
        job = self._job(item, parameters, options)
        return job.finish([session.run(inputs) for inputs in job.runs])

    def _job(self, numbered: Numbered, parameters: Any, options: LayersUsed) -> Job:
        index, item = numbered
        try:
            windows = self._task.encode(self.encoder, item, parameters)
        except (InputError, TypeError) as error:
            if options.get("on_error") != "record":
                raise
            failed = ItemError.of(index, error)
            return Job((), lambda outputs: failed)

        is_joined = self._task.chooses and self.session.variant.exits > 0
        runs = (join_choices(windows.inputs),) if is_joined else windows.inputs

        def finish(outputs: Sequence[Arrays]) -> Any:
            each = split_choices(*outputs) if is_joined else outputs
            answer = self._task.answer(WindowOutputs(tuple(each), windows.context), parameters)
            if not options.get(RETURN_LAYERS):
                return answer
            return self._task.with_layers(answer, [*map(self._layers, each)], parameters)

        return Job(runs, finish)

    def _layers(self, outputs: Arrays) -> int:
        return int(outputs[LAYERS][0]) if LAYERS in outputs else self._depth

    @cached_property
    def _depth(self) -> int:
        return self.session.bundle.read_config().num_hidden_layers

    def close(self) -> None:
        """Cancel the runs in progress and free the memory of the model."""
        self.session.close()


def _opened(inputs: Any) -> Any:
    """Turn a dataset of torch, such as a KeyDataset, into a generator of its items."""
    torch_data = sys.modules.get("torch.utils.data")  # whoever has a dataset has imported it
    if torch_data is None or not isinstance(inputs, torch_data.Dataset):
        return inputs
    if isinstance(inputs, torch_data.IterableDataset):
        return (item for item in inputs)
    return (inputs[index] for index in range(len(inputs)))


def _with_progress(answers: Iterator[Any], progress: Any, total: int | None) -> Iterator[Any]:
    """Yield the answers and report how many there are so far."""
    with progress_bar(progress) as report:
        for done, answer in enumerate(answers, 1):
            report("answering", done, total)
            yield answer


def _numbered(answers: Iterator[Any]) -> Iterator[Any]:
    """Yield the answers; an error says which item it is about."""
    for index in itertools.count():
        try:
            answer = next(answers)
        except StopIteration:
            return
        except InputError as error:
            raise error.at(f"Item {index}: ") from error
        except TypeError as error:
            raise TypeError(f"item {index}: {error}") from error
        yield answer
