"""on_error="record": what cannot be answered has an error in the place of its answer."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.checkpoints import make_model
from support.paths import DATA

import albert_edge
from albert_edge.errors import InputError, UsageError
from albert_edge.runtime.load import load_pipeline
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.providers import PROVIDERS

ItemError = albert_edge.ItemError
POSITIONS = 24
LONG = "one two three " * POSITIONS
GOOD = ["one two", "three", "four five six"]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a small bundle with a head."""

    def bundle(head: str) -> Path:
        folder = tmp_path_factory.mktemp(head)
        model = make_model(head, vocab_size=21_128, max_position_embeddings=POSITIONS)
        model.save_pretrained(folder / "checkpoint")
        vocabulary = (DATA / "tokenizers" / "vocab.txt").read_bytes()
        (folder / "checkpoint" / "vocab.txt").write_bytes(vocabulary)
        albert_edge.export(folder / "checkpoint", folder / "bundle")
        return folder / "bundle"

    return bundle


@pytest.fixture(scope="module")
def bundle(make: Callable[[str], Path]) -> Path:
    return make("text-classification")


@pytest.fixture(scope="module")
def classify(bundle: Path) -> Any:
    return load_pipeline("text-classification", bundle, threads=2)


# Where an item is bad, and what is wrong with it.
BAD: list[tuple[Any, str]] = [
    (LONG, "the model takes at most 24"),
    (3, "a text must be a string, not int"),
    (None, "a text must be a string, not NoneType"),
    ("half \ud83d", "not valid Unicode"),
    ({"text": "one", "pair": "two"}, "an item has no parameter pair"),
    ({"text_pair": "two"}, "a text must be a string, not NoneType"),
]


def test_errors_stand_in_the_place_of_answers(classify: Any) -> None:
    wanted = classify(GOOD)
    for bad, reason in BAD:
        items = [GOOD[0], bad, GOOD[1], GOOD[2], bad]
        answers = classify(items, on_error="record")
        assert [answers[0], answers[2], answers[3]] == wanted
        first, second = answers[1], answers[4]
        assert isinstance(first, ItemError) and isinstance(second, ItemError)
        assert (first.index, second.index) == (1, 4)
        assert reason in first.reason and first.reason == second.reason
        assert first.tip
        with pytest.raises((InputError, TypeError), match=r"[Ii]tem 1: "):
            classify(items)


def test_an_error_is_true_frozen_and_can_be_pickled(classify: Any) -> None:
    [error] = classify([3], on_error="record")
    assert error
    assert pickle.loads(pickle.dumps(error)) == error
    with pytest.raises(AttributeError):
        error.index = 5


def many(bad: int) -> tuple[list[Any], list[int]]:
    """Items of which each `bad`-th is bad: more than one session answers, and their places."""
    items = [LONG if index % bad == 0 else f"{GOOD[index % 3]} {index}" for index in range(70)]
    return items, [index for index, item in enumerate(items) if item == LONG]


def assert_recorded(answers: list[Any], wanted: dict[int, Any], places: list[int]) -> None:
    assert [each.index for each in answers if isinstance(each, ItemError)] == places
    assert [i for i, each in enumerate(answers) if isinstance(each, ItemError)] == places
    assert {i: each for i, each in enumerate(answers) if i not in places} == wanted


@pytest.mark.parametrize("bad", [1, 2, 7])
def test_every_way_to_call(classify: Any, bad: int) -> None:
    items, places = many(bad)
    wanted = {i: classify.answer(item) for i, item in enumerate(items) if i not in places}
    assert_recorded(classify(items, on_error="record"), wanted, places)
    assert_recorded(list(classify((i for i in items), on_error="record")), wanted, places)
    assert_recorded(list(classify.stream(iter(items), on_error="record")), wanted, places)
    assert_recorded(asyncio.run(classify.acall(items, on_error="record")), wanted, places)


@pytest.mark.parametrize("bad", [1, 2, 7])
@pytest.mark.parametrize("size", [2, 32])
def test_a_batch_with_bad_items_answers_the_others(bundle: Path, bad: int, size: int) -> None:
    items, places = many(bad)
    with load_pipeline("text-classification", bundle, threads=1) as batches:
        wanted = {i: batches.answer(item) for i, item in enumerate(items) if i not in places}
        # Batches as on a GPU, run on the CPU.
        batches.session.device = replace(batches.session.device, provider=PROVIDERS["cuda"])
        assert not batches.session.device.is_cpu
        shapes = watch(batches)
        answers = batches(items, on_error="record", batch_size=size)
    assert [each.index for each in answers if isinstance(each, ItemError)] == places
    found = {i: each for i, each in enumerate(answers) if i not in places}
    assert {i: each["label"] for i, each in found.items()} == {
        i: each["label"] for i, each in wanted.items()
    }
    assert [each["score"] for each in found.values()] == pytest.approx(
        [each["score"] for each in wanted.values()], abs=1e-5
    )
    assert bad == 1 or 2 <= max(shapes) <= size


