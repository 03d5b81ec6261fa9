"""The fill-mask pipeline against transformers': the same call gives the same answer."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.fill_mask import CHINESE_WORDS, ENGLISH_WORDS, MASKED
from support.pipelines import (
    POSITIONS,
    REFERENCE,
    SENTENCES,
    Both,
    both,
    checkpoint,
    one_thread,
)

import albert_edge
from albert_edge.errors import InputError, UsageError

__all__ = ["one_thread"]  # a fixture of every test here

pytestmark = [
    pytest.mark.reference,
    # Warnings about targets are looked at where they matter.
    pytest.mark.filterwarnings("ignore:The target"),
]

# Spaces before all that transformers' clean-up looks for.
CLEANED = "It ' s [MASK] , is n't it ? I 'm sure . We 've , they 're ' so ' !"
TEXTS = {
    "start": "[MASK] is the capital of France.",
    "middle": "Paris is the [MASK] of France, is n't it?",
    "end": "Paris is the capital of [MASK]",
    "alone": "[MASK]",
    "inside a word": "un[MASK]able",
    "two": "[MASK] is the capital of [MASK].",
    "neighbours": "Paris is [MASK][MASK] [MASK]!",
    "Chinese": "今天[MASK]气很好。",
    "Chinese two": "[MASK]天天气很[MASK]。",
    "cleaned": CLEANED,
    "cleaned two": CLEANED + CLEANED,
    "special": "[CLS] <pad> [PAD] <unk> [UNK] [MASK] [SEP] after",
}


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both(tmp_path_factory.mktemp("english"), "fill-mask")


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both(tmp_path_factory.mktemp("chinese"), "fill-mask", "vocab.txt", seed=1)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("short")
    return both(folder, "fill-mask", max_position_embeddings=POSITIONS)


@pytest.fixture(params=["english", "chinese"])
def pipelines(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def assert_same(ours: Any, theirs: Any) -> None:
    """The same types and nesting; of tokens with the same score by rounding, any order."""
    assert type(ours) is type(theirs) is list
    assert len(ours) == len(theirs)
    if ours and isinstance(ours[0], dict):
        assert_same_tokens(ours, theirs)
        return
    for one, other in zip(ours, theirs, strict=True):
        assert_same(one, other)


def assert_same_tokens(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    by_token = {entry["token"]: entry for entry in theirs}
    assert len(by_token) == len({entry["token"] for entry in ours}) == len(ours)
    for one, other in zip(ours, theirs, strict=True):
        assert list(one) == list(other) == ["score", "token", "token_str", "sequence"]
        assert [type(value) for value in one.values()] == [float, int, str, str]
        # Random models score all tokens low, so the 1e-5 that is asked for would prove little.
        assert one["score"] == pytest.approx(other["score"], rel=1e-4, abs=1e-12)
        same = by_token.get(one["token"])
        if same is None:  # swapped with the first one left out
            assert one["score"] == pytest.approx(theirs[-1]["score"], rel=1e-4, abs=1e-12)
        else:
            assert one["score"] == pytest.approx(same["score"], rel=1e-4, abs=1e-12)
            assert {**one, "score": None} == {**same, "score": None}


def test_answers_tell_texts_and_masks_apart(pipelines: Both) -> None:
    # Else the comparisons prove nothing.
    one, other = pipelines.ours([TEXTS["middle"], TEXTS["Chinese"]])
    assert [entry["score"] for entry in one] != [entry["score"] for entry in other]
    first, second = pipelines.ours(TEXTS["two"])
    assert [entry["score"] for entry in first] != [entry["score"] for entry in second]
    assert len({entry["token"] for entry in first}) == 5


@pytest.mark.parametrize("top_k", [{}, {"top_k": None}, {"top_k": 1}, {"top_k": 1000}], ids=str)
@pytest.mark.parametrize("text", TEXTS)
def test_masks_anywhere(pipelines: Both, text: str, top_k: dict[str, Any]) -> None:
    assert_same(pipelines.ours(TEXTS[text], **top_k), pipelines.theirs(TEXTS[text], **top_k))


def test_the_whole_vocabulary(pipelines: Both) -> None:
    size = pipelines.theirs.model.config.vocab_size  # type: ignore[attr-defined]
    for text in (TEXTS["alone"], TEXTS["cleaned"]):
        ours = pipelines.ours(text, top_k=size)
        assert len(ours) == size
        assert_same(ours, pipelines.theirs(text, top_k=size))
        with pytest.raises(UsageError, match=f"top_k is {size + 1}; the model has {size} tokens"):
            pipelines.ours(text, top_k=size + 1)


@pytest.mark.parametrize("top_k", [{}, {"top_k": 1}, {"top_k": 99_999}], ids=str)
@pytest.mark.parametrize(
    "targets",
    ["good", ["good"], ENGLISH_WORDS, CHINESE_WORDS, ("good", "bad"), ["good", "", "good"]],
    ids=str,
)
def test_targets(pipelines: Both, targets: Any, top_k: dict[str, Any]) -> None:
    for text in (TEXTS["start"], TEXTS["two"], [TEXTS["middle"], TEXTS["neighbours"]]):
        ours = pipelines.ours(text, targets=targets, **top_k)
        assert_same(ours, pipelines.theirs(text, targets=targets, **top_k))


def test_a_target_that_is_no_token_is_told(english: Both) -> None:
    with pytest.warns(UserWarning, match=r"'goodzzz' is not in the vocabulary; '▁good' stands"):
        (answer,) = english.ours("[MASK]", targets=["goodzzz"])
    assert answer["token_str"] == "good"
    with pytest.warns(UserWarning, match="'' is not in the vocabulary; it is ignored"):
        english.ours("[MASK]", targets=["", "good"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        english.ours("[MASK]", targets=["good", "▁good"])


TWO, ONE = TEXTS["two"], TEXTS["start"]


@pytest.mark.parametrize("inputs", [[ONE], [TWO], [ONE, TWO], [TWO, TWO, ONE]], ids=len)
def test_lists(pipelines: Both, inputs: list[str]) -> None:
    assert_same(pipelines.ours(inputs), pipelines.theirs(inputs))
    assert_same(pipelines.ours(inputs, batch_size=2), pipelines.theirs(inputs))
    assert pipelines.ours([]) == []  # transformers 5 raises IndexError


@pytest.mark.parametrize("inputs", [[ONE], [TWO], [ONE, TWO, ONE]], ids=len)
def test_a_generator_is_answered_lazily(pipelines: Both, inputs: list[str]) -> None:
    taken = []

    def texts() -> Iterator[str]:
        for text in inputs:
            taken.append(text)
            yield text

    answers = pipelines.ours(texts(), top_k=2)
    assert taken == []
    first = next(answers)
    assert taken == inputs[:1]
    assert_same([first, *answers], list(pipelines.theirs((text for text in inputs), top_k=2)))


@pytest.mark.parametrize("clean_up", [True, False])
@pytest.mark.parametrize(
    ("vocabulary", "mask", "padding"),
    [("spiece.model", "▁is", "▁of"), ("vocab.txt", "[unused2]", "[unused1]")],
)
def test_the_settings_of_the_tokenizer_are_followed(
    tmp_path: Path, vocabulary: str, mask: str, padding: str, clean_up: bool
) -> None:
    source = checkpoint(tmp_path / "checkpoint", "fill-mask", vocabulary)
    config = {"mask_token": mask, "pad_token": padding, "clean_up_tokenization_spaces": clean_up}
    (source / "tokenizer_config.json").write_text(json.dumps(config))
    bundle = tmp_path / "bundle"
    albert_edge.export(source, bundle)
    tokenizer = REFERENCE.AutoTokenizer.from_pretrained(bundle)
    assert (tokenizer.mask_token, tokenizer.pad_token) == (mask, padding)
    theirs = REFERENCE.pipeline("fill-mask", model=str(source), tokenizer=tokenizer, device="cpu")
    ours = albert_edge.pipeline("fill-mask", model=bundle, threads=1)
    for text in TEXTS.values():
        own = text.replace("[MASK]", mask)
        assert_same(ours(own), theirs(own))


# --- generated texts ------------------------------------------------------------------------

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "top_k": st.integers(1, 9),
        "targets": st.lists(
            st.sampled_from(ENGLISH_WORDS + CHINESE_WORDS) | st.text("ab天▁", min_size=1),
            min_size=1,
        ),
    },
)


def assert_filled_the_same(pipelines: Both, text: str, options: dict[str, Any]) -> None:
    try:
        theirs = pipelines.theirs(text, **options)
    except ValueError as error:  # of targets such as "▁▁", which is no token
        assert "At least one target" in str(error)
        with pytest.raises(UsageError, match="nothing in it is a token"):
            pipelines.ours(text, **options)
    else:
        assert_same(pipelines.ours(text, **options), theirs)


@example(text="[MASK]", options={"targets": ["▁▁"]})
@given(text=MASKED, options=OPTIONS)
@settings(deadline=None, max_examples=150)
def test_any_text_is_filled_the_same(english: Both, text: str, options: dict[str, Any]) -> None:
    assert_filled_the_same(english, text, options)


@given(text=MASKED, options=OPTIONS)
@settings(deadline=None, max_examples=150)
def test_any_chinese_text_is_filled_the_same(
    chinese: Both, text: str, options: dict[str, Any]
) -> None:
    assert_filled_the_same(chinese, text, options)


# --- truncation and what is refused ---------------------------------------------------------

LONG = "[MASK] " + " ".join(SENTENCES)


@pytest.mark.parametrize("options", [{"truncation": True}, {"truncation": True, "max_length": 9}])
def test_truncation(short: Both, options: dict[str, Any]) -> None:
    theirs = short.theirs(LONG, tokenizer_kwargs=options)
    assert_same(short.ours(LONG, tokenizer_kwargs=options), theirs)
    assert_same(short.ours(LONG, **options), theirs)


def test_a_text_over_the_limit_is_refused(short: Both) -> None:
    with pytest.raises(InputError, match=f"at most {POSITIONS}") as caught:
        short.ours(LONG)
    assert "truncation=True" in caught.value.tip


def test_a_text_without_a_mask_is_refused(pipelines: Both) -> None:
    for text in ("", "no mask", "[mask]", "mask"):
        with pytest.raises(InputError, match=r"no \[MASK\]") as caught:
            pipelines.ours(text)
        assert "Write [MASK]" in caught.value.tip
    with pytest.raises(InputError, match=r"Item 1: .*no \[MASK\]"):
        pipelines.ours(["[MASK]", "no mask"])


def test_a_mask_that_was_cut_off_is_refused(short: Both) -> None:
    with pytest.raises(InputError, match="nothing to fill") as caught:
        short.ours(LONG.removeprefix("[MASK]") + "[MASK]", truncation=True)
    assert "truncation" in caught.value.tip


@pytest.mark.parametrize("targets", ["", [], [""], ["", ""], ["\ud800"], 5, [5], ["a", 5], b"a"])
def test_targets_that_are_no_tokens_are_refused(english: Both, targets: Any) -> None:
    with pytest.raises(UsageError, match="target") as caught:
        english.ours("[MASK]", targets=targets)
    assert caught.value.tip


@pytest.mark.parametrize("top_k", [0, -1, 1.5, True, "5"], ids=repr)
def test_a_top_k_without_meaning_is_refused(english: Both, top_k: Any) -> None:
    with pytest.raises(UsageError, match="top_k is"):
        english.ours("[MASK]", top_k=top_k)


@pytest.mark.parametrize("item", [5, None, b"[MASK]", {"text": "[MASK]"}, ["[MASK]"]], ids=repr)
@pytest.mark.parametrize("make", [list, tuple])
def test_what_is_no_text_is_a_type_error(
    english: Both, item: Any, make: Callable[..., Any]
) -> None:
    with pytest.raises(TypeError, match="must be a string"):
        english.ours(make(["[MASK]", item]))
