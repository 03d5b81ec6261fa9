"""Arguments of transformers that have another name or form here: the same call, the same answer."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from support.pipelines import (
    REFERENCE,
    VOCABULARIES,
    Both,
    assert_same,
    both,
    checkpoint,
    one_thread,
    pair,
)
from support.question_answering import confident
from support.token_classification import plain, varied

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.compress.options import Fp16
from albert_edge.errors import (
    BundleError,
    DeviceError,
    InputError,
    UnknownArgumentError,
    UsageError,
)
from albert_edge.runtime.load import load_pipeline

pytestmark = [
    pytest.mark.reference,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*deprecated"),
    pytest.mark.filterwarnings("ignore:Passing a list of SQuAD examples"),
    pytest.mark.filterwarnings("ignore:.*max_length. is ignored"),
    pytest.mark.filterwarnings("ignore:Tokenizer does not support real words"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
_ = one_thread  # a fixture that applies to this module

FIVE = REFERENCE.__version__.startswith("5.")
only_four = pytest.mark.skipif(FIVE, reason="transformers 5 removed it")
only_five = pytest.mark.skipif(not FIVE, reason="new in transformers 5")

TEXT = "Ada Lovelace was born in London."
PAIR = {"text": TEXT, "text_pair": "Where was she born?"}
LONG = "The train is late again, and nobody at the station knows why."
CONTEXT = "Ada Lovelace was born in London in 1815. Her mother loved mathematics."

Models = Callable[[str], Both]
CLASSIFY, EXTRACT, FILL = "text-classification", "feature-extraction", "fill-mask"
TAG, ASK, SORT = "token-classification", "question-answering", "zero-shot-classification"


NAMES = dict(enumerate(["contradiction", "neutral", "entailment"]))
NLI: dict[str, Any] = {
    "id2label": NAMES,
    "label2id": {name: index for index, name in NAMES.items()},
}


def make(task: str, folder: Path) -> Both:
    """Both pipelines of a random model for a task."""
    if task == TAG:
        return varied(folder)
    if task == ASK:
        return confident(folder)
    if task == SORT:
        source = checkpoint(folder / "checkpoint", CLASSIFY, "spiece.model", **NLI)
        return pair(SORT, source, folder / "bundle")
    return both(folder, task, **(NLI if task == CLASSIFY else {}))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Both pipelines of a task, made once."""
    return functools.cache(lambda task: make(task, tmp_path_factory.mktemp(task)))


def reference(model: Both) -> Any:
    """Their pipeline, with its model and tokenizer."""
    return model.theirs


def theirs_with(model: Both, **defaults: Any) -> Any:
    """Their pipeline again, on the same model, with other defaults."""
    theirs = reference(model)
    options = {"device": "cpu", **defaults}
    return REFERENCE.pipeline(
        theirs.task, model=theirs.model, tokenizer=theirs.tokenizer, **options
    )


def same(task: str, ours: Any, theirs: Any) -> None:
    assert_same(ours, plain(theirs) if task == "token-classification" else theirs)


# --- calls ----------------------------------------------------------------------------------

