"""One file per task: model outputs in, answers out, as transformers.pipeline returns them."""

from __future__ import annotations

from albert_edge.errors import UsageError
from albert_edge.runtime.tasks.base import Task
from albert_edge.runtime.tasks.feature_extraction import FeatureExtraction
from albert_edge.runtime.tasks.fill_mask import FillMask
from albert_edge.runtime.tasks.multiple_choice import MultipleChoice
from albert_edge.runtime.tasks.question_answering import QuestionAnswering
from albert_edge.runtime.tasks.sentence_embeddings import SentenceEmbeddings
from albert_edge.runtime.tasks.sentence_order import SentenceOrder
from albert_edge.runtime.tasks.text_classification import TextClassification
from albert_edge.runtime.tasks.text_ranking import TextRanking
from albert_edge.runtime.tasks.token_classification import TokenClassification
from albert_edge.runtime.tasks.zero_shot_classification import ZeroShotClassification

# Of several tasks of one head the first is what a bundle answers if none is named.
TASKS: dict[str, type[Task]] = {
    "feature-extraction": FeatureExtraction,
    "fill-mask": FillMask,
    "multiple-choice": MultipleChoice,
    "question-answering": QuestionAnswering,
    "sentence-embeddings": SentenceEmbeddings,
    "sentence-order": SentenceOrder,
    "text-classification": TextClassification,
    "text-ranking": TextRanking,
    "token-classification": TokenClassification,
    "zero-shot-classification": ZeroShotClassification,
}
_ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def find_task(name: str) -> str:
    """The task's own name for a name transformers.pipeline takes.

    Raises:
        UsageError: There is no pipeline of that name.
    """
    task = _ALIASES.get(name, name)
    if task not in TASKS:
        raise _no_pipeline(name)
    return task


def default_task(head: str) -> str:
    """What a bundle exported for `head` answers when no task is named.

    Raises:
        UsageError: No pipeline is made for such a bundle.
    """
    for task, kind in TASKS.items():
        if kind.head == head:
            return task
    raise _no_pipeline(head)


def _no_pipeline(name: str) -> UsageError:
    return UsageError(
        f"There is no pipeline for {name!r}.",
        tip=f"Pipelines are: {', '.join(TASKS)}. Other models run through "
        "albert_edge.runtime.session.Session, arrays in, arrays out.",
    )
