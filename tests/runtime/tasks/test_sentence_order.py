"""Sentence order against the sop_logits of transformers.AlbertForPreTraining."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pipelines import ANY_TEXT, POSITIONS, REFERENCE, checkpoint, one_thread, words

import albert_edge
from albert_edge.errors import BundleError, InputError, UsageError
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.session import Session

__all__ = ["one_thread"]  # a fixture of every test here

pytestmark = pytest.mark.reference

PAIR = {"text": "She opened the door.", "text_pair": "Then she went in, 今天."}
SWAPPED = {"text": PAIR["text_pair"], "text_pair": PAIR["text"]}
IN_ORDER = {"text": "Where is it?", "text_pair": "It is here."}
TOP_K: dict[str, dict[str, Any]] = {
    "absent": {},
    "empty": {"top_k": ""},
    "1": {"top_k": 1},
    "2": {"top_k": 2},
    "more": {"top_k": 99},
    "None": {"top_k": None},
}


@dataclass(frozen=True, repr=False)
class Orderers:
    """Our pipeline on a bundle, and the model and the tokenizer of transformers."""

    bundle: Path
    ours: Pipeline
    model: Any
    tokenizer: Any

    def scores(self, item: Any, **options: Any) -> list[float]:
        """The probabilities of sentence_order_label 0 and 1."""
        encoded = self.tokenizer(item["text"], item["text_pair"], return_tensors="pt", **options)
        with torch.no_grad():
            logits = self.model(**encoded).sop_logits
        scores: list[float] = logits.double().softmax(dim=-1)[0].tolist()
        return scores


def orderers(folder: Path, vocabulary: str = "spiece.model", **config: Any) -> Orderers:
    source = checkpoint(folder / "checkpoint", "pretraining", vocabulary, **config)
    bundle = folder / "bundle"
    albert_edge.export(source, bundle)
    albert_edge.optimize(bundle)
    return Orderers(
        bundle,
        albert_edge.pipeline("sentence-order", model=bundle, threads=1),
        REFERENCE.AlbertForPreTraining.from_pretrained(source).eval(),
        REFERENCE.AutoTokenizer.from_pretrained(bundle),
    )


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Orderers:
    return orderers(tmp_path_factory.mktemp("english"))


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Orderers:
    return orderers(tmp_path_factory.mktemp("chinese"), "vocab.txt", seed=1)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Orderers:
    folder = tmp_path_factory.mktemp("short")
    return orderers(folder, max_position_embeddings=POSITIONS)


@pytest.fixture(params=["english", "chinese"])
def each(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def assert_answer(answer: Any, scores: list[float]) -> None:
    """Both labels, best first, each with its own score."""
    named = dict(zip(("in-order", "swapped"), scores, strict=True))
    assert sorted(entry["label"] for entry in answer) == sorted(named)
    assert answer[0]["score"] >= answer[1]["score"]
    for entry in answer:
        assert list(entry) == ["label", "score"]
        assert type(entry["score"]) is float
        assert entry["score"] == pytest.approx(named[entry["label"]], rel=0, abs=1e-5)


def test_answers_tell_texts_apart(each: Orderers) -> None:
    # Else the comparisons prove nothing.
    found = [each.scores(item)[0] for item in (PAIR, SWAPPED, IN_ORDER)]
    assert len({round(score, 3) for score in found}) == 3
    assert all(abs(score - 0.5) > 1e-3 for score in found)


def test_the_first_class_is_the_original_order(english: Orderers) -> None:
    about = " ".join(inspect.getsource(REFERENCE.AlbertForPreTraining).split())
    assert "`0` indicates original order (sequence A, then sequence B)" in about
    assert "`1` indicates switched order" in about
    # The loss of each label, less that of the masked words, which is the same for both.
    encoded = english.tokenizer(*PAIR.values(), return_tensors="pt")
    with torch.no_grad():
        original, switched = (
            english.model(
                **encoded,
                labels=encoded["input_ids"],
                sentence_order_label=torch.tensor([label]),
            ).loss.item()
            for label in (0, 1)
        )
    named = {entry["label"]: entry["score"] for entry in english.ours(PAIR, top_k=None)}
    ratio = np.log(named["in-order"] / named["swapped"])
    assert ratio == pytest.approx(switched - original, abs=1e-4)
    assert abs(ratio) > 0.01


@pytest.mark.parametrize("item", [PAIR, SWAPPED, IN_ORDER], ids=["pair", "swapped", "other"])
@pytest.mark.parametrize("top_k", TOP_K)
def test_every_kind_of_call(each: Orderers, item: Any, top_k: str) -> None:
    scores = each.scores(item)
    every = each.ours(item, top_k=2)
    assert_answer(every, scores)
    alone = top_k in ("absent", "empty")
    wanted = every[0] if alone else every[: TOP_K[top_k]["top_k"]]
    assert each.ours(item, **TOP_K[top_k]) == wanted
    assert each.ours.answer(item, **TOP_K[top_k]) == wanted
    assert each.ours([item], **TOP_K[top_k]) == [wanted]
    made = albert_edge.pipeline("sentence-order", each.bundle, threads=1, **TOP_K[top_k])
    assert made(item) == wanted


def test_lists_and_generators(english: Orderers) -> None:
    items = [PAIR, SWAPPED, IN_ORDER]
    answers = english.ours(items, top_k=None)
    for answer, item in zip(answers, items, strict=True):
        assert_answer(answer, english.scores(item))
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


def test_the_task_is_that_of_the_bundle(english: Orderers) -> None:
    made = albert_edge.pipeline(model=english.bundle, threads=1)
    assert made.task == "sentence-order"
    assert made(PAIR) == english.ours(PAIR)
    with pytest.raises(UsageError, match="exported for pretraining"):
        albert_edge.pipeline("fill-mask", model=english.bundle)


def test_a_head_of_other_classes_is_refused(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "checkpoint", "pretraining", "vocab.txt", num_labels=3)
    albert_edge.export(source, tmp_path / "bundle")
    with pytest.raises(BundleError, match="has 3 classes, not 2") as caught:
        albert_edge.pipeline(model=tmp_path / "bundle")
    assert "Session" in caught.value.tip


def test_int8(tmp_path: Path) -> None:
    made = orderers(tmp_path)
    albert_edge.quantize(made.bundle, precision="int8", min_agreement=0.5, min_cosine=0.9)
    with Session(made.bundle, precision="int8", threads=1) as session:
        outputs = session.run(made.tokenizer(*PAIR.values(), return_tensors="np"))
    exponentials = np.exp(outputs["sop_logits"][0].astype(np.float64))
    scores = (exponentials / exponentials.sum()).tolist()
    with albert_edge.pipeline(model=made.bundle, precision="int8", threads=1) as ours:
        assert_answer(ours(PAIR, top_k=None), scores)
    assert scores != pytest.approx(made.scores(PAIR), rel=0, abs=1e-6)  # int8 it was


# --- generated pairs ------------------------------------------------------------------------

ANY_SEGMENT = ANY_TEXT.map(lambda text: text[:150]).filter(bool)
PAIRS = st.fixed_dictionaries({"text": ANY_SEGMENT, "text_pair": ANY_SEGMENT})


@given(item=PAIRS)
@settings(deadline=None, max_examples=120)
def test_any_pair_has_the_same_scores(english: Orderers, item: Any) -> None:
    assert_answer(english.ours(item, top_k=None), english.scores(item))


@given(item=PAIRS)
@settings(deadline=None, max_examples=120)
def test_any_chinese_pair_has_the_same_scores(chinese: Orderers, item: Any) -> None:
    assert_answer(chinese.ours(item, top_k=None), chinese.scores(item))


# --- truncation and what is refused ---------------------------------------------------------

LONG = {"text": words(40), "text_pair": words(POSITIONS - 8)}


@pytest.mark.parametrize(
    "options",
    [
        {"truncation": True},
        {"truncation": "longest_first", "max_length": 9},
        {"truncation": "only_first"},
    ],
    ids=str,
)
def test_truncation(short: Orderers, options: dict[str, Any]) -> None:
    wanted = short.scores(LONG, **{"max_length": POSITIONS, **options})
    assert_answer(short.ours(LONG, top_k=None, **options), wanted)


def test_a_pair_over_the_limit_is_refused(short: Orderers) -> None:
    with pytest.raises(InputError, match=f"at most {POSITIONS}") as caught:
        short.ours(LONG)
    assert "truncation=True" in caught.value.tip
    with pytest.raises(InputError, match=r"Item 1: .*at most"):
        short.ours([IN_ORDER, LONG])


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("One text.", "must be {"),
        (None, "must be {"),
        (("One.", "Two."), "must be {"),
        ({"text": "One."}, "must be {"),
        ({"text_pair": "Two."}, "must be {"),
        ({"text": "One.", "text_pair": None}, "must both be strings"),
        ({"text": 5, "text_pair": "Two."}, "must both be strings"),
        ({"text": "", "text_pair": ["Two."]}, "must both be strings"),
    ],
    ids=str,
)
def test_what_is_no_pair_is_a_type_error(english: Orderers, item: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        english.ours(item)
    with pytest.raises(TypeError, match=f"item 1: .*{told}"):
        english.ours([PAIR, item])


@pytest.mark.parametrize("item", [("", "Two."), ("One.", ""), ("", "")], ids=str)
def test_an_empty_segment_is_refused(english: Orderers, item: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="segment is empty"):
        english.ours({"text": item[0], "text_pair": item[1]})


@pytest.mark.parametrize("options", [{"top_k": 0}, {"top_k": "2"}, {"truncation": "no"}], ids=str)
def test_parameters_without_meaning_are_refused(english: Orderers, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        english.ours(PAIR, **options)