# A task, the positional arguments of the call and the named ones.
Call = tuple[str, tuple[Any, ...], dict[str, Any]]
BOTH_VERSIONS: list[Call] = [
    *((CLASSIFY, (item,), {"max_length": 6}) for item in (TEXT, [TEXT, LONG], PAIR)),
    (CLASSIFY, (TEXT,), {"max_length": 6, "truncation": False}),
    (CLASSIFY, (LONG,), {"max_length": 6, "padding": True}),
    (CLASSIFY, (LONG,), {"max_length": 6, "padding": "max_length"}),
    (CLASSIFY, (TEXT,), {"padding": "max_length", "truncation": True}),
    (CLASSIFY, (TEXT,), {"padding": "max_length", "max_length": 24, "padding_side": "left"}),
    (CLASSIFY, (TEXT,), {"padding": "max_length", "max_length": 24, "padding_side": "right"}),
    (
        CLASSIFY,
        (TEXT,),
        {"padding": "max_length", "max_length": 24, "return_attention_mask": False},
    ),
    (
        CLASSIFY,
        (TEXT,),
        {"padding": True, "pad_to_multiple_of": 16, "return_attention_mask": False},
    ),
    (CLASSIFY, (TEXT,), {"truncation": None, "max_length": None, "pad_to_multiple_of": None}),
    (CLASSIFY, (TEXT,), {"add_special_tokens": False, "top_k": None}),
    (CLASSIFY, (PAIR,), {"add_special_tokens": False, "top_k": None}),
    (CLASSIFY, (LONG,), {"add_special_tokens": False, "truncation": True, "max_length": 5}),
    (CLASSIFY, (PAIR,), {"return_token_type_ids": False, "top_k": None}),
    (CLASSIFY, (PAIR,), {"return_token_type_ids": None, "return_attention_mask": None}),
    (CLASSIFY, (TEXT,), {"text_pair": "Where?", "top_k": None}),
    (CLASSIFY, ({**PAIR, "max_length": 8, "add_special_tokens": False},), {"top_k": None}),
    (CLASSIFY, ([{**PAIR, "max_length": 8}, TEXT],), {"return_token_type_ids": False}),
    (CLASSIFY, ([TEXT, LONG],), {"text_pair": "Where?", "top_k": None}),
    (CLASSIFY, ({"text": TEXT.split()},), {"is_split_into_words": True, "top_k": None}),
    (
        CLASSIFY,
        ({"text": TEXT.split(), "text_pair": ["Who", "is?"]},),
        {"is_split_into_words": True, "top_k": None},
    ),
    (CLASSIFY, (TEXT,), {"stride": 2, "verbose": False, "top_k": ""}),
    (CLASSIFY, (), {"inputs": TEXT}),
    (EXTRACT, (TEXT,), {"tokenize_kwargs": {"padding": "max_length", "max_length": 16}}),
    (EXTRACT, (TEXT,), {"tokenize_kwargs": {"padding": True, "pad_to_multiple_of": 16}}),
    (
        EXTRACT,
        (TEXT,),
        {"tokenize_kwargs": {"padding": "max_length", "max_length": 16, "padding_side": "left"}},
    ),
    (EXTRACT, ([TEXT, LONG],), {"tokenize_kwargs": {"max_length": 6}}),
    (EXTRACT, (LONG,), {"truncation": True, "tokenize_kwargs": {"max_length": 6}}),
    (EXTRACT, (TEXT,), {"tokenize_kwargs": {"add_special_tokens": False, "text_pair": "Who?"}}),
    (EXTRACT, (TEXT,), {"add_special_tokens": False, "padding": "max_length", "verbose": False}),
    (EXTRACT, (), {"inputs": TEXT, "tokenize_kwargs": None}),
    (FILL, ("Ada was [MASK] in London.",), {"tokenizer_kwargs": {"add_special_tokens": False}}),
    (FILL, ("Ada [MASK] in [MASK].",), {"tokenizer_kwargs": {"padding": "max_length"}}),
    (FILL, ("Ada was [MASK] " + LONG,), {"tokenizer_kwargs": {"max_length": 8}}),
    (FILL, ("Ada was [MASK].",), {"tokenizer_kwargs": {"return_token_type_ids": False}}),
    (FILL, (["Ada was [MASK]."],), {"top_k": None, "targets": None, "tokenizer_kwargs": None}),
    (TAG, (TEXT,), {"offset_mapping": [(index, index + 2) for index in range(11)]}),
    (
        TAG,
        (TEXT,),
        {
            "offset_mapping": [[(index, index + 2) for index in range(11)]],
            "aggregation_strategy": "first",
            "ignore_labels": [],
        },
    ),
    (TAG, (), {"inputs": TEXT, "stride": None, "ignore_labels": None, "offset_mapping": None}),
    (SORT, (TEXT, ["travel", "science"]), {}),
    (SORT, (TEXT, "travel, science"), {"multi_label": True}),
    (SORT, (), {"sequences": TEXT, "candidate_labels": ["travel", "science"]}),
    (SORT, (), {"sequences": [TEXT, LONG], "candidate_labels": "travel"}),
    (
        SORT,
        (TEXT, "travel, science"),
        {"add_special_tokens": False, "padding": "max_length", "return_length": True},
    ),
]
# What transformers 5 removed.
FOUR: list[Call] = [
    *(
        (CLASSIFY, (item,), {"return_all_scores": every, **more})
        for item in (TEXT, PAIR, [TEXT, LONG], [TEXT])
        for every in (True, False)
        for more in ({}, {"top_k": 2})
    ),
    (CLASSIFY, (TEXT,), {"return_all_scores": None}),
    (CLASSIFY, (TEXT,), {"return_all_scores": True, "top_k": ""}),
    (CLASSIFY, (TEXT,), {"return_all_scores": True, "function_to_apply": "sigmoid"}),
    *(
        (TAG, (TEXT,), {"grouped_entities": grouped, "ignore_subwords": whole})
        for grouped in (True, False, None)
        for whole in (True, False, None)
    ),
    (TAG, (TEXT,), {"grouped_entities": True, "aggregation_strategy": "max"}),
    (TAG, (TEXT,), {"ignore_subwords": True, "aggregation_strategy": "max"}),
    (SORT, (TEXT, ["travel", "science"]), {"multi_class": True}),
    (SORT, (TEXT, ["travel", "science"]), {"multi_class": False, "multi_label": True}),
    (SORT, (TEXT, ["travel", "science"]), {"multi_class": None, "multi_label": True}),
    (ASK, ("Where was she born?", CONTEXT), {}),
    (ASK, ("Where was she born?", CONTEXT), {"topk": 3}),
    (ASK, ("Where was she born?", CONTEXT), {"topk": 3, "top_k": 2}),
    (ASK, ("Where was she born?", CONTEXT), {"topk": 3, "top_k": None}),
    (ASK, ({"question": "Where?", "context": CONTEXT},), {"truncation": True, "max_length": 5}),
    (ASK, ([{"question": "Where?", "context": CONTEXT}],), {"padding": "max_length"}),
    (
        ASK,
        ({"question": "Where?", "context": CONTEXT}, {"question": "When?", "context": CONTEXT}),
        {},
    ),
    *(
        (ASK, (), {name: data})
        for name in ("X", "data")
        for data in (
            {"question": "Where?", "context": CONTEXT},
            [{"question": q, "context": CONTEXT} for q in ("Where?", "When?")],
        )
    ),
    (ASK, (), {"question": ["Where?"], "context": [CONTEXT], "handle_impossible_answer": None}),
]


