"""What can be evaluated, by task."""

from __future__ import annotations

from albert_edge.architecture.config import read_config
from albert_edge.architecture.heads import HEAD_OF_TASK
from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import UsageError
from albert_edge.evaluation.answers import Answers
from albert_edge.evaluation.choices import Choices
from albert_edge.evaluation.label_sets import LabelSets
from albert_edge.evaluation.labels import Labels
from albert_edge.evaluation.numbers import Numbers, Similarities
from albert_edge.evaluation.subject import Subject
from albert_edge.evaluation.words import Words
from albert_edge.runtime.tasks import find_task

# Of several tasks of one head the first is what is evaluated if none is named.
TASKS_EVALUATED: dict[str, type[Subject]] = {
    "text-classification": Labels,
    "token-classification": Words,
    "question-answering": Answers,
    "multiple-choice": Choices,
    "sentence-embeddings": Similarities,
}


def find_subject(bundle: Bundle, task: str | None) -> Subject:
    """What is to be known to evaluate a bundle.

    Args:
        bundle: The bundle.
        task: The task; by default that of the bundle.

    Raises:
        UsageError: The task cannot be evaluated, or is not what the bundle was exported for.
    """
    head = bundle.manifest.task
    if task is None:
        fitting = (name for name in TASKS_EVALUATED if HEAD_OF_TASK[name] == head)
        name = next(fitting, head)
    else:
        name = find_task(task)
    if name not in TASKS_EVALUATED:
        raise UsageError(
            f"There is no way here to say how right the answers of {name} are.",
            tip=f"What can be evaluated: {', '.join(TASKS_EVALUATED)}.",
        )
    if HEAD_OF_TASK[name] != head:
        raise UsageError(
            f"{bundle.folder} was exported for {head}, not {name}.",
            tip=f"Export the checkpoint with --task {HEAD_OF_TASK[name]}.",
        )
    kind = _text_classification(bundle) if name == "text-classification" else TASKS_EVALUATED[name]
    return kind(bundle)


def _text_classification(bundle: Bundle) -> type[Subject]:
    """By what the model was trained for, as transformers tells it."""
    config = read_config(bundle.listed("config.json"))
    if config.problem_type == "multi_label_classification":
        return LabelSets
    if config.num_labels == 1:
        return Numbers
    if config.problem_type == "regression":
        raise UsageError(
            f"{bundle.folder} answers {config.num_labels} numbers at once.",
            tip="Regression can be evaluated of models with one output.",
        )
    return Labels