def watch(pipeline: Pipeline) -> list[int]:
    """Collect the sizes of the batches that a pipeline runs."""
    sizes: list[int] = []
    run = pipeline.session.run

    def watched(inputs: Any) -> Any:
        sizes.append(len(inputs["input_ids"]))
        return run(inputs)

    pipeline.session.run = watched  # type: ignore[method-assign]
    return sizes


def test_one_item(classify: Any) -> None:
    [error] = classify(LONG, on_error="record")  # in the list that transformers puts around it
    assert isinstance(error, ItemError) and error.index == 0
    assert isinstance(classify.answer(LONG, on_error="record"), ItemError)
    assert classify("one", on_error="record") == classify("one")


def test_a_default_of_the_pipeline(bundle: Path) -> None:
    with load_pipeline("text-classification", bundle, on_error="record", threads=1) as recording:
        good, bad = recording(["one", 3])
        assert good["label"] and isinstance(bad, ItemError)
        with pytest.raises(TypeError, match="item 1: "):
            recording(["one", 3], on_error="raise")


def test_what_is_raised_in_any_case(bundle: Path) -> None:
    pipe = load_pipeline("text-classification", bundle, threads=1)
    with pytest.raises(UsageError, match="on_error is 'skip'"):
        pipe(["one"], on_error="skip")
    with pytest.raises(UsageError, match="on_error is 'skip'"):
        load_pipeline("text-classification", bundle, on_error="skip")
    with pytest.raises(UsageError, match="top_k is 0"):
        pipe(["one"], on_error="record", top_k=0)

    def source() -> Any:
        yield "one"
        raise OSError("gone")

    answers = pipe(source(), on_error="record")
    assert next(answers)["label"]
    with pytest.raises(OSError, match="gone"):
        next(answers)
    pipe.close()
    with pytest.raises(UsageError, match="closed"):
        pipe(["one"], on_error="record")


def test_a_failed_run_is_not_an_error_of_its_item(bundle: Path) -> None:
    with load_pipeline("text-classification", bundle, threads=1) as pipe:

        def fail(inputs: Any) -> Any:
            raise TypeError("the device is gone")

        pipe.session.run = fail  # type: ignore[method-assign]
        with pytest.raises(TypeError, match="the device is gone"):
            pipe(["one"], on_error="record")


def test_encode_returns_a_list(make: Callable[[str], Path]) -> None:
    embed: Any = load_pipeline("sentence-embeddings", make("feature-extraction"), threads=1)
    wanted = embed.encode(GOOD)
    answers = embed.encode([GOOD[0], LONG, *GOOD[1:], None], on_error="record")
    assert isinstance(answers, list)
    first, long, second, third, none = answers
    np.testing.assert_array_equal([first, second, third], wanted)
    assert (long.index, none.index) == (1, 4)
    assert isinstance(embed.encode(LONG, on_error="record"), ItemError)
    bits = embed.encode([GOOD[0], 3, *GOOD[1:]], on_error="record", precision="ubinary")
    np.testing.assert_array_equal([bits[0], *bits[2:]], embed.encode(GOOD, precision="ubinary"))
    tokens = embed.encode([3, GOOD[0]], on_error="record", output_value="token_embeddings")
    assert isinstance(tokens[0], ItemError) and tokens[1].ndim == 2
    assert [each.index for each in embed.encode([3, 4], on_error="record")] == [0, 1]


def test_other_tasks(make: Callable[[str], Path], bundle: Path) -> None:
    question = {"question": "Who?", "context": "one two three"}
    answer = load_pipeline("question-answering", make("question-answering"), threads=1)
    good, empty, wrong = answer([question, {**question, "question": ""}, "Who?"], on_error="record")
    assert good == answer(question)
    assert (empty.index, wrong.index) == (1, 2)
    assert empty.reason == "The question is empty."
    sort = load_pipeline("zero-shot-classification", bundle, threads=1)
    good, empty = sort(["one", ""], ["two"], on_error="record")
    assert good["labels"] == ["two"] and empty.reason == "The text is empty."
    with pytest.raises(UsageError, match="candidate_labels"):
        sort(["one"], on_error="record")