def name(call: Call) -> str:
    task, positional, named = call
    return (
        f"{task[:4]}-{len(positional)}-{','.join(f'{k}={str(v)[:20]}' for k, v in named.items())}"
    )


@pytest.mark.parametrize(
    "call", [*BOTH_VERSIONS, *(pytest.param(call, marks=only_four) for call in FOUR)], ids=name
)
def test_the_same_call_has_the_same_answer(models: Models, call: Call) -> None:
    task, positional, named = call
    model = models(task)
    same(task, model.ours(*positional, **named), model.theirs(*positional, **named))


@only_five
def test_tokenizer_kwargs_of_transformers_5(models: Models) -> None:
    model, options = models(CLASSIFY), {"tokenizer_kwargs": {"max_length": 6}, "top_k": None}
    for more in ({}, {"max_length": 5}):
        same(CLASSIFY, model.ours(LONG, **options, **more), model.theirs(LONG, **options, **more))


@pytest.mark.parametrize("task", [CLASSIFY, EXTRACT, TAG])
def test_enumerations_of_transformers(models: Models, task: str) -> None:
    pipelines = "transformers.pipelines"
    functions = import_module(f"{pipelines}.text_classification").ClassificationFunction
    strategies = import_module(f"{pipelines}.token_classification").AggregationStrategy
    tokenizers = import_module("transformers.tokenization_utils_base")
    padding = {"padding": tokenizers.PaddingStrategy.MAX_LENGTH, "max_length": 16}
    options: dict[str, Any] = {
        CLASSIFY: {
            "function_to_apply": functions.SIGMOID,
            "truncation": tokenizers.TruncationStrategy.LONGEST_FIRST,
            "max_length": 6,
        },
        EXTRACT: {"tokenize_kwargs": padding},
        TAG: {"aggregation_strategy": strategies.AVERAGE},
    }[task]
    same(task, models(task).ours(LONG, **options), models(task).theirs(LONG, **options))


@only_four
def test_squad_examples(models: Models) -> None:
    model = models(ASK)
    examples = [
        REFERENCE.SquadExample(None, question, CONTEXT, None, None, None)
        for question in ("Where?", "When?")
    ]
    for given in (examples, examples[:1]):
        assert_same(model.ours(given), model.theirs(given))


