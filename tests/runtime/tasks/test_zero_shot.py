"""Zero-shot classification against transformers.pipeline: the same call gives the same scores."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import (
    ANY_TEXT,
    POSITIONS,
    REFERENCE,
    SENTENCES,
    WORDS,
    Both,
    assert_same,
    checkpoint,
    one_thread,
    pair,
    words,
)

import albert_edge
from albert_edge.errors import InputError, UsageError
from albert_edge.runtime.session import Session

__all__ = ["one_thread"]  # a fixture of every test here

pytestmark = pytest.mark.reference

TASK: Final = "zero-shot-classification"
NLI = ["contradiction", "neutral", "entailment"]
LABELS = ["politics", "sports", "good food", "中文"]
TEMPLATE = "Das ist {}!"


def inference(
    folder: Path, vocabulary: str = "spiece.model", names: list[str] = NLI, **config: Any
) -> Both:
    """Both pipelines of a random model whose labels have these names."""
    config |= {"id2label": dict(enumerate(names)), "num_labels": len(names)}
    config |= {"label2id": {name: index for index, name in enumerate(names)}}
    source = checkpoint(folder / "checkpoint", "text-classification", vocabulary, **config)
    return pair(TASK, source, folder / "bundle")


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return inference(tmp_path_factory.mktemp("english"))


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return inference(tmp_path_factory.mktemp("chinese"), "vocab.txt", seed=1)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("short")
    return inference(folder, max_position_embeddings=POSITIONS)


@pytest.fixture(params=["english", "chinese"])
def pipelines(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


# --- calls ----------------------------------------------------------------------------------

CALLS: dict[str, Any] = {
    "str": SENTENCES[0],
    "list": SENTENCES[:3],
    "list of one": SENTENCES[3:4],
    "blank": "  \n",
    "empty list": [],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "template": {"hypothesis_template": TEMPLATE},
    "template with a name and a width": {"hypothesis_template": "{0!r} {0:>9} {{}}"},
    "multi label": {"multi_label": True},
    "both": {"multi_label": True, "hypothesis_template": TEMPLATE},
    "not multi label": {"multi_label": False},
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("call", CALLS)
def test_every_kind_of_call(pipelines: Both, call: str, options: str) -> None:
    if not CALLS[call]:
        assert pipelines.ours([], LABELS, **OPTIONS[options]) == []  # transformers 5: IndexError
        return
    ours = pipelines.ours(CALLS[call], candidate_labels=LABELS, **OPTIONS[options])
    assert_same(ours, pipelines.theirs(CALLS[call], candidate_labels=LABELS, **OPTIONS[options]))
    assert_same(pipelines.ours(CALLS[call], LABELS, **OPTIONS[options]), ours)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(
    "labels",
    ["politics, sports,good food ,,中文, ", "alone", ["alone"], ("a", "b"), [" a ", "a,b", " "]],
    ids=repr,
)
def test_every_kind_of_labels(pipelines: Both, labels: Any, multi_label: bool) -> None:
    for texts in (SENTENCES[0], SENTENCES[:2]):
        ours = pipelines.ours(texts, labels, multi_label=multi_label)
        assert_same(ours, pipelines.theirs(texts, labels, multi_label=multi_label))


def test_answers_tell_texts_labels_and_options_apart(pipelines: Both) -> None:
    # Else the comparisons prove nothing.
    answers = pipelines.ours(SENTENCES[:9], LABELS)
    assert len({tuple(answer["labels"]) for answer in answers}) > 1
    for options in OPTIONS:
        (answer,) = pipelines.ours(SENTENCES[:1], LABELS, **OPTIONS[options])
        gaps = -np.diff(answer["scores"])
        assert gaps.min() > 1e-4
        if options not in ("default", "not multi label"):
            assert answer["scores"] != pytest.approx(answers[0]["scores"], abs=1e-3)


def test_the_scores_sum_to_one_unless_several_labels_may_fit(pipelines: Both) -> None:
    answer = pipelines.ours(SENTENCES[0], LABELS)
    assert list(answer) == ["sequence", "labels", "scores"]
    assert sum(answer["scores"]) == pytest.approx(1, abs=1e-6)
    assert sorted(answer["labels"]) == sorted(LABELS)
    assert sum(pipelines.ours(SENTENCES[0], LABELS, multi_label=True)["scores"]) != pytest.approx(1)


@pytest.mark.parametrize("labels", [["sports", "Sports", "SPORTS", "food"], ["a", "a", "b"]])
def test_labels_with_the_same_score_keep_the_order_of_transformers(
    pipelines: Both, labels: list[str]
) -> None:
    ours = pipelines.ours(SENTENCES[0], labels)
    assert len(set(ours["scores"])) == 2  # to the model they are one label
    assert_same(ours, pipelines.theirs(SENTENCES[0], labels))


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_generator_is_answered_lazily(english: Both, multi_label: bool) -> None:
    taken = []

    def texts() -> Iterator[str]:
        for text in SENTENCES[:3]:
            taken.append(text)
            yield text

    answers = english.ours(texts(), LABELS, multi_label=multi_label)
    assert taken == []
    first = next(answers)
    assert taken == SENTENCES[:1]
    theirs = english.theirs((text for text in SENTENCES[:3]), LABELS, multi_label=multi_label)
    assert_same([first, *answers], list(theirs))


def test_defaults_given_when_the_pipeline_is_made(english: Both, tmp_path: Path) -> None:
    defaults = {"candidate_labels": "one,two", "multi_label": True, "hypothesis_template": TEMPLATE}
    pipelines = pair(TASK, english.bundle.parent / "checkpoint", tmp_path / "bundle", **defaults)
    for texts in (SENTENCES[0], SENTENCES[:2]):
        assert_same(pipelines.ours(texts), english.ours(texts, **defaults))
        for options in ({}, {"candidate_labels": LABELS}, {"multi_label": False}):
            assert_same(pipelines.ours(texts, **options), pipelines.theirs(texts, **options))


def test_the_task_is_asked_for_by_name(english: Both) -> None:
    assert albert_edge.pipeline(model=english.bundle).task == "text-classification"
    named = albert_edge.pipeline(TASK, model=english.bundle)
    assert named.task == TASK
    assert named(SENTENCES[0], LABELS) == english.ours(SENTENCES[0], LABELS)
    assert named.answer(SENTENCES[0], candidate_labels=LABELS) == named(SENTENCES[0], LABELS)


# --- which label is entailment --------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ["entailment", "neutral", "contradiction"],
        ["contradiction", "ENTAILS", "neutral"],
        ["entailment", "not_entailment"],
        ["not_entailment", "Entailment"],
        ["entailment"],
    ],
    ids=str,
)
def test_entailment_is_found_by_its_name(tmp_path: Path, names: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "No label")
        pipelines = inference(tmp_path, names=names, seed=4)
    for options in OPTIONS.values():
        ours = pipelines.ours(SENTENCES[:2], LABELS, **options)
        assert_same(ours, pipelines.theirs(SENTENCES[:2], LABELS, **options))


@pytest.mark.parametrize("names", [["no", "maybe", "yes"], ["no entailment", "x"], ["a"]], ids=str)
def test_without_entailment_the_last_label_is_taken_and_told(
    tmp_path: Path, names: list[str]
) -> None:
    with pytest.warns(UserWarning, match=f"starts with 'entail'.*{names[-1]!r}") as caught:
        pipelines = inference(tmp_path, names=names, seed=5)
    assert any(Path(warning.filename).name == "pipelines.py" for warning in caught)
    for options in OPTIONS.values():
        ours = pipelines.ours(SENTENCES[:2], LABELS, **options)
        assert_same(ours, pipelines.theirs(SENTENCES[:2], LABELS, **options))


# --- generated texts ------------------------------------------------------------------------

ANY_CALL = st.fixed_dictionaries(
    {
        "inputs": ANY_TEXT.filter(bool),
        "candidate_labels": st.lists(ANY_TEXT.map(lambda text: text[:60]), min_size=1, max_size=4),
    },
    optional={
        "multi_label": st.booleans(),
        "hypothesis_template": st.sampled_from([TEMPLATE, "今天{}。", "{} [SEP] {{}}"]),
    },
)


def compare(pipelines: Both, inputs: str, **options: Any) -> None:
    """Scores by label: two that differ by rounding alone may change places."""
    ours = pipelines.ours(inputs, truncation=True, **options)
    theirs = pipelines.theirs(inputs, **options)
    assert list(ours) == list(theirs)
    assert ours["sequence"] == theirs["sequence"]
    assert ours["scores"] == sorted(ours["scores"], reverse=True)
    assert [type(score) for score in ours["scores"]] == [float] * len(ours["labels"])
    ranked, wanted = (
        sorted(zip(answer["labels"], answer["scores"], strict=True)) for answer in (ours, theirs)
    )
    assert [label for label, _ in ranked] == [label for label, _ in wanted]
    np.testing.assert_allclose(
        [score for _, score in ranked], [score for _, score in wanted], rtol=0, atol=1e-5
    )


@given(call=ANY_CALL)
@settings(deadline=None, max_examples=120)
def test_any_text_and_labels(english: Both, call: dict[str, Any]) -> None:
    compare(english, **call)


@given(call=ANY_CALL)
@settings(deadline=None, max_examples=120)
def test_any_chinese_text_and_labels(chinese: Both, call: dict[str, Any]) -> None:
    compare(chinese, **call)


# --- int8 -----------------------------------------------------------------------------------


def test_int8(english: Both, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    albert_edge.export(english.bundle.parent / "checkpoint", bundle)
    # What matters here is what is made of the outputs, not how far they are from those of fp32.
    albert_edge.quantize(bundle, precision="int8", min_agreement=0.5, min_cosine=0.5)
    ours = albert_edge.pipeline(TASK, model=bundle, precision="int8")
    session = Session(bundle, precision="int8")
    tokenizer = REFERENCE.AutoTokenizer.from_pretrained(bundle)
    for text in SENTENCES[:3]:
        encoded = [tokenizer(text, f"This example is {label}.") for label in LABELS]
        runs = [{name: [ids] for name, ids in inputs.items()} for inputs in encoded]
        logits = np.concatenate([session.run(run)["logits"] for run in runs]).astype(np.float64)
        one, several = ours(text, LABELS), ours(text, LABELS, multi_label=True)
        shares = np.exp(logits[:, 2]) / np.exp(logits[:, 2]).sum()
        odds = 1 / (1 + np.exp(logits[:, 0] - logits[:, 2]))
        for answer, scores in ((one, shares), (several, odds)):
            got = dict(zip(answer["labels"], answer["scores"], strict=True))
            assert got == pytest.approx(dict(zip(LABELS, scores, strict=True)), rel=0, abs=1e-5)


# --- truncation and what is refused ---------------------------------------------------------

LONG = " ".join(WORDS)


@pytest.mark.parametrize("multi_label", [False, True])
def test_transformers_cuts_and_we_cut_if_asked(short: Both, multi_label: bool) -> None:
    options = {"candidate_labels": ["white", "red and blue"], "multi_label": multi_label}
    for truncation in (True, "only_first"):
        for texts in (LONG, [LONG, "fine", SENTENCES[0]]):
            ours = short.ours(texts, truncation=truncation, **options)
            assert_same(ours, short.theirs(texts, **options))


def test_the_text_is_cut_and_the_label_is_not(short: Both) -> None:
    hypothesis = 5  # tokens of "This example is white."
    room = POSITIONS - 3 - hypothesis
    kept = " ".join(WORDS[:room])
    assert short.ours(kept, ["white"])["scores"]  # fits
    with pytest.raises(InputError):
        short.ours(" ".join(WORDS[: room + 1]), ["white"])
    cut = short.ours(LONG, ["white"], truncation=True)
    assert cut == {**short.ours(kept, ["white"]), "sequence": LONG}
    lower = short.ours(LONG, ["white"], truncation=True, max_length=POSITIONS - 2)
    shorter = short.ours(" ".join(WORDS[: room - 2]), ["white"])
    assert lower["scores"] == shorter["scores"] != cut["scores"]
    either = short.ours("one", [LONG], truncation="longest_first")
    assert either["labels"] == [LONG]


def test_a_text_over_the_limit_is_refused(short: Both) -> None:
    fits = words(POSITIONS - 6)
    assert short.ours(fits, ["white"])["labels"] == ["white"]
    with pytest.raises(InputError, match=r"label 'red and blue'.*tokens.*at most") as caught:
        short.ours(fits, ["white", "red and blue"])
    assert "truncation=True" in caught.value.tip
    with pytest.raises(InputError, match="Item 1: With the label 'white'"):
        short.ours(["fine", LONG], ["white"])


def test_a_label_without_room_for_a_text_is_refused(short: Both) -> None:
    with pytest.raises(InputError, match=r"label 'one two.*no room"):
        short.ours("fine", [LONG], truncation=True)
    options: dict[str, Any] = {"hypothesis_template": "{}", "truncation": True}
    longest = " ".join(WORDS[: POSITIONS - 4])
    assert short.ours(LONG, [longest], **options)["labels"] == [longest]
    with pytest.raises(InputError, match="no room"):
        short.ours(LONG, [" ".join(WORDS[: POSITIONS - 3])], **options)


def test_an_empty_hypothesis_is_a_segment(pipelines: Both) -> None:
    options: dict[str, Any] = {"candidate_labels": ["a", ""], "hypothesis_template": "{}"}
    assert_same(pipelines.ours("text", **options), pipelines.theirs("text", **options))


@pytest.mark.parametrize("text", ["", [""], ["fine", ""]], ids=repr)
def test_an_empty_text_is_refused(english: Both, text: Any) -> None:
    with pytest.raises(ValueError, match="at least one sequence"):
        english.theirs(text, LABELS)
    with pytest.raises(InputError, match="empty") as caught:
        english.ours(text, LABELS)
    assert str(caught.value).startswith("Item") == isinstance(text, list)


@pytest.mark.parametrize("labels", ["", " , ", [], (), [5], ["a", None], 5, {"a"}, b"a"], ids=repr)
def test_labels_without_meaning_are_refused(english: Both, labels: Any) -> None:
    with pytest.raises(UsageError, match="candidate_labels is"):
        english.ours("text", labels)
    with pytest.raises(UsageError, match="candidate_labels is"):
        albert_edge.pipeline(TASK, model=english.bundle, candidate_labels=labels)


def test_labels_left_out_are_asked_for(english: Both) -> None:
    for texts in ("text", ["text"]):
        with pytest.raises(UsageError, match="candidate_labels is missing"):
            english.ours(texts)


@pytest.mark.parametrize(
    "template", ["", "no place", "{{}}", "{} {}", "{label}", "{0.name}", "{", "{:d}", 5, None]
)
def test_a_template_without_a_place_for_a_label_is_refused(english: Both, template: Any) -> None:
    with pytest.raises(UsageError, match="hypothesis_template is") as caught:
        english.ours("text", LABELS, hypothesis_template=template)
    assert "{}" in caught.value.tip


def test_a_label_of_braces_is_a_label(english: Both) -> None:
    assert english.ours("text", ["{}"], hypothesis_template="{}")["labels"] == ["{}"]


@pytest.mark.parametrize("item", [5, None, b"bytes", {"text": "a"}, ["a", "b"], ("a",)], ids=repr)
def test_what_is_no_text_is_a_type_error(english: Both, item: Any) -> None:
    with pytest.raises(TypeError, match=r"item 1\b.*must be a string"):
        english.ours(["fine", item], LABELS)
    if not isinstance(item, list):
        with pytest.raises(TypeError, match="must be a string"):
            english.ours(item, LABELS)


def test_lone_surrogates_are_refused(english: Both) -> None:
    with pytest.raises(InputError, match=r"Item 1: .*Unicode"):
        english.ours(["fine", "\ud800"], LABELS)
    with pytest.raises(InputError, match=r"label '\\ud800'.*Unicode"):
        english.ours("fine", ["fine", "\ud800"])


@pytest.mark.parametrize("name", ["truncate", "top_k", "multiclass"])
def test_an_unknown_parameter_is_refused(english: Both, name: str) -> None:
    with pytest.raises(UsageError, match=f"no parameter {name}"):
        english.ours("text", LABELS, **{name: True})
