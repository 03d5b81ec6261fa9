"""One file per task: model outputs in, answers out, as transformers.pipeline returns them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from albert_edge.architecture.heads import HEAD_OF_TASK
from albert_edge.errors import UsageError

if TYPE_CHECKING:
    from albert_edge.runtime.tasks.base import Task

_ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def find_task(name: str) -> str:
    """The task's own name for a name transformers.pipeline takes.

    Raises:
        UsageError: There is no pipeline of that name.
    """
    task = _ALIASES.get(name, name)
    if task not in HEAD_OF_TASK:
        raise _no_pipeline(name)
    return task


def default_task(head: str) -> str:
    """What a bundle exported for `head` answers when no task is named.

    Raises:
        UsageError: No pipeline is made for such a bundle.
    """
    for task, needed in HEAD_OF_TASK.items():
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
        tip=f"Pipelines are: {', '.join(HEAD_OF_TASK)}. Other models run through "
        "albert_edge.runtime.session.Session, arrays in, arrays out.",
    )