class Iterated(torch.utils.data.IterableDataset[str]):
    def __iter__(self) -> Iterator[str]:
        yield from (TEXT, LONG)


@pytest.mark.parametrize(
    "dataset",
    [
        import_module("transformers.pipelines.pt_utils").KeyDataset(
            [{"text": TEXT}, {"text": LONG}], "text"
        ),
        Iterated(),
    ],
    ids=["KeyDataset", "IterableDataset"],
)
@pytest.mark.parametrize("task", [CLASSIFY, TAG])
def test_datasets_of_torch(models: Models, task: str, dataset: Any) -> None:
    ours, theirs = models(task).ours(dataset), models(task).theirs(dataset)
    assert not isinstance(ours, list) and not isinstance(theirs, list)
    for answer, wanted in zip(ours, theirs, strict=True):
        same(task, answer, wanted)


# Defaults of a pipeline, and then the arguments of a call.
DEFAULTS: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
    (CLASSIFY, TEXT, {"top_k": 2}, {}),
    (CLASSIFY, TEXT, {"top_k": 2}, {"top_k": None}),
    (CLASSIFY, TEXT, {"function_to_apply": "none"}, {"function_to_apply": None}),
    (CLASSIFY, LONG, {"truncation": True, "max_length": 6}, {"max_length": None, "top_k": 1}),
    (EXTRACT, LONG, {"truncation": True}, {"tokenize_kwargs": {"max_length": 6}}),
    (
        EXTRACT,
        LONG,
        {"tokenize_kwargs": {"max_length": 6}},
        {"tokenize_kwargs": {"add_special_tokens": False}},
    ),
    (
        FILL,
        "Ada was [MASK] " + LONG,
        {"tokenizer_kwargs": {"add_special_tokens": False}, "top_k": 2},
        {"tokenizer_kwargs": {"max_length": 8}, "top_k": None},
    ),
    (TAG, TEXT, {"aggregation_strategy": "first"}, {"aggregation_strategy": None}),
    (TAG, TEXT, {"aggregation_strategy": "first"}, {"aggregation_strategy": "none"}),
    (TAG, TEXT, {"ignore_labels": ["PER"], "aggregation_strategy": "max"}, {"ignore_labels": None}),
    (SORT, TEXT, {"candidate_labels": "one, two", "multi_label": True}, {}),
    (SORT, TEXT, {"candidate_labels": "one, two", "multi_label": True}, {"multi_label": None}),
]
DEFAULTS_FOUR: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
    *(
        (CLASSIFY, TEXT, {"return_all_scores": every}, call)
        for every in (True, False)
        for call in ({}, {"top_k": 2}, {"top_k": None}, {"return_all_scores": not every})
    ),
    *(
        (CLASSIFY, TEXT, {"top_k": 2}, {"return_all_scores": every, **more})
        for every in (True, False)
        for more in ({}, {"top_k": 1})
    ),
    (TAG, TEXT, {"grouped_entities": True}, {}),
    (TAG, TEXT, {"grouped_entities": True}, {"aggregation_strategy": "max"}),
    (TAG, TEXT, {"aggregation_strategy": "max"}, {"grouped_entities": True}),
    (SORT, TEXT, {"candidate_labels": "one, two", "multi_class": True}, {"multi_label": False}),
    (ASK, {"question": "Where?", "context": CONTEXT}, {"top_k": 3}, {"top_k": None}),
    (ASK, {"question": "Where?", "context": CONTEXT}, {"topk": 3}, {"topk": 2}),
    (ASK, {"question": "Where?", "context": CONTEXT}, {"max_answer_len": 1}, {"topk": 2}),
]


@pytest.mark.parametrize(
    ("task", "item", "defaults", "call"),
    [*DEFAULTS, *(pytest.param(*row, marks=only_four) for row in DEFAULTS_FOUR)],
    ids=lambda value: str(value)[:40],
)
def test_a_call_changes_the_defaults_as_in_transformers(
    models: Models,
    task: str,
    item: Any,
    defaults: dict[str, Any],
    call: dict[str, Any],
) -> None:
    model = models(task)
    ours = load_pipeline(task, model.bundle, threads=1, **defaults)
    theirs = theirs_with(model, **defaults)
    same(task, ours(item, **call), theirs(item, **call))
    if "candidate_labels" not in defaults:  # the call does not stay
        same(task, ours(item), theirs(item))


