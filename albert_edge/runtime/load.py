"""`albert_edge.pipeline`: load a bundle for a task."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, cast, overload

from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.errors import UsageError
from albert_edge.runtime.parameters import bind
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.replacements import replace_tokenizer, require_same_answers
from albert_edge.runtime.session import Session
from albert_edge.runtime.signature import CONSTRUCTION, POSITIONAL, translate
from albert_edge.runtime.tasks import choose_task, pipeline_class

Model = Bundle | str | os.PathLike[str]


class LoadOptions(TypedDict, total=False):
    """How a model is loaded.

    Attributes:
        device: "auto", "cpu", "cuda", "cuda:1" or an execution provider, such as "openvino"; see
            `albert_edge.runtime.device.find_devices`.
        precision: "auto", "fp32" or another precision of the bundle; see `Session`.
        threads: Threads on a CPU; by default one for each processor this process may use.
        workers: How many texts of a list are answered at once on a CPU, sharing these threads; see
            `Pipeline`.
        provider_options: Options of the execution provider.
        tokenizer: A fast tokenizer of transformers, or another bundle, in place of the bundle's
            own tokenizer.
    """

    device: str | int | None
    precision: str
    threads: int | None
    workers: int | None
    provider_options: Mapping[str, Any] | None
    tokenizer: Any


_SESSION_OPTIONS = frozenset(LoadOptions.__annotations__) - {"workers", "tokenizer"}

_HOW_TO_NAME_A_MODEL = (
    "Save a model of transformers with save_pretrained, export that folder, and pass the bundle. A "
    "resource of an installed package is a path; of one in a zip file, importlib.resources.as_file "
    "makes one."
)

if TYPE_CHECKING:
    # For the overloads; at run time the module of a task is imported when it is first used.
    from albert_edge.runtime.tasks import (
        feature_extraction,
        fill_mask,
        multiple_choice,
        question_answering,
        ranked,
        sentence_embeddings,
        sentence_order,
        text_classification,
        text_ranking,
        token_classification,
        zero_shot_classification,
    )

    class _Features(LoadOptions, feature_extraction.Given, total=False): ...

    class _Fills(LoadOptions, fill_mask.Parameters, total=False): ...

    class _Ranked(LoadOptions, ranked.Given, total=False): ...

    class _Answers(LoadOptions, question_answering.Given, total=False): ...

    class _Embeddings(LoadOptions, sentence_embeddings.Parameters, total=False): ...

    class _Labels(LoadOptions, text_classification.Given, total=False): ...

    class _Scores(LoadOptions, text_ranking.Parameters, total=False): ...

    class _Entities(LoadOptions, token_classification.Parameters, total=False): ...

    class _ZeroShot(LoadOptions, zero_shot_classification.Parameters, total=False): ...


@overload
def pipeline(
    task: Literal["feature-extraction"], model: Model, **options: Unpack[_Features]
) -> feature_extraction.FeatureExtractionPipeline[feature_extraction.Nested]: ...
@overload
def pipeline(
    task: Literal["feature-extraction"],
    model: Model,
    *,
    return_tensors: Literal[True],
    **options: Unpack[_Features],
) -> feature_extraction.FeatureExtractionPipeline[feature_extraction.Array]: ...
@overload
def pipeline(
    task: Literal["multiple-choice"], model: Model, **options: Unpack[_Ranked]
) -> multiple_choice.MultipleChoicePipeline[multiple_choice.Choice]: ...
@overload
def pipeline(
    task: Literal["multiple-choice"], model: Model, *, top_k: int | None, **options: Unpack[_Ranked]
) -> multiple_choice.MultipleChoicePipeline[list[multiple_choice.Choice]]: ...
@overload
def pipeline(
    task: Literal["question-answering"], model: Model, **options: Unpack[_Answers]
) -> question_answering.QuestionAnsweringPipeline[question_answering.Answer]: ...
@overload
def pipeline(
    task: Literal["question-answering"],
    model: Model,
    *,
    top_k: int | None,
    **options: Unpack[_Answers],
) -> question_answering.QuestionAnsweringPipeline[question_answering.Several]: ...
@overload
def pipeline(
    task: Literal["sentence-order"], model: Model, **options: Unpack[_Ranked]
) -> sentence_order.SentenceOrderPipeline[sentence_order.Order]: ...
@overload
def pipeline(
    task: Literal["sentence-order"], model: Model, *, top_k: int | None, **options: Unpack[_Ranked]
) -> sentence_order.SentenceOrderPipeline[list[sentence_order.Order]]: ...
@overload
def pipeline(
    task: Literal["text-classification", "sentiment-analysis"],
    model: Model,
    **options: Unpack[_Labels],
) -> text_classification.TextClassificationPipeline[text_classification.Label]: ...
@overload
def pipeline(
    task: Literal["text-classification", "sentiment-analysis"],
    model: Model,
    *,
    top_k: int | None,
    **options: Unpack[_Labels],
) -> text_classification.TextClassificationPipeline[list[text_classification.Label]]: ...
@overload
def pipeline(
    task: Literal["fill-mask"], model: Model, **options: Unpack[_Fills]
) -> fill_mask.FillMaskPipeline: ...
@overload
def pipeline(
    task: Literal["sentence-embeddings"], model: Model, **options: Unpack[_Embeddings]
) -> sentence_embeddings.SentenceEmbeddingsPipeline: ...
@overload
def pipeline(
    task: Literal["text-ranking"], model: Model, **options: Unpack[_Scores]
) -> text_ranking.TextRankingPipeline: ...
@overload
def pipeline(
    task: Literal["token-classification", "ner"], model: Model, **options: Unpack[_Entities]
) -> token_classification.TokenClassificationPipeline: ...
@overload
def pipeline(
    task: Literal["zero-shot-classification"], model: Model, **options: Unpack[_ZeroShot]
) -> zero_shot_classification.ZeroShotClassificationPipeline: ...
@overload
def pipeline(task: None = None, model: Model | None = None, **options: Any) -> Pipeline: ...
def pipeline(
    task: str | None = None, model: Model | None = None, *others: Any, **options: Any
) -> Any:
    """Load a bundle as a pipeline that answers texts.

    Args:
        task: The task, as transformers.pipeline names it; by default the one the bundle was
            exported for.
        model: A bundle, or the folder or the packed file of one.
        *others: What transformers.pipeline takes after the model, in its order.
        **options: How the model is loaded, see `LoadOptions`: device, precision, threads, workers,
            provider_options, tokenizer. All others are defaults for the parameters of every call,
            such as top_k. Names that only transformers has are accepted, see
            `albert_edge.runtime.signature`.

    Returns:
        The pipeline.

    Raises:
        UsageError: No model, an unknown task, or one the bundle was not exported for.
        UnknownArgumentError: An option is unknown; it is a TypeError too.
        BundleError: The bundle is missing, damaged or has no tokenizer.
        DeviceError: The device is not available.
    """
    options = bind(POSITIONAL[2:], others, options)
    if model is None:
        raise UsageError("pipeline needs a model.", tip="Pass model='FOLDER', a bundle.")
    if not isinstance(model, Bundle | str | os.PathLike):
        raise UsageError(
            f"model is a {type(model).__name__}, not the path of a bundle.",
            tip=_HOW_TO_NAME_A_MODEL,
        )
    bundle = model if isinstance(model, Bundle) else open_bundle(model)
    kind = pipeline_class(choose_task(bundle, task))
    kind.require_known(options, also={*LoadOptions.__annotations__, *CONSTRUCTION})
    options = translate("pipeline", CONSTRUCTION, options)
    require_same_answers(bundle, options.pop("config", None))
    encoder = replace_tokenizer(bundle, options.pop("tokenizer", None))
    loading = {name: options.pop(name) for name in _SESSION_OPTIONS & options.keys()}
    return kind(Session(bundle, **loading), encoder=encoder, **options)


load_pipeline = cast(Callable[..., Pipeline], pipeline)
"""`pipeline` without overloads, for a task whose name is known at run time only."""
