"""`albert_edge.pipeline`: a bundle and the name of a task -> the object that answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, overload

from albert_edge.architecture.heads import HEAD_OF_TASK
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.runtime.embedding import EmbeddingPipeline
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.ranking import RankingPipeline
from albert_edge.runtime.session import Session
from albert_edge.runtime.tasks import default_task, find_task
from albert_edge.runtime.zero_shot import ZeroShotPipeline

# Pipelines with a method of their own, or a call of their own.
_CLASSES: dict[str, type[Pipeline]] = {
    "sentence-embeddings": EmbeddingPipeline,
    "text-ranking": RankingPipeline,
    "zero-shot-classification": ZeroShotPipeline,
}
Model = Bundle | str | os.PathLike[str]


@overload
def pipeline(
    task: Literal["sentence-embeddings"], model: Model | None = None, **options: Any
) -> EmbeddingPipeline: ...


@overload
def pipeline(
    task: Literal["text-ranking"], model: Model | None = None, **options: Any
) -> RankingPipeline: ...


@overload
def pipeline(
    task: Literal["zero-shot-classification"], model: Model | None = None, **options: Any
) -> ZeroShotPipeline: ...


@overload
def pipeline(
    task: str | None = None,
    model: Model | None = None,
    *,
    device: str | int | None = "auto",
    precision: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
    provider_options: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> Pipeline: ...


def pipeline(
    task: str | None = None,
    model: Model | None = None,
    *,
    device: str | int | None = "auto",
    precision: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
    provider_options: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> Pipeline:
    """Load a bundle for answering texts.

    Args:
        task: What to answer, as transformers.pipeline calls it; by default what the bundle was
            exported for.
        model: A bundle, or the folder of one.
        device: "auto", "cpu", "cuda", "cuda:1" or an execution provider, such as "openvino"; see
            `albert_edge.runtime.device.find_devices`.
        precision: "auto", "fp32" or another that the bundle was quantized to; see `Session`.
        threads: Threads to answer with on a CPU; by default the processors this process may use.
        workers: Texts of a list that are worked on at once on a CPU, sharing these threads; see
            `Pipeline`.
        provider_options: What the execution provider is told, in its own words.
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
    wanted = find_task(task) if task else bundle.manifest.task or default_task(bundle.manifest.head)
    head = HEAD_OF_TASK[wanted]
    if head != bundle.manifest.head:
        raise UsageError(
            f"{bundle.folder} was exported for {bundle.manifest.head}, not {wanted}.",
            tip=Message("Export the checkpoint with ", Argument("task", head), "."),
        )
    session = Session(
        bundle,
        device=device,
        precision=precision,
        threads=threads,
        provider_options=provider_options,
    )
    return _CLASSES.get(wanted, Pipeline)(wanted, session, workers=workers, **parameters)