# --- construction ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classify(models: Models) -> Both:
    return models(CLASSIFY)


NO_EFFECT: dict[str, Any] = {
    "feature_extractor": "folder",
    "image_processor": "folder",
    "video_processor": "folder",
    "processor": "folder",
    "framework": "pt",
    "revision": "main",
    "use_fast": True,
    "token": "hf_...",
    "use_auth_token": True,
    "local_files_only": True,
    "modelcard": None,
    "binary_output": True,
    "batch_size": 2,
    "num_workers": 2,
    "dtype": "auto",
    "torch_dtype": torch.float32,
    "device": torch.device("cpu"),
    "trust_remote_code": False,
    "pipeline_class": None,
    "code_revision": None,
    "args_parser": None,
    "config": None,
    "tokenizer": None,
    "model_kwargs": {"attn_implementation": "sdpa", "torch_dtype": "float32", "cache_dir": "c"},
}


def test_arguments_that_change_nothing(classify: Both) -> None:
    ours = load_pipeline(CLASSIFY, classify.bundle, **NO_EFFECT)
    assert ours(TEXT, top_k=None) == classify.ours(TEXT, top_k=None)


def test_positional_arguments_are_those_of_transformers(classify: Both) -> None:
    theirs = reference(classify)
    tokenizer, config = theirs.tokenizer, theirs.model.config
    head = (CLASSIFY, classify.bundle, config, tokenizer, None, None, None, "pt", "main", True)
    model = load_pipeline(*head, None, "cpu", None, "float32", False, {"torch_dtype": "float32"})
    assert model.session.variant.precision == "fp32" and model.device == "cpu"
    assert model(TEXT) == classify.ours(TEXT)
    with pytest.raises(TypeError, match="tokenizer is given twice"):
        load_pipeline(CLASSIFY, classify.bundle, None, tokenizer, tokenizer=tokenizer)
    with pytest.raises(UsageError, match="does not take trust_remote_code"):
        load_pipeline(*head, None, "cpu", None, "float32", True)


