"""The object users hold: texts in, answers out, as transformers.pipeline gives them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import GeneratorType
from typing import Any

from albert_edge.bundle import Bundle, open_bundle
from albert_edge.errors import InputError, UsageError
from albert_edge.runtime.closable import Closable
from albert_edge.runtime.session import Session
from albert_edge.runtime.tasks import TASKS, find_task
from albert_edge.runtime.tasks.base import ArrangesInputs, WindowOutputs, Windows
from albert_edge.runtime.text import load_text_encoder


class Pipeline(Closable):
    """Answers texts with the model of a bundle. Made by `pipeline`.

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
        self._task = TASKS[task](session.bundle.manifest)
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


def pipeline(
    task: str | None = None,
    model: Bundle | str | os.PathLike[str] | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    **parameters: Any,
) -> Pipeline:
    """Load a bundle for answering texts.

    Args:
        task: What to answer, as transformers.pipeline calls it; by default what the bundle was
            exported for.
        model: A bundle, or the folder of one.
        device: "auto" or "cpu".
        precision: "auto", "fp32" or another that the bundle was quantized to; see `Session`.
        threads: Threads inside one run; by default the processors this process may use.
        **parameters: Defaults for the parameters of every call, such as top_k.

    Returns:
        The pipeline.

    Raises:
        UsageError: No model, an unknown task, or one the bundle was not exported for.
        BundleError: The bundle is missing, damaged or has no tokenizer.
        DeviceError: The device is not available.
    """
    if model is None:
        raise UsageError("pipeline needs a model.", tip="Pass model='FOLDER', a bundle.")
    bundle = model if isinstance(model, Bundle) else open_bundle(model)
    wanted = find_task(task or bundle.manifest.task)
    if wanted != bundle.manifest.task:
        raise UsageError(
            f"{bundle.folder} was exported for {bundle.manifest.task}, not {wanted}.",
            tip=f"Export the checkpoint with --task {wanted}.",
        )
    session = Session(bundle, device=device, precision=precision, threads=threads)
    return Pipeline(wanted, session, **parameters)
