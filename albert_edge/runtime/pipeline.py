"""The object users hold: texts in, answers out, as transformers.pipeline gives them."""

from __future__ import annotations

from collections.abc import Iterator
from types import GeneratorType
from typing import Any

from albert_edge.errors import InputError
from albert_edge.runtime.closable import Closable
from albert_edge.runtime.session import Session
from albert_edge.runtime.tasks import TASKS
from albert_edge.runtime.tasks.base import ArrangesInputs, WindowOutputs, Windows
from albert_edge.runtime.text import load_text_encoder


class Pipeline(Closable):
    """Answers texts with the model of a bundle. Made by `albert_edge.pipeline`.

    Call it with one text, a list of texts or a generator of texts; what comes back has the shape
    transformers.pipeline gives for the same call: one answer, a list, or an iterator. On a CPU
    each text runs alone at its true length, which is as fast as batching and wastes nothing on
    padding.

    Attributes:
        task: What it answers.
        session: The model.
        device: Name of the device it runs on.
    """

    def __init__(self, task: str, session: Session, **defaults: Any) -> None:
        self.task = task
        self.session = session
        self.device = session.device.name
        self._task = TASKS[task](session.bundle)
        self._defaults = defaults
        self._task.parameters(**defaults)
        self._encoder = load_text_encoder(session.bundle)

    def __call__(
        self,
        inputs: Any,
        *,
        batch_size: int | None = None,
        num_workers: int | None = None,
        **parameters: Any,
    ) -> Any:
        """Answer one item, a list of items, or a generator of items.

        Args:
            inputs: What the task takes, such as a text; see the task's `encode`.
            batch_size: Taken as transformers takes it, and without effect: each text runs alone.
            num_workers: Likewise.
            **parameters: What the task takes beside it; see the task's `parameters`.

        Returns:
            One answer, a list of answers, or an iterator over them.

        Raises:
            InputError: A text is over the model's limit or not valid Unicode. In a list, the
                message says which.
            TypeError: An item is not of the type the task takes.
        """
        checked = self._task.parameters(**{**self._defaults, **parameters})
        if isinstance(self._task, ArrangesInputs):
            inputs = self._task.arrange(inputs, checked)
        if isinstance(inputs, GeneratorType):
            return self._stream(inputs, checked)
        if isinstance(inputs, list):
            return list(self._stream(iter(inputs), checked))
        return self._task.single(inputs, self._answer(inputs, checked), parameters)

    def answer(self, item: Any, **parameters: Any) -> Any:
        """Answer one item, without the list a call puts around some answers.

        Args:
            item: What the task takes, such as a text.
            **parameters: As in a call.
        """
        return self._answer(item, self._task.parameters(**{**self._defaults, **parameters}))

    def _answer(self, item: Any, parameters: Any) -> Any:
        encoded = self._task.encode(self._encoder, item, parameters)
        if not isinstance(encoded, Windows):
            return self._task.answer(self.session.run(encoded), parameters)
        outputs = tuple(self.session.run(inputs) for inputs in encoded.inputs)
        return self._task.answer(WindowOutputs(outputs, encoded.context), parameters)

    def _stream(self, items: Iterator[Any], parameters: Any) -> Iterator[Any]:
        for index, item in enumerate(items):
            try:
                yield self._answer(item, parameters)
            except InputError as error:
                raise InputError(f"Item {index}: {error}", tip=error.tip) from error
            except TypeError as error:
                raise TypeError(f"item {index}: {error}") from error

    def close(self) -> None:
        """Free the memory of the model."""
        self.session.close()
