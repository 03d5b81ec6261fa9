"""One file per task: model outputs in, answers out, as transformers.pipeline returns them."""

from __future__ import annotations

from albert_edge.errors import UsageError
from albert_edge.runtime.tasks.base import Task
from albert_edge.runtime.tasks.feature_extraction import FeatureExtraction
from albert_edge.runtime.tasks.fill_mask import FillMask
from albert_edge.runtime.tasks.text_classification import TextClassification
from albert_edge.runtime.tasks.token_classification import TokenClassification

TASKS: dict[str, type[Task]] = {
    "feature-extraction": FeatureExtraction,
    "fill-mask": FillMask,
    "text-classification": TextClassification,
    "token-classification": TokenClassification,
}
_ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def find_task(name: str) -> str:
    """The task's own name for a name transformers.pipeline takes.

    Raises:
        UsageError: There is no pipeline of that name.
    """
    task = _ALIASES.get(name, name)
    if task not in TASKS:
        raise UsageError(
            f"There is no pipeline for {name!r} yet.",
            tip=f"Pipelines are: {', '.join(TASKS)}. Other tasks run through "
            "albert_edge.runtime.session.Session, arrays in, arrays out.",
        )
    return task
