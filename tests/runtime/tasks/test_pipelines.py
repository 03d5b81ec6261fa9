"""Pipelines against transformers.pipeline: the same call gives the same answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkpoints import make_model
from support.pipelines import (
    ANY_ITEM,
    ANY_TEXT,
    POSITIONS,
    REFERENCE,
    SENTENCES,
    WORDS,
    Both,
    assert_same,
    both,
    by_label,
    checkpoint,
    words,
)

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.errors import BundleError, InputError, UsageError
from albert_edge.runtime.load import load_pipeline
from albert_edge.runtime.parameters import Cut
from albert_edge.runtime.text import TextEncoder, load_text_encoder

pytestmark = pytest.mark.reference

LONGEST_FIRST = Cut("longest_first")


Make = Callable[..., Both]


@pytest.fixture(scope="module")
def classify(tmp_path_factory: pytest.TempPathFactory) -> Both:
    labels = {0: "negative", 1: "neutral", 2: "positive", 3: "LABEL_9", 4: "無"}
    folder = tmp_path_factory.mktemp("english")
    return both(folder, "text-classification", id2label=labels, num_labels=5)


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("chinese")
    return both(folder, "text-classification", "vocab.txt", num_labels=3, seed=1)


@pytest.fixture(scope="module")
def extract(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both(tmp_path_factory.mktemp("features"), "feature-extraction", seed=2)


@pytest.fixture(scope="module")
def chinese_extract(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("chinese-features")
    return both(folder, "feature-extraction", "vocab.txt", seed=3)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("short")
    return both(folder, "text-classification", max_position_embeddings=POSITIONS)


@pytest.fixture(scope="module")
def short_extract(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("short")
    return both(folder, "feature-extraction", max_position_embeddings=POSITIONS)


# --- text classification --------------------------------------------------------------------

PAIR = {"text": "I like it.", "text_pair": "Do you?"}
CALLS: dict[str, Any] = {
    "str": "I like you. I love you",
    "empty": "",
    "blank": "  \n",
    "list": ["I like you", "", "2010, 中文 é"],
    "list of one": ["I like you"],
    "dict": {"text": "I like it."},
    "pair": PAIR,
    "pair with an empty text": {"text": "", "text_pair": "Do you?"},
    "pair with an empty second text": {"text": "I like it.", "text_pair": ""},
    "pair without a second text": {"text": "I like it.", "text_pair": None},
    "list of dicts": [PAIR, {"text": "alone"}, PAIR],
    "mixed list": ["alone", PAIR],
    "old pair": [[["I like it.", "Do you?"]]],
    "old pairs": [[["I like it.", "Do you?"]], [["a", "b"]]],
}
TOP_K: dict[str, dict[str, Any]] = {
    "absent": {},
    "1": {"top_k": 1},
    "3": {"top_k": 3},
    "more": {"top_k": 99},
    "None": {"top_k": None},
}


@pytest.mark.parametrize("top_k", TOP_K)
@pytest.mark.parametrize("call", CALLS)
def test_every_kind_of_call(classify: Both, call: str, top_k: str) -> None:
    ours = classify.ours(CALLS[call], **TOP_K[top_k])
    assert_same(ours, classify.theirs(CALLS[call], **TOP_K[top_k]))


def test_no_texts_have_no_answers(classify: Both, extract: Both) -> None:
    # transformers 4 says so too; transformers 5 raises IndexError.
    assert classify.ours([]) == classify.ours([], top_k=None) == extract.ours([]) == []


def test_the_answers_of_different_texts_differ(classify: Both) -> None:
    # Else the comparisons prove nothing.
    one, other = (classify.ours(text, top_k=None) for text in SENTENCES[:2])
    assert {entry["label"] for entry in one} == {"negative", "neutral", "positive", "LABEL_9", "無"}
    assert one != other


@pytest.mark.parametrize("top_k", TOP_K)
def test_chinese(chinese: Both, top_k: str) -> None:
    texts = ["今天天气很好。", {"text": "你好吗?", "text_pair": "Fine, 2010年"}]
    ours = chinese.ours(texts, **TOP_K[top_k])
    assert_same(ours, chinese.theirs(texts, **TOP_K[top_k]))
    assert_same(chinese.ours(texts[0], **TOP_K[top_k]), chinese.theirs(texts[0], **TOP_K[top_k]))


@pytest.mark.parametrize("top_k", TOP_K)
def test_a_generator_is_answered_lazily(classify: Both, top_k: str) -> None:
    taken = []

    def texts() -> Iterator[Any]:
        for item in [*SENTENCES[:3], PAIR]:
            taken.append(item)
            yield item

    answers = classify.ours(texts(), **TOP_K[top_k])
    assert taken == []
    first = next(answers)
    assert taken == SENTENCES[:1]
    wanted = [classify.theirs([item], **TOP_K[top_k])[0] for item in [*SENTENCES[:3], PAIR]]
    assert_same([first, *answers], wanted)
    theirs = classify.theirs((item for item in SENTENCES[:3]), **TOP_K[top_k])
    assert_same(wanted[:3], list(theirs))


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none", "SOFTMAX", "None", None])
def test_function_to_apply(classify: Both, function: str | None) -> None:
    for top_k in ({}, {"top_k": None}):
        ours = classify.ours(SENTENCES[:4], function_to_apply=function, **top_k)
        theirs = classify.theirs(SENTENCES[:4], function_to_apply=function, **top_k)
        assert_same(ours, theirs)


PROBLEMS: dict[str, dict[str, Any]] = {
    "single label": {"num_labels": 4, "problem_type": "single_label_classification"},
    "multi label": {"num_labels": 4, "problem_type": "multi_label_classification"},
    "regression": {"num_labels": 1, "problem_type": "regression"},
    "regression of two": {"num_labels": 2, "problem_type": "regression"},
    "one label": {"num_labels": 1},
    "one label named": {"id2label": {0: "toxic"}, "label2id": {"toxic": 0}},
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_problem_type(tmp_path: Path, problem: str) -> None:
    pipelines = both(tmp_path, "text-classification", seed=3, **PROBLEMS[problem])
    for top_k in TOP_K.values():
        for function in (None, "softmax", "sigmoid", "none"):
            options = {**top_k, "function_to_apply": function}
            for inputs in (SENTENCES[0], SENTENCES[:2], PAIR):
                assert_same(pipelines.ours(inputs, **options), pipelines.theirs(inputs, **options))


@pytest.mark.parametrize(
    "defaults",
    [
        {"top_k": 2},
        {"top_k": None},
        {"top_k": 1},
        {"function_to_apply": "none"},
        {"function_to_apply": "sigmoid", "top_k": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("overrides", [{}, {"top_k": 3}], ids=["as-made", "overridden"])
def test_defaults_given_when_the_pipeline_is_made(
    classify: Both, defaults: dict[str, Any], overrides: dict[str, Any]
) -> None:
    ours = load_pipeline("text-classification", classify.bundle, **defaults)
    theirs = REFERENCE.pipeline(
        "text-classification",
        model=str(classify.bundle.parent / "checkpoint"),
        tokenizer=REFERENCE.AutoTokenizer.from_pretrained(classify.bundle),
        device="cpu",
        **defaults,
    )
    for inputs in (SENTENCES[0], SENTENCES[:2], PAIR, [PAIR]):
        assert_same(ours(inputs, **overrides), theirs(inputs, **overrides))


def test_the_task_may_be_left_out_or_have_its_other_name(classify: Both) -> None:
    wanted = classify.ours("I like you")
    assert albert_edge.pipeline(model=classify.bundle)("I like you") == wanted
    alias = albert_edge.pipeline("sentiment-analysis", model=open_bundle(classify.bundle))
    assert alias("I like you") == wanted
    assert alias.task == "text-classification"


@pytest.mark.parametrize("task", ["feature-extraction", "question-answering", "", "no-such-task"])
def test_another_task_is_a_usage_error(classify: Both, task: str) -> None:
    if task:
        with pytest.raises(UsageError, match=task):
            load_pipeline(task, classify.bundle)
    with pytest.raises(UsageError, match="needs a model"):
        load_pipeline(task, None)


@pytest.mark.parametrize(
    "options",
    [
        {"function_to_apply": "tanh"},
        {"function_to_apply": 5},
        {"top_k": -1},
        {"top_k": "3"},
        {"max_length": "x"},
        {"max_length": 0},
    ],
    ids=str,
)
def test_parameters_without_meaning_are_refused(classify: Both, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        classify.ours("text", **options)
    with pytest.raises(UsageError):
        albert_edge.pipeline(model=classify.bundle, **options)


@pytest.mark.parametrize("texts", [SENTENCES[:3], SENTENCES[0]], ids=["list", "str"])
def test_batch_size_and_workers_are_taken_and_change_nothing(classify: Both, texts: Any) -> None:
    # Every transformers.pipeline takes them; on a CPU each text runs alone all the same.
    options = {"batch_size": 2, "num_workers": 0}
    assert_same(classify.ours(texts, **options), classify.theirs(texts))


@pytest.mark.parametrize("name", ["truncate", "topk"])
def test_an_unknown_parameter_is_refused(classify: Both, name: str) -> None:
    with pytest.raises(UsageError, match=f"no parameter {name}"):
        classify.ours("text", **{name: True})


# --- generated texts ------------------------------------------------------------------------


@given(item=ANY_ITEM)
@settings(deadline=None, max_examples=100)
def test_any_text_is_classified_the_same(classify: Both, item: Any) -> None:
    ours = by_label(classify.ours(item, top_k=None, truncation=True))
    assert_same(ours, by_label(classify.theirs(item, top_k=None, truncation=True)))


@given(item=ANY_ITEM)
@settings(deadline=None, max_examples=100)
def test_any_chinese_text_is_classified_the_same(chinese: Both, item: Any) -> None:
    ours = by_label(chinese.ours(item, top_k=None, truncation=True))
    assert_same(ours, by_label(chinese.theirs(item, top_k=None, truncation=True)))


# --- feature extraction ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "inputs", ["I like you", "", ["I like you"], SENTENCES[:3]], ids=lambda x: repr(x)[:20]
)
def test_features(extract: Both, inputs: Any) -> None:
    ours = extract.ours(inputs)
    assert_same(ours, extract.theirs(inputs))
    assert_same(extract.ours(inputs, return_tensors=False), ours)


def test_features_of_a_generator(extract: Both) -> None:
    ours = extract.ours(text for text in SENTENCES[:3])
    assert not isinstance(ours, list)
    assert_same(list(ours), extract.theirs(SENTENCES[:3]))


def test_features_as_arrays(extract: Both) -> None:
    theirs = extract.theirs(SENTENCES[:2], return_tensors=True)
    for text, wanted in zip(SENTENCES, theirs, strict=False):
        got = extract.ours(text, return_tensors=True)
        assert isinstance(got, np.ndarray)
        assert got.dtype == np.float32
        assert got.shape == tuple(wanted.shape)
        np.testing.assert_allclose(got, wanted.numpy(), rtol=0, atol=1e-5)
    ours = extract.ours(SENTENCES[:2], return_tensors=True)
    assert [one.shape for one in ours] == [tuple(one.shape) for one in theirs]


@given(text=ANY_TEXT)
@settings(deadline=None, max_examples=120)
def test_features_of_any_text(extract: Both, text: str) -> None:
    assert_same_features(extract, text)


@given(text=ANY_TEXT)
@settings(deadline=None, max_examples=120)
def test_features_of_any_chinese_text(chinese_extract: Both, text: str) -> None:
    assert_same_features(chinese_extract, text)


def assert_same_features(pipelines: Both, text: str) -> None:
    got = pipelines.ours(text, truncation=True, return_tensors=True)
    wanted = pipelines.theirs(text, truncation=True, return_tensors=True)
    np.testing.assert_allclose(got, wanted.numpy(), rtol=0, atol=1e-5)


# --- truncation -----------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Tokenizers:
    """Our text encoder of a bundle, and the tokenizer that transformers loads from it."""

    ours: TextEncoder
    theirs: Any


def test_each_word_is_a_token(tokenizers: Tokenizers) -> None:
    arrays = tokenizers.ours.encode(" ".join(WORDS), cut=LONGEST_FIRST)
    assert len(set(arrays["input_ids"][0].tolist())) == POSITIONS
    assert len(set(WORDS)) == len(WORDS) > POSITIONS


@pytest.fixture(scope="module")
def tokenizers(short: Both) -> Tokenizers:
    theirs = REFERENCE.AutoTokenizer.from_pretrained(short.bundle)
    assert theirs.model_max_length == POSITIONS
    return Tokenizers(load_text_encoder(open_bundle(short.bundle)), theirs)


def assert_same_tokens(got: dict[str, Any], wanted: Any) -> None:
    assert list(got) == ["input_ids", "attention_mask", "token_type_ids"]
    for name, array in got.items():
        assert array.dtype == np.int64
        assert array.shape == (1, len(wanted[name]))
        assert array[0].tolist() == wanted[name], name


@pytest.mark.parametrize("limit", [None, 5, 12, 13, POSITIONS])
def test_truncation_equals_transformers(tokenizers: Tokenizers, limit: int | None) -> None:
    encoder, theirs = tokenizers.ours, tokenizers.theirs
    lengths = [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 19, 20, 21, 22, 23, 24, 30]
    for first in lengths:
        text = " ".join(WORDS[:first])
        got = encoder.encode(text, cut=Cut("longest_first", limit))
        assert_same_tokens(got, theirs(text, truncation=True, max_length=limit))
        for second in lengths[1:]:
            pair = " ".join(WORDS[::-1][:second])
            got = encoder.encode(text, pair, Cut("longest_first", limit))
            assert_same_tokens(got, theirs(text, pair, truncation=True, max_length=limit))


@given(text=ANY_TEXT, pair=st.none() | ANY_TEXT, limit=st.integers(3, POSITIONS))
@settings(deadline=None, max_examples=150)
def test_truncation_of_any_text(
    tokenizers: Tokenizers, text: str, pair: str | None, limit: int
) -> None:
    got = tokenizers.ours.encode(text, pair or None, Cut("longest_first", limit))
    wanted = tokenizers.theirs(text, pair or None, truncation=True, max_length=limit)
    assert_same_tokens(got, wanted)


def test_answers_to_truncated_texts(short: Both) -> None:
    long = " ".join(WORDS)
    for item in (long, [long, "short"], {"text": long, "text_pair": "short"}):
        for options in ({"truncation": True}, {"truncation": True, "max_length": 9}):
            assert_same(short.ours(item, **options), short.theirs(item, **options))


def test_features_of_truncated_texts(short_extract: Both) -> None:
    long = " ".join(WORDS)
    ours = short_extract.ours([long, "short"], truncation=True)
    assert_same(ours, short_extract.theirs([long, "short"], truncation=True))
    assert len(ours[0][0]) == POSITIONS


@pytest.mark.parametrize(
    "strategy",
    ["longest_first", "only_first", "only_second", "do_not_truncate", False],
)
def test_other_strategies_are_followed_or_refused(short: Both, strategy: Any) -> None:
    # transformers takes a strategy by name; following another one in silence would be wrong.
    item = {"text": " ".join(WORDS[:15]), "text_pair": " ".join(WORDS[:20])}
    try:
        ours = short.ours(item, truncation=strategy)
    except (UsageError, InputError):
        assert strategy != "longest_first"
        return
    assert_same(ours, short.theirs(item, truncation=strategy))


def test_the_side_that_the_tokenizer_cuts(tmp_path: Path) -> None:
    source = checkpoint(
        tmp_path / "checkpoint",
        "text-classification",
        "spiece.model",
        max_position_embeddings=POSITIONS,
    )
    (source / "tokenizer_config.json").write_text('{"truncation_side": "left"}')
    albert_edge.export(source, tmp_path / "bundle")
    theirs = REFERENCE.AutoTokenizer.from_pretrained(tmp_path / "bundle")
    assert theirs.truncation_side == "left"
    encoder = load_text_encoder(open_bundle(tmp_path / "bundle"))
    text, pair = " ".join(WORDS), " ".join(WORDS[::-1])
    assert_same_tokens(encoder.encode(text, cut=LONGEST_FIRST), theirs(text, truncation=True))
    got = encoder.encode(text, pair, LONGEST_FIRST)
    assert_same_tokens(got, theirs(text, pair, truncation=True))


def test_a_lower_limit_of_the_tokenizer_is_followed(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "checkpoint", "text-classification", "spiece.model")
    (source / "tokenizer_config.json").write_text('{"model_max_length": 10}')
    albert_edge.export(source, tmp_path / "bundle")
    theirs = REFERENCE.AutoTokenizer.from_pretrained(tmp_path / "bundle")
    encoder = load_text_encoder(open_bundle(tmp_path / "bundle"))
    text = " ".join(WORDS)
    got = encoder.encode(text, cut=LONGEST_FIRST)
    assert got["input_ids"].shape == (1, 10)
    assert_same_tokens(got, theirs(text, truncation=True))


# --- what is refused ------------------------------------------------------------------------


def test_the_longest_text_is_answered(short: Both) -> None:
    assert_same(short.ours(words(POSITIONS)), short.theirs(words(POSITIONS)))


def test_a_text_over_the_limit_is_refused(short: Both) -> None:
    with pytest.raises(InputError, match=f"{POSITIONS + 1} tokens.*at most {POSITIONS}") as caught:
        short.ours(words(POSITIONS + 1))
    assert "truncation=True" in caught.value.tip


@pytest.mark.parametrize("make", [list, iter], ids=["list", "generator"])
def test_in_a_list_the_refused_text_is_named(short: Both, make: Callable[..., Any]) -> None:
    texts = ["fine", "fine", words(POSITIONS + 1), "fine"]
    inputs = texts if make is list else (text for text in texts)
    with pytest.raises(InputError, match="Item 2:"):
        list(short.ours(inputs))
    with pytest.raises(InputError, match="Item 0:"):
        short.ours([{"text": "fine", "text_pair": words(POSITIONS + 1)}])


def test_no_room_for_the_special_tokens(short: Both) -> None:
    with pytest.raises(InputError, match="special tokens"):
        short.ours("a b c", truncation=True, max_length=1)


@pytest.mark.parametrize(
    "item",
    [
        5,
        1.5,
        None,
        b"bytes",
        object(),
        {"text": 5},
        {"text": None},
        {"text": "a", "text_pair": 5},
        {},
        {"text_pair": "a"},
        ["a", "b"],
        [["a", "b", "c"]],
        [["a", 5]],
    ],
    ids=lambda item: repr(item).partition(" at ")[0],
)
def test_what_is_no_text_is_a_type_error(classify: Both, item: Any) -> None:
    with pytest.raises(TypeError, match=r"(?i)item 1\b"):
        classify.ours(["fine", item])
    if not isinstance(item, list):
        with pytest.raises(TypeError):
            classify.ours(item)


@pytest.mark.parametrize("item", [5, None, b"bytes", {"text": "a"}, ["a", "b"]], ids=repr)
def test_what_is_no_text_has_no_features(extract: Both, item: Any) -> None:
    with pytest.raises(TypeError, match=r"(?i)item 1\b"):
        extract.ours(["fine", item])


@pytest.mark.parametrize("text", ["\ud800", "fine until \udfff here", "\udc80\udc81"])
def test_lone_surrogates_are_refused(classify: Both, chinese: Both, text: str) -> None:
    for pipelines in (classify, chinese):
        with pytest.raises(InputError, match="Unicode"):
            pipelines.ours(text)
        with pytest.raises(InputError, match="Item 1"):
            pipelines.ours(["fine", {"text": "fine", "text_pair": text}])


def test_a_bundle_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    make_model("text-classification").save_pretrained(tmp_path / "checkpoint")
    albert_edge.export(tmp_path / "checkpoint", tmp_path / "bundle")
    with pytest.raises(BundleError, match=r"no tokenizer\.json") as caught:
        albert_edge.pipeline(model=tmp_path / "bundle")
    assert "Session" in caught.value.tip


def test_a_closed_pipeline_is_a_usage_error(classify: Both) -> None:
    with albert_edge.pipeline(model=classify.bundle) as made:
        assert made("fine") == classify.ours("fine")
    with pytest.raises(UsageError, match="closed"):
        made("fine")
