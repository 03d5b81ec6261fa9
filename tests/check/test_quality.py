"""How compressed answers are judged: cosines, decisions and labels worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support.checkpoints import MODEL_CLASSES, make_model

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.check.quality import Budget, Quality, Reference, thin

Array = npt.NDArray[Any]

GOOD = Quality(texts=3, agreement=1.0, cosine=1.0, worst_cosine=1.0, largest_difference=0.0)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> AlbertConfig:
    folder = tmp_path_factory.mktemp("config")
    make_model("text-classification", num_labels=2).save_pretrained(folder)
    return read_config(Path(folder) / "config.json")


def outputs(*rows: Sequence[Any], name: str = "logits") -> list[dict[str, Array]]:
    """One text each."""
    return [{name: np.array([row], np.float32)} for row in rows]


# What is good enough


@pytest.mark.parametrize(
    ("budget", "change", "missed"),
    [
        (Budget(), {}, []),
        (Budget(), {"cosine": 0.999, "agreement": 0.99}, []),  # just enough
        (Budget(), {"cosine": 0.99899}, ["cosine 0.99899"]),
        (Budget(), {"agreement": 0.98}, ["agreement 98.00%"]),
        (Budget(), {"agreement": None}, []),
        (Budget(), {"cosine": 0.5, "agreement": 0.5}, ["cosine", "agreement"]),
        (Budget(), {"cosine": nan}, ["cosine nan"]),
        (Budget(0.0, 0.0), {"cosine": nan}, ["cosine nan"]),
        (Budget(0.0, 0.0), {"agreement": nan}, ["agreement"]),
        (Budget(0.0, 0.0), {"cosine": 0.0, "agreement": 0.0}, []),
        (Budget(0.0, 0.0), {"cosine": -0.1}, ["cosine"]),
        (
            Budget(),
            {"reference_accuracy": 0.9, "accuracy": 0.1},
            [],
        ),  # nobody said what it may cost
        (Budget(max_drop=1.0), {"reference_accuracy": 0.9, "accuracy": 0.895}, []),
        (Budget(max_drop=1.0), {"reference_accuracy": 0.9, "accuracy": 0.88}, ["2.00 points"]),
        (Budget(max_drop=0.0), {"reference_accuracy": 0.9, "accuracy": 0.95}, []),  # better
        (Budget(max_drop=0.0), {"reference_accuracy": 0.9, "accuracy": 0.9}, []),
        (Budget(max_drop=1.0), {"reference_accuracy": 0.9, "accuracy": nan}, ["accuracy"]),
        (Budget(max_drop=1.0), {}, []),  # no labels
    ],
)
def test_budget(budget: Budget, change: dict[str, Any], missed: list[str]) -> None:
    found = budget.misses(replace(GOOD, **change))
    assert len(found) == len(missed)
    for text, part in zip(found, missed, strict=True):
        assert part in text


def test_points_lost() -> None:
    labelled = replace(GOOD, reference_accuracy=0.75, accuracy=0.5)
    assert labelled.drop == 25
    assert replace(labelled, accuracy=1.0).drop == -25
    assert replace(labelled, accuracy=None).drop is None
    assert GOOD.drop is None


# Judging


def test_by_hand(config: AlbertConfig) -> None:
    expected = outputs([1, 0], [0, 2], [3, 4])
    found = outputs([1, 1], [0, 1], [4, 3])
    quality = Reference(config, "text-classification", expected, [0, 0, 1]).compare(found)
    assert quality.texts == 3
    # 45 degrees, none, and (3 * 4 + 4 * 3) / 25; the first and the last decide 0 and 0.
    cosines = [0.5**0.5, 1, 0.96]
    assert quality.cosine == pytest.approx(sum(cosines) / 3)
    assert quality.worst_cosine == pytest.approx(0.5**0.5)
    assert quality.largest_difference == 1
    assert quality.agreement == pytest.approx(2 / 3)
    assert quality.reference_accuracy == pytest.approx(2 / 3)  # 0, 1, 1
    assert quality.accuracy == pytest.approx(1 / 3)  # 0, 1, 0
    assert quality.drop == pytest.approx(100 / 3)


def test_without_labels_there_is_no_accuracy(config: AlbertConfig) -> None:
    expected = outputs([1, 0])
    quality = Reference(config, "text-classification", expected).compare(expected)
    assert (quality.reference_accuracy, quality.accuracy, quality.drop) == (None, None, None)


def test_numbers_of_a_regression_are_one_vector(config: AlbertConfig) -> None:
    """A single number has no direction but its sign, so 1 for 100 would pass."""
    regression = replace(config, labels=("score",), problem_type="regression")
    reference = Reference(regression, "text-classification", outputs([3], [4]))
    assert reference.compare(outputs([4], [3])).cosine == pytest.approx(0.96)
    quality = reference.compare(outputs([3], [40]))
    assert quality.cosine == pytest.approx((9 + 160) / 5 / (9 + 1600) ** 0.5)
    assert quality.agreement is None


def test_numbers_of_a_regression_are_one_vector_for_each_output(config: AlbertConfig) -> None:
    """The numbers of a text are no direction: [3, 4] for [300, 400] would pass."""
    regression = replace(config, problem_type="regression")
    reference = Reference(regression, "text-classification", outputs([3, 300], [4, 400]))
    quality = reference.compare(outputs([4, 300], [3, 400]))
    assert (quality.cosine, quality.worst_cosine) == pytest.approx((0.98, 0.96))
    assert quality.agreement is None


def test_decisions_of_several_labels(config: AlbertConfig) -> None:
    several = replace(config, problem_type="multi_label_classification")
    reference = Reference(several, "text-classification", outputs([1, -1], [2, 2]))
    assert reference.compare(outputs([0.1, 1], [3, -1])).agreement == 0.5
    single = Reference(config, "text-classification", outputs([1, -1], [2, 3]))
    assert single.compare(outputs([0.1, -9], [-3, -1])).agreement == 1


def test_decisions_of_tokens(config: AlbertConfig) -> None:
    expected = outputs([[1, 0], [0, 1], [0, 1]])
    found = outputs([[1, 0], [1, 0], [0, 5]])
    quality = Reference(config, "token-classification", expected).compare(found)
    assert quality.agreement == pytest.approx(2 / 3)
    assert quality.cosine == pytest.approx(2 / 3)
    assert quality.worst_cosine == 0


def test_decisions_of_answers(config: AlbertConfig) -> None:
    expected = [{"start_logits": np.array([[3.0, 1, 0]]), "end_logits": np.array([[0, 1.0, 4]])}]
    found = [{"start_logits": np.array([[3.0, 1, 0]]), "end_logits": np.array([[0, 5.0, 4]])}]
    quality = Reference(config, "question-answering", expected).compare(found)
    assert quality.agreement == 0.5
    assert quality.worst_cosine == pytest.approx(21 / (17 * 41) ** 0.5)


def test_decisions_of_pretraining(config: AlbertConfig) -> None:
    expected = [
        {"prediction_logits": np.array([[[0, 1.0], [1, 0]]]), "sop_logits": np.array([[0, 1.0]])}
    ]
    found = [
        {"prediction_logits": np.array([[[0, 1.0], [1, 0]]]), "sop_logits": np.array([[1.0, 0]])}
    ]
    quality = Reference(config, "pretraining", expected).compare(found)
    assert quality.agreement == quality.cosine == pytest.approx(2 / 3)


def test_features_decide_nothing(config: AlbertConfig) -> None:
    expected = [
        {"last_hidden_state": np.array([[[3.0, 4]]]), "pooler_output": np.array([[1.0, 0]])}
    ]
    found = [{"last_hidden_state": np.array([[[4.0, 3]]]), "pooler_output": np.array([[1.0, 0]])}]
    quality = Reference(config, "feature-extraction", expected).compare(found)
    assert quality.agreement is None and quality.cosine == pytest.approx(0.98)


def test_vectors_of_zeros(config: AlbertConfig) -> None:
    """Equal zeros are alike; zeros for something, or something for zeros, is not good enough."""
    expected = outputs([0, 0], [1, 1])
    reference = Reference(config, "text-classification", expected)
    assert reference.compare(expected).cosine == pytest.approx(1)
    with np.errstate(invalid="ignore"):
        for found in (outputs([0, 0], [0, 0]), outputs([1, 0], [1, 1])):
            assert Budget().misses(reference.compare(found))


@pytest.mark.parametrize("bad", [nan, float("inf"), -float("inf")])
def test_numbers_that_are_none_never_pass(bad: float, config: AlbertConfig) -> None:
    reference = Reference(config, "text-classification", outputs([1, 2], [3, 4]))
    with np.errstate(invalid="ignore"):
        quality = reference.compare(outputs([1, 2], [3, bad]))
    assert Budget(0.0, 0.0).misses(quality)


def test_as_many_answers_as_texts(config: AlbertConfig) -> None:
    with pytest.raises(ValueError, match="zip"):
        Reference(config, "text-classification", outputs([1, 2], [3, 4])).compare(outputs([1, 2]))


SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "feature-extraction": {"last_hidden_state": (5, 24), "pooler_output": (24,)},
    "fill-mask": {"logits": (5, 30)},
    "pretraining": {"prediction_logits": (5, 30), "sop_logits": (2,)},
    "text-classification": {"logits": (2,)},
    "token-classification": {"logits": (5, 2)},
    "question-answering": {"start_logits": (5,), "end_logits": (5,)},
    "multiple-choice": {"logits": (2,)},
}


@pytest.mark.parametrize("task", MODEL_CLASSES)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_a_model_agrees_with_itself_and_not_with_its_opposite(
    task: str, config: AlbertConfig, data: st.DataObject
) -> None:
    elements = st.floats(2**-10, 2**10, width=32) | st.floats(-(2**10), -(2**-10), width=32)
    expected: list[dict[str, Array]] = [
        {
            name: data.draw(arrays.arrays(np.float32, (1, *shape), elements=elements))
            for name, shape in SHAPES[task].items()
        }
        for _ in range(2)
    ]
    reference = Reference(config, task, expected)
    same = reference.compare(expected)
    assert same.cosine == pytest.approx(1, abs=1e-12)
    assert same.worst_cosine == pytest.approx(1, abs=1e-12)
    assert (same.largest_difference, same.texts) == (0, 2)
    assert same.agreement == (None if task == "feature-extraction" else 1)
    assert not Budget(1.0, 0.999999).misses(same)
    negated: list[dict[str, Array]] = [{n: -one[n] for n in one} for one in expected]
    opposite = reference.compare(negated)
    assert opposite.cosine == pytest.approx(-1)
    assert Budget(0.0, 0.0).misses(opposite)


# What is kept of long answers


def test_of_many_tokens_a_few_are_kept() -> None:
    logits = np.arange(2 * 100 * 3, dtype=np.float32).reshape(2, 100, 3)
    kept = thin({"logits": logits})["logits"]
    assert kept.shape == (2, 17, 3)
    assert (kept == logits[:, 50:51]).all(axis=(0, 2)).any()  # where fill-mask has its mask
    kept = np.delete(kept, np.flatnonzero((kept == logits[:, 50:51]).all(axis=(0, 2))), axis=1)
    assert (kept[:, 0] == logits[:, 0]).all() and (kept[:, -1] == logits[:, -1]).all()
    steps = np.diff(kept[0, :, 0]) / 3
    assert steps.min() >= 6 and steps.max() <= 7  # evenly, and none twice
    assert thin({"logits": logits})["logits"].base is None  # a view would keep the rest


@pytest.mark.parametrize("tokens", [1, 2, 15, 16])
def test_of_few_tokens_all_are_kept(tokens: int) -> None:
    hidden = np.random.default_rng(0).normal(size=(1, tokens, 4))
    np.testing.assert_array_equal(thin({"last_hidden_state": hidden})["last_hidden_state"], hidden)


def test_answers_of_a_text_are_kept_whole() -> None:
    logits = np.random.default_rng(0).normal(size=(1, 500))
    np.testing.assert_array_equal(thin({"start_logits": logits})["start_logits"], logits)
