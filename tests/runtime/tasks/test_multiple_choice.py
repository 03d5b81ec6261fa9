"""Multiple choice against AlbertForMultipleChoice, asked as the examples of transformers ask it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import (
    ANY_TEXT,
    POSITIONS,
    REFERENCE,
    checkpoint,
    one_thread,
    words,
)

import albert_edge
from albert_edge.errors import InputError, UsageError
from albert_edge.runtime.load import load_pipeline
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.session import Session

__all__ = ["one_thread"]  # a fixture of every test here

pytestmark = pytest.mark.reference

PIZZA = {
    "prompt": "In Italy, pizza served in formal settings is presented unsliced.",
    "choices": [
        "It is eaten with a fork and a knife.",
        "It is eaten while held in the hand, all of it, by everybody in the room.",
        "No.",
        "今天天气很好。",
    ],
}
LABELS = PIZZA["choices"]


@dataclass(frozen=True, repr=False)
class Choosers:
    """Our pipeline on a bundle, and the model and the tokenizer of transformers."""

    bundle: Path
    ours: Pipeline
    model: Any
    tokenizer: Any

    def scores(self, item: Any, **options: Any) -> list[float]:
        """The probability of each choice: all choices in one padded batch."""
        prompts = [item["prompt"]] * len(item["choices"])
        options = {"padding": True, "return_tensors": "pt", **options}
        encoded = self.tokenizer(prompts, list(item["choices"]), **options)
        with torch.no_grad():
            logits = self.model(**{name: ids[None] for name, ids in encoded.items()}).logits
        scores: list[float] = logits.double().softmax(dim=-1)[0].tolist()
        return scores


def choosers(folder: Path, vocabulary: str = "spiece.model", **config: Any) -> Choosers:
    source = checkpoint(folder / "checkpoint", "multiple-choice", vocabulary, **config)
    bundle = folder / "bundle"
    albert_edge.export(source, bundle)
    albert_edge.optimize(bundle)
    return Choosers(
        bundle,
        albert_edge.pipeline("multiple-choice", model=bundle, threads=1),
        REFERENCE.AlbertForMultipleChoice.from_pretrained(source).eval(),
        REFERENCE.AutoTokenizer.from_pretrained(bundle),
    )


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Choosers:
    return choosers(tmp_path_factory.mktemp("english"))


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Choosers:
    return choosers(tmp_path_factory.mktemp("chinese"), "vocab.txt", seed=1)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Choosers:
    folder = tmp_path_factory.mktemp("short")
    return choosers(folder, max_position_embeddings=POSITIONS)


@pytest.fixture(params=["english", "chinese"])
def each(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def assert_answer(answer: Any, item: Any, scores: list[float]) -> None:
    """All choices, best first, each with its own score."""
    assert sorted(entry["index"] for entry in answer) == list(range(len(scores)))
    for entry in answer:
        assert list(entry) == ["label", "score", "index"]
        assert [type(value) for value in entry.values()] == [str, float, int]
        assert entry["label"] == item["choices"][entry["index"]]
        assert entry["score"] == pytest.approx(scores[entry["index"]], rel=0, abs=1e-5)
    ranked = [entry["score"] for entry in answer]
    assert ranked == sorted(ranked, reverse=True)
    assert sum(ranked) == pytest.approx(1)


def test_answers_tell_choices_and_prompts_apart(each: Choosers) -> None:
    # Else the comparisons prove nothing.
    scores = each.scores(PIZZA)
    assert np.ptp(scores) > 0.01
    assert len({round(score, 4) for score in scores}) == len(scores)
    assert np.abs(np.subtract(scores, each.scores({**PIZZA, "prompt": "Oh!"}))).max() > 1e-3


def test_the_best_choice(each: Choosers) -> None:
    scores = each.scores(PIZZA)
    best = int(np.argmax(scores))
    wanted = {"label": LABELS[best], "score": pytest.approx(scores[best], abs=1e-5), "index": best}
    assert each.ours(PIZZA) == wanted
    assert each.ours.answer(PIZZA) == wanted
    assert_answer(each.ours(PIZZA, top_k=None), PIZZA, scores)


@pytest.mark.parametrize("top_k", [1, 3, 4, 99, None])
def test_top_k(english: Choosers, top_k: int | None) -> None:
    every = english.ours(PIZZA, top_k=99)
    assert_answer(every, PIZZA, english.scores(PIZZA))
    assert english.ours(PIZZA, top_k=top_k) == every[:top_k]
    made = load_pipeline("multiple-choice", english.bundle, threads=1, top_k=top_k)
    assert made(PIZZA) == every[:top_k]
    assert made(PIZZA, top_k="") == every[0]  # as it is where it was left out


def test_choices_may_be_alike_one_or_in_a_tuple(english: Choosers) -> None:
    again = english.ours({"prompt": "Why?", "choices": ["So.", "So."]}, top_k=None)
    assert [(entry["score"], entry["index"]) for entry in again] == [(0.5, 0), (0.5, 1)]
    alone = {"prompt": "Why?", "choices": ("So.",)}
    assert english.ours(alone) == {"label": "So.", "score": 1.0, "index": 0}


def test_lists_and_generators(english: Choosers) -> None:
    items = [PIZZA, {"prompt": "", "choices": ["a", "b"]}, {"prompt": " ", "choices": [" ", "c"]}]
    answers = english.ours(items, top_k=None)
    for answer, item in zip(answers, items, strict=True):
        assert_answer(answer, item, english.scores(item))
    taken = []

    def stream() -> Iterator[Any]:
        for item in items:
            taken.append(item)
            yield item

    lazily = english.ours(stream(), top_k=None)
    assert taken == []
    assert next(lazily) == answers[0]
    assert taken == items[:1]
    assert list(lazily) == answers[1:]
    assert english.ours([]) == []


def test_each_choice_runs_alone_at_its_length(
    english: Choosers, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed = []
    run = english.ours.session.run

    def recorded(inputs: Any) -> Any:
        fed.append(inputs)
        return run(inputs)

    monkeypatch.setattr(english.ours.session, "run", recorded)
    english.ours(PIZZA)
    for inputs, choice in zip(fed, LABELS, strict=True):
        wanted = english.tokenizer(PIZZA["prompt"], choice)
        for name in ("input_ids", "attention_mask", "token_type_ids"):
            assert inputs[name].tolist() == [[wanted[name]]]


def test_the_task_is_that_of_the_bundle(english: Choosers) -> None:
    made = albert_edge.pipeline(model=english.bundle, threads=1)
    assert made.task == "multiple-choice"
    assert made(PIZZA) == english.ours(PIZZA)
    with pytest.raises(UsageError, match="multiple-choice"):
        albert_edge.pipeline("text-classification", model=english.bundle)


def test_int8(tmp_path: Path) -> None:
    made = choosers(tmp_path)
    albert_edge.quantize(made.bundle, precision="int8", min_agreement=0.5, min_cosine=0.9)
    logits = []
    with Session(made.bundle, precision="int8", threads=1) as session:
        for choice in LABELS:
            encoded = made.tokenizer(PIZZA["prompt"], choice)
            outputs = session.run({name: [[ids]] for name, ids in encoded.items()})
            logits.append(float(outputs["logits"].item()))
    exponentials = np.exp(logits)
    scores = (exponentials / exponentials.sum()).tolist()
    with albert_edge.pipeline(model=made.bundle, precision="int8", threads=1) as ours:
        assert_answer(ours(PIZZA, top_k=None), PIZZA, scores)
    assert scores != pytest.approx(made.scores(PIZZA), rel=0, abs=1e-6)  # int8 it was


# --- generated items ------------------------------------------------------------------------

ANY_PROMPT = ANY_TEXT.map(lambda text: text[:200])
ANY_CHOICE = ANY_TEXT.map(lambda text: text[:100])
ITEMS = st.fixed_dictionaries(
    {"prompt": ANY_PROMPT, "choices": st.lists(ANY_CHOICE, min_size=1, max_size=4)}
)


@given(item=ITEMS)
@settings(deadline=None, max_examples=150)
def test_any_choice_has_the_same_score(english: Choosers, item: Any) -> None:
    assert_answer(english.ours(item, top_k=None), item, english.scores(item))


@given(item=ITEMS)
@settings(deadline=None, max_examples=150)
def test_any_chinese_choice_has_the_same_score(chinese: Choosers, item: Any) -> None:
    assert_answer(chinese.ours(item, top_k=None), item, chinese.scores(item))


# --- truncation and what is refused ---------------------------------------------------------

LONG_PROMPT = {"prompt": words(40), "choices": ["red house", "tree", "river king city"]}
LONG_CHOICE = {"prompt": "one two", "choices": ["red", words(POSITIONS), words(40), "blue"]}


@pytest.mark.parametrize(
    "options",
    [
        {"truncation": True},
        {"truncation": "longest_first", "max_length": 12},
        {"truncation": "only_first"},
        {"truncation": "only_first", "max_length": 9},
    ],
    ids=str,
)
def test_a_long_prompt_is_cut(short: Choosers, options: dict[str, Any]) -> None:
    wanted = short.scores(LONG_PROMPT, **{"max_length": POSITIONS, **options})
    assert_answer(short.ours(LONG_PROMPT, top_k=None, **options), LONG_PROMPT, wanted)


@pytest.mark.parametrize("truncation", [True, "only_second"])
def test_a_long_choice_is_cut(short: Choosers, truncation: bool | str) -> None:
    wanted = short.scores(LONG_CHOICE, truncation=truncation, max_length=POSITIONS)
    ours = short.ours(LONG_CHOICE, top_k=None, truncation=truncation)
    assert_answer(ours, LONG_CHOICE, wanted)


def test_the_choice_that_is_too_long_is_named(short: Choosers) -> None:
    told = f"Choice 1, with the prompt: .*{POSITIONS + 3} tokens.*at most {POSITIONS}"
    with pytest.raises(InputError, match=told) as caught:
        short.ours(LONG_CHOICE)
    assert "truncation=True" in caught.value.tip
    with pytest.raises(InputError, match="Item 1: Choice 1"):
        short.ours([{**LONG_CHOICE, "choices": ["red"]}, LONG_CHOICE])
    with pytest.raises(InputError, match="Choice 0"):
        short.ours(LONG_PROMPT)
    # A prompt has nothing left to give.
    with pytest.raises(InputError, match=r"Choice 1.*leaves no room"):
        short.ours(LONG_CHOICE, truncation="only_first")


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("What?", "must be {"),
        (None, "must be {"),
        ({}, "must be {"),
        ({"prompt": "a"}, "must be {"),
        ({"choices": ["a"]}, "must be {"),
        ({"prompt": "a", "choices": "bc"}, "choices must be a list of strings, not str"),
        ({"prompt": "a", "choices": None}, "choices must be a list of strings, not NoneType"),
        ({"prompt": "a", "choices": ["b", 5]}, "choice 1 must be a string, not int"),
        ({"prompt": "a", "choices": ["b", None]}, "choice 1 must be a string, not NoneType"),
        ({"prompt": 5, "choices": ["b"]}, "must be a string, not int"),
        ({"prompt": None, "choices": ["b"]}, "must be a string, not NoneType"),
    ],
    ids=str,
)
def test_what_is_no_question_is_a_type_error(english: Choosers, item: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        english.ours(item)
    with pytest.raises(TypeError, match=f"item 1: .*{told}"):
        english.ours([PIZZA, item])


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"prompt": "a", "choices": []}, "no choices"),
        ({"prompt": "a", "choices": ["b", "\ud800"]}, "Choice 1.*Unicode"),
        ({"prompt": "\udfff", "choices": ["b"]}, "Choice 0, with the prompt.*Unicode"),
    ],
    ids=ascii,
)
def test_what_cannot_be_answered_is_refused(english: Choosers, item: Any, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        english.ours(item)
    assert caught.value.tip


@pytest.mark.parametrize("top_k", [0, -1, 1.5, True, "5", [1]], ids=repr)
def test_a_top_k_without_meaning_is_refused(english: Choosers, top_k: Any) -> None:
    with pytest.raises(UsageError, match="top_k is"):
        english.ours(PIZZA, top_k=top_k)


def test_an_unknown_parameter_is_refused(english: Choosers) -> None:
    with pytest.raises(UsageError, match="no parameter function_to_apply"):
        english.ours(PIZZA, function_to_apply="none")
    with pytest.raises(UsageError, match="truncation"):
        english.ours(PIZZA, truncation="shortest_first")
