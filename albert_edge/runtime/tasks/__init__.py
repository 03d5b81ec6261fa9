"""One file per task: model outputs in, answers out, as transformers.pipeline returns them."""

from __future__ import annotations

from albert_edge.architecture.heads import HEAD_OF_TASK
from albert_edge.bundle.bundle import Bundle
from albert_edge.choices import nearest_word
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.runtime.pipeline import Pipeline

_ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def find_task(name: str) -> str:
    """Return the task of a name or alias that transformers.pipeline takes.

    Raises:
        UsageError: There is no pipeline of that name.
    """
    task = _ALIASES.get(name, name)
    if task not in HEAD_OF_TASK:
        raise _no_pipeline(name)
    return task


def choose_task(bundle: Bundle, name: str | None = None) -> str:
    """Return the task of a pipeline of a bundle.

    Args:
        bundle: The bundle.
        name: A task as transformers.pipeline names it; by default the one in the manifest, or
            the first task of its head.

    Raises:
        UsageError: There is no such pipeline, or the bundle was exported for another head.
    """
    manifest = bundle.manifest
    first = (task for task, head in HEAD_OF_TASK.items() if head == manifest.head)
    task = find_task(name or manifest.task or next(first, manifest.head))
    if HEAD_OF_TASK[task] != manifest.head:
        raise UsageError(
            f"{bundle.path} was exported for {manifest.head}, not {task}.",
            tip=Message("Export the checkpoint with ", Argument("task", HEAD_OF_TASK[task]), "."),
        )
    return task


def pipeline_class(task: str) -> type[Pipeline]:
    """Import the pipeline of a task, a key of `HEAD_OF_TASK`, when it is first used."""
    # Imports are written out, so that tools that freeze a program find the modules.
    match task:
        case "feature-extraction":
            from albert_edge.runtime.tasks.feature_extraction import FeatureExtractionPipeline

            return FeatureExtractionPipeline
        case "fill-mask":
            from albert_edge.runtime.tasks.fill_mask import FillMaskPipeline

            return FillMaskPipeline
        case "multiple-choice":
            from albert_edge.runtime.tasks.multiple_choice import MultipleChoicePipeline

            return MultipleChoicePipeline
        case "question-answering":
            from albert_edge.runtime.tasks.question_answering import QuestionAnsweringPipeline

            return QuestionAnsweringPipeline
        case "sentence-embeddings":
            from albert_edge.runtime.tasks.sentence_embeddings import SentenceEmbeddingsPipeline

            return SentenceEmbeddingsPipeline
        case "sentence-order":
            from albert_edge.runtime.tasks.sentence_order import SentenceOrderPipeline

            return SentenceOrderPipeline
        case "text-classification":
            from albert_edge.runtime.tasks.text_classification import TextClassificationPipeline

            return TextClassificationPipeline
        case "text-ranking":
            from albert_edge.runtime.tasks.text_ranking import TextRankingPipeline

            return TextRankingPipeline
        case "token-classification":
            from albert_edge.runtime.tasks.token_classification import TokenClassificationPipeline

            return TokenClassificationPipeline
        case "zero-shot-classification":
            from albert_edge.runtime.tasks.zero_shot_classification import (
                ZeroShotClassificationPipeline,
            )

            return ZeroShotClassificationPipeline
    raise KeyError(task)


def _no_pipeline(name: str) -> UsageError:
    nearest = nearest_word(name, HEAD_OF_TASK)
    meant = f" Did you mean {nearest!r}?" if nearest else ""
    return UsageError(
        f"There is no pipeline for {name!r}.{meant}",
        tip=f"Pipelines are: {', '.join(HEAD_OF_TASK)}. Other models run through "
        "albert_edge.Session, arrays in, arrays out.",
    )
