"""One file per task: model outputs in, answers out, as transformers.pipeline returns them."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from albert_edge.architecture.heads import HEAD_OF_TASK
from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.runtime.pipeline import Pipeline


def _feature_extraction() -> type[Pipeline]:
    from albert_edge.runtime.tasks.feature_extraction import FeatureExtractionPipeline

    return FeatureExtractionPipeline


def _fill_mask() -> type[Pipeline]:
    from albert_edge.runtime.tasks.fill_mask import FillMaskPipeline

    return FillMaskPipeline


def _multiple_choice() -> type[Pipeline]:
    from albert_edge.runtime.tasks.multiple_choice import MultipleChoicePipeline

    return MultipleChoicePipeline


def _question_answering() -> type[Pipeline]:
    from albert_edge.runtime.tasks.question_answering import QuestionAnsweringPipeline

    return QuestionAnsweringPipeline


def _sentence_embeddings() -> type[Pipeline]:
    from albert_edge.runtime.tasks.sentence_embeddings import SentenceEmbeddingsPipeline

    return SentenceEmbeddingsPipeline


def _sentence_order() -> type[Pipeline]:
    from albert_edge.runtime.tasks.sentence_order import SentenceOrderPipeline

    return SentenceOrderPipeline


def _text_classification() -> type[Pipeline]:
    from albert_edge.runtime.tasks.text_classification import TextClassificationPipeline

    return TextClassificationPipeline


def _text_ranking() -> type[Pipeline]:
    from albert_edge.runtime.tasks.text_ranking import TextRankingPipeline

    return TextRankingPipeline


def _token_classification() -> type[Pipeline]:
    from albert_edge.runtime.tasks.token_classification import TokenClassificationPipeline

    return TokenClassificationPipeline


def _zero_shot_classification() -> type[Pipeline]:
    from albert_edge.runtime.tasks.zero_shot_classification import ZeroShotClassificationPipeline

    return ZeroShotClassificationPipeline


# The pipelines by task. The module of a task is loaded when it is first asked for.
PIPELINES: dict[str, Callable[[], type[Pipeline]]] = {
    "feature-extraction": _feature_extraction,
    "fill-mask": _fill_mask,
    "multiple-choice": _multiple_choice,
    "question-answering": _question_answering,
    "sentence-embeddings": _sentence_embeddings,
    "sentence-order": _sentence_order,
    "text-classification": _text_classification,
    "text-ranking": _text_ranking,
    "token-classification": _token_classification,
    "zero-shot-classification": _zero_shot_classification,
}
_ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def find_task(name: str) -> str:
    """Return the task of a name that transformers.pipeline takes.

    Raises:
        UsageError: There is no pipeline of that name.
    """
    task = _ALIASES.get(name, name)
    if task not in PIPELINES:
        raise _no_pipeline(name)
    return task


def choose_task(bundle: Bundle, name: str | None = None) -> str:
    """Return what a pipeline of a bundle does.

    Args:
        bundle: The bundle.
        name: A task as transformers.pipeline calls it; by default the task the bundle names, or
            the first one of its head.

    Raises:
        UsageError: There is no such pipeline, or the bundle was exported for another head.
    """
    manifest = bundle.manifest
    first = (task for task, head in HEAD_OF_TASK.items() if head == manifest.head)
    task = find_task(name or manifest.task or next(first, manifest.head))
    if HEAD_OF_TASK[task] != manifest.head:
        raise UsageError(
            f"{bundle.folder} was exported for {manifest.head}, not {task}.",
            tip=Message("Export the checkpoint with ", Argument("task", HEAD_OF_TASK[task]), "."),
        )
    return task


def pipeline_class(task: str) -> type[Pipeline]:
    """Load the class of a task, by the task's own name."""
    return PIPELINES[task]()


def _no_pipeline(name: str) -> UsageError:
    nearest = get_close_matches(name, PIPELINES, 1)
    meant = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return UsageError(
        f"There is no pipeline for {name!r}.{meant}",
        tip=f"Pipelines are: {', '.join(PIPELINES)}. Other models run through "
        "albert_edge.Session, arrays in, arrays out.",
    )
