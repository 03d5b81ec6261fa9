"""One file per task: model outputs in, answers out, as transformers.pipeline returns them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from albert_edge.errors import UsageError

if TYPE_CHECKING:
    from albert_edge.runtime.tasks.base import Task

# The head that each task reads. Of several of one head the first is what a bundle answers if no
# task is named.
HEADS_OF_TASKS = {
    "feature-extraction": "feature-extraction",
    "fill-mask": "fill-mask",
    "multiple-choice": "multiple-choice",
    "question-answering": "question-answering",
    "sentence-embeddings": "feature-extraction",
    "sentence-order": "pretraining",
    "text-classification": "text-classification",
    "text-ranking": "text-classification",
    "token-classification": "token-classification",
    "zero-shot-classification": "text-classification",
}
_ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def find_task(name: str) -> str:
    """The task's own name for a name transformers.pipeline takes.

    Raises:
        UsageError: There is no pipeline of that name.
    """
    task = _ALIASES.get(name, name)
    if task not in HEADS_OF_TASKS:
        raise _no_pipeline(name)
    return task


def default_task(head: str) -> str:
    """What a bundle exported for `head` answers when no task is named.

    Raises:
        UsageError: No pipeline is made for such a bundle.
    """
    for task, needed in HEADS_OF_TASKS.items():
        if needed == head:
            return task
    raise _no_pipeline(head)


def load_task(name: str) -> type[Task]:
    """The class of a task, by its own name. Its module is loaded when it is first asked for."""
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    kind: type[Task] = getattr(module, name.title().replace("-", ""))
    return kind


def _no_pipeline(name: str) -> UsageError:
    return UsageError(
        f"There is no pipeline for {name!r}.",
        tip=f"Pipelines are: {', '.join(HEADS_OF_TASKS)}. Other models run through "
        "albert_edge.runtime.session.Session, arrays in, arrays out.",
    )
