"""The scorers by task."""

from __future__ import annotations

from albert_edge.architecture.heads import HEAD_OF_TASK, HEADS
from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.evaluation.answers import Answers
from albert_edge.evaluation.choices import Choices
from albert_edge.evaluation.label_sets import LabelSets
from albert_edge.evaluation.labels import Labels
from albert_edge.evaluation.numbers import Numbers, Similarities
from albert_edge.evaluation.scorer import Scorer
from albert_edge.evaluation.words import Words
from albert_edge.runtime.tasks import find_task

# Of several tasks of one head the first is evaluated if no task is named.
SCORERS: dict[str, type[Scorer]] = {
    scorer.task: scorer for scorer in (Labels, Words, Answers, Choices, Similarities)
}


def find_scorer(bundle: Bundle, task: str | None) -> Scorer:
    """Choose the scorer for a bundle.

    Args:
        bundle: The bundle.
        task: The task; by default that of the bundle.

    Raises:
        UsageError: The task cannot be evaluated, or the bundle was not exported for it.
    """
    head = bundle.manifest.head
    if task is None and bundle.manifest.task in SCORERS:
        task = bundle.manifest.task
    if task is None:
        name = next((name for name in SCORERS if HEAD_OF_TASK[name] == head), head)
    else:
        name = find_task(task)
    if name not in SCORERS:
        raise UsageError(
            f"The task {name} cannot be evaluated.",
            tip=f"Tasks that can be evaluated: {', '.join(SCORERS)}.",
        )
    if HEAD_OF_TASK[name] != head:
        raise UsageError(
            f"{bundle.path} was exported for {head}, not {name}.",
            tip=Message("Export the checkpoint with ", Argument("task", HEAD_OF_TASK[name]), "."),
        )
    kind = _text_classification(bundle) if name == "text-classification" else SCORERS[name]
    return kind(bundle)


def _text_classification(bundle: Bundle) -> type[Scorer]:
    """Choose by how the outputs decide on labels."""
    config = bundle.read_config()
    decision = HEADS[bundle.manifest.head].decision(config)
    if decision is None and config.num_labels > 1:
        raise UsageError(
            f"{bundle.path} answers {config.num_labels} numbers at once.",
            tip="Only regression models with one output can be evaluated.",
        )
    return {"largest": Labels, "positive": LabelSets, None: Numbers}[decision]