@pytest.fixture(scope="module")
def halved(classify: Both, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with fp16, which a CPU runs only if it is asked for."""
    bundle = tmp_path_factory.mktemp("halved") / "bundle"
    shutil.copytree(classify.bundle, bundle)
    albert_edge.quantize(bundle, precision=Fp16(target="portable"))
    return bundle


@pytest.mark.parametrize(
    ("options", "precision"),
    [
        ({}, "fp32"),
        ({"dtype": torch.float32}, "fp32"),
        ({"dtype": torch.float16}, "fp16"),
        ({"torch_dtype": "float16"}, "fp16"),
        ({"dtype": "float32", "torch_dtype": "float16"}, "fp32"),
        ({"dtype": "auto", "torch_dtype": "half"}, "fp16"),
        ({"model_kwargs": {"dtype": torch.float16}}, "fp16"),
        ({"dtype": "auto", "precision": "fp16"}, "fp16"),
        ({"dtype": None, "torch_dtype": None}, "fp32"),
    ],
    ids=str,
)
def test_dtype_is_the_precision(halved: Path, options: dict[str, Any], precision: str) -> None:
    model = load_pipeline(CLASSIFY, halved, device="cpu", **options)
    assert model.session.variant.precision == precision


@pytest.mark.parametrize(
    ("options", "device"),
    [
        ({"device": -1}, "cpu"),
        ({"device": "cpu"}, "cpu"),
        ({"device": torch.device("cpu")}, "cpu"),
        ({"device_map": "cpu"}, "cpu"),
        ({"device_map": {"": "cpu"}}, "cpu"),
        ({"device_map": {"albert": "cpu", "classifier": torch.device("cpu")}}, "cpu"),
        ({"device_map": "auto"}, None),
        ({"model_kwargs": {"device_map": "balanced"}}, None),
        ({"device": None, "device_map": None}, None),
    ],
    ids=str,
)
def test_devices(classify: Both, options: dict[str, Any], device: str | None) -> None:
    wanted = device or load_pipeline(CLASSIFY, classify.bundle, device="auto").device
    assert load_pipeline(CLASSIFY, classify.bundle, **options).device == wanted


def test_a_gpu_by_its_name_is_required(classify: Both) -> None:
    try:
        model = load_pipeline(CLASSIFY, classify.bundle, device=torch.device("cuda:0"))
        assert model.device == "cuda:0"
    except DeviceError as error:  # on a machine without one
        assert "device 'cuda:0'" in str(error)


def test_a_gpu_by_its_number_is_the_cpu_where_there_is_none(
    classify: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("albert_edge.runtime.device.cuda_devices", lambda: 0)
    with pytest.warns(UserWarning, match="device is 1, and .*, so the CPU answers") as caught:
        model = load_pipeline(CLASSIFY, classify.bundle, device=1)
    assert model.device == "cpu" and caught[0].filename == __file__
    assert model(TEXT) == classify.ours(TEXT)
    if not torch.cuda.is_available():
        assert theirs_with(classify, device=1).device.type == "cpu"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"trust_remote_code": True}, "trust_remote_code: albert-edge runs no code"),
    ({"code_revision": "main"}, "code_revision"),
    ({"pipeline_class": object}, "pipeline_class"),
    ({"args_parser": dict}, "args_parser"),
    ({"model_kwargs": {"trust_remote_code": True}}, "model_kwargs does not take trust_remote_code"),
    ({"model_kwargs": {"load_in_8bit": True}}, "load_in_8bit: a bundle's variants"),
    ({"model_kwargs": {"subfolder": "onnx"}}, "subfolder: the weights were read at export"),
    ({"model_kwargs": 3}, "model_kwargs is 3"),
    ({"dtype": torch.bfloat16}, "dtype is bfloat16"),
    ({"dtype": "float32", "precision": "int8"}, "precision is int8"),
    ({"dtype": "float32", "model_kwargs": {"dtype": "float16"}}, "precision twice"),
    ({"device": "cpu", "device_map": "auto"}, "device_map is 'auto'"),
    ({"device_map": {"albert": 0, "classifier": "cpu"}}, "runs on one device"),
    ({"config": "no/such/folder"}, "no config.json"),
    ({"tokenizer": "no/such/folder"}, "not a bundle"),
    ({"tokenizer": 3}, "a int, which has no fast tokenizer"),
    ({"inputs": "a text"}, "items are given by name"),
    ({"return_offsets_mapping": True}, "return_offsets_mapping: the model does not take"),
    ({"return_tensors": "pt"}, "return_tensors: the model takes numpy arrays"),
    ({"padding": "sometimes"}, "padding is 'sometimes'"),
    ({"padding": True, "padding_side": "top"}, "padding_side is 'top'"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_honoured_is_refused(
    classify: Both, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_pipeline(CLASSIFY, classify.bundle, **options)
    assert caught.value.tip and not isinstance(caught.value, TypeError)


def test_a_dtype_that_the_bundle_lacks_says_how_to_make_it(classify: Both) -> None:
    with pytest.raises(BundleError, match="no fp16 variant") as caught:
        load_pipeline(CLASSIFY, classify.bundle, dtype=torch.float16, device="cpu")
    call = caught.value.tip.partition("Make one with: albert_edge.quantize(")[2]
    assert call.endswith(", precision=Fp16(target='portable'))")


def test_a_model_in_memory_is_refused(classify: Both) -> None:
    model = reference(classify).model
    with pytest.raises(UsageError, match="AlbertForSequenceClassification, not the path") as it:
        load_pipeline(CLASSIFY, model)
    assert "save_pretrained" in it.value.tip


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ({"divice": "cpu"}, "device"),
        ({"tokeniser": None}, "tokenizer"),
        ({"thread": 1}, "threads"),
        ({"return_all_score": True}, "return_all_scores"),
        ({"topk": 3}, "top_k"),  # which question answering takes, and this task does not
    ],
    ids=str,
)
def test_an_unknown_argument_is_a_type_error(
    classify: Both, given: dict[str, Any], nearest: str
) -> None:
    with pytest.raises(TypeError, match=rf"Did you mean {nearest}\?") as caught:
        load_pipeline(CLASSIFY, classify.bundle, **given)
    assert isinstance(caught.value, UnknownArgumentError) and caught.value.exit_code == 2


def test_an_unknown_argument_of_a_call_is_a_type_error(models: Models) -> None:
    with pytest.raises(TypeError, match=r"no parameter multi_lable. Did you mean multi_label\?"):
        models(SORT).ours(TEXT, ["a"], multi_lable=True)
    with pytest.raises(TypeError, match=r"tokenize_kwargs has no parameter max_lenth. .* max_leng"):
        models(EXTRACT).ours(TEXT, tokenize_kwargs={"max_lenth": 3})
    with pytest.raises(TypeError, match=r"an item has no parameter pair. Did you mean text_pair\?"):
        models(CLASSIFY).ours({"text": TEXT, "pair": TEXT})
    with pytest.raises(TypeError, match="2 positional arguments"):
        models(CLASSIFY).ours(TEXT, TEXT)
    with pytest.raises(TypeError, match="candidate_labels is given twice"):
        models(SORT).ours(TEXT, ["a"], candidate_labels=["b"])


# --- a tokenizer and a configuration of the caller ------------------------------------------


def test_another_tokenizer_takes_the_place_of_the_bundles(models: Models, tmp_path: Path) -> None:
    model = models(EXTRACT)
    tokenizer = REFERENCE.AutoTokenizer.from_pretrained(model.bundle)
    for change in (
        {"model_max_length": 6, "truncation_side": "left"},
        {"add_special_tokens": None},
    ):
        for name, value in change.items():
            if name == "add_special_tokens":
                tokenizer.add_tokens(["Lovelace"])
                tokenizer.padding_side = "left"
            else:
                setattr(tokenizer, name, value)
        ours = load_pipeline(EXTRACT, model.bundle, threads=1, tokenizer=tokenizer)
        theirs = REFERENCE.pipeline(
            EXTRACT,
            model=reference(model).model,
            tokenizer=tokenizer,
            device="cpu",
        )
        options = {"truncation": True, "tokenize_kwargs": {"padding": True}}
        wanted = theirs("Ada was here.", **options)
        assert_same(ours("Ada was here.", **options), wanted)
        assert_same(ours(LONG, truncation=True), theirs(LONG, truncation=True))


def test_names_of_the_bundles_own_tokenizer(classify: Both) -> None:
    wanted = classify.ours(TEXT)
    source = open_bundle(classify.bundle).manifest.source
    names: list[Any] = [str(classify.bundle), classify.bundle, source, (str(classify.bundle), {})]
    for name in names:
        assert load_pipeline(CLASSIFY, classify.bundle, tokenizer=name)(TEXT) == wanted
        if not isinstance(name, tuple):
            assert load_pipeline(CLASSIFY, classify.bundle, config=name)(TEXT) == wanted
    with pytest.raises(UsageError, match="with settings"):
        pair = (source, {"do_lower_case": False})
        load_pipeline(CLASSIFY, classify.bundle, tokenizer=pair)


def test_the_tokenizer_of_another_bundle(models: Models) -> None:
    other = models(EXTRACT).bundle
    ours = load_pipeline(CLASSIFY, models(CLASSIFY).bundle, tokenizer=other)
    assert ours(TEXT) == models(CLASSIFY).ours(TEXT)


def test_a_tokenizer_with_more_ids_than_the_model_has(models: Models) -> None:
    tokenizer = REFERENCE.AutoTokenizer.from_pretrained(models(EXTRACT).bundle)
    tokenizer.add_tokens(["Lovelace"])
    ours = load_pipeline(EXTRACT, models(EXTRACT).bundle, tokenizer=tokenizer)
    assert len(tokenizer) > VOCABULARIES["spiece.model"]
    with pytest.raises(InputError, match=r"Ids must be below vocab_size|could not run"):
        ours("Ada Lovelace")


def test_a_slow_tokenizer_is_refused(classify: Both) -> None:
    class Slow:
        special_tokens_map: dict[str, str] = {}  # noqa: RUF012

    with pytest.raises(UsageError, match="a Slow, which has no fast tokenizer inside"):
        load_pipeline(CLASSIFY, classify.bundle, tokenizer=Slow())


def test_a_configuration_with_the_same_labels(classify: Both) -> None:
    config = reference(classify).model.config
    ours = load_pipeline(CLASSIFY, classify.bundle, config=config)
    assert ours(TEXT) == classify.ours(TEXT)
    other = REFERENCE.AlbertConfig(id2label={0: "no", 1: "maybe", 2: "yes"})
    with pytest.raises(UsageError, match=r"config has the labels \['no', 'maybe', 'yes'\]"):
        load_pipeline(CLASSIFY, classify.bundle, config=other)
