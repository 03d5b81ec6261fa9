"""When answers agree, against cases worked by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from support.checkpoints import TINY

from albert_edge.architecture.config import AlbertConfig, parse_config
from albert_edge.architecture.heads import Decision
from albert_edge.check.agreement import Agreement, compare_with, is_binary, text_losses


@pytest.mark.parametrize(
    ("decision", "answer", "reference", "loss"),
    [
        ("largest", [1.0, 2.0, 0.0], [0.0, 9.0, 8.0], 0.0),
        ("largest", [1.0, 2.0, 0.0], [9.0, 8.0, 0.0], 1.0),
        ("largest", [1.0, np.nan, 0.0], [0.0, 9.0, 8.0], 1.0),
        ("positive", [1.0, -2.0, 3.0, 0.5], [9.0, -1.0, -1.0, -1.0], 0.5),
        ("positive", [1.0, np.nan, 3.0, 0.5], [1.0, -1.0, 1.0, 1.0], 1.0),
        (None, [0.54], [0.5], 0.0),
        (None, [0.56], [0.5], 1.0),
        (None, [np.nan], [0.5], 1.0),
    ],
)
def test_losses_of_answers(
    decision: Decision | None, answer: list[float], reference: list[float], loss: float
) -> None:
    agreement = Agreement(decision, tolerance=0.05)
    assert agreement.losses(np.array([answer]), np.array([reference])).tolist() == [loss]


def tiny(**fields: Any) -> AlbertConfig:
    content = json.dumps({"model_type": "albert", **TINY, **fields})
    return parse_config(content.encode(), "config.json")


def test_numbers_agree_within_a_tenth_of_their_standard_deviation() -> None:
    config = tiny(num_labels=1)
    numbers = np.array([[-3.0], [3.0]])
    agreement = compare_with(numbers, config, "text-classification", "logits")
    assert agreement.tolerance == pytest.approx(0.3)
    assert agreement.decision is None and agreement.is_binary


@pytest.mark.parametrize(
    ("head", "every_token"),
    [("text-classification", False), ("multiple-choice", False), ("token-classification", True)],
)
def test_the_unit_is_a_text_whatever_the_head(head: str, every_token: bool) -> None:
    agreement = compare_with(np.eye(3), tiny(), head, "logits")
    assert agreement == Agreement("largest", every_token=every_token)


def test_losses_of_texts_with_a_class_each() -> None:
    expected = [{"logits": np.array([[1.0, 0.0]])}, {"logits": np.array([[0.0, 1.0]])}]
    answers = [{"logits": np.array([[9.0, 0.0]])}, {"logits": np.array([[9.0, 0.0]])}]
    found = text_losses(tiny(), "text-classification", expected, answers)
    assert found.tolist() == [0.0, 1.0]


def test_losses_of_texts_are_the_share_of_their_tokens() -> None:
    """Of those between [CLS] and [SEP]."""
    expected = [{"logits": np.eye(6)[None]}] * 2 + [{"logits": np.eye(6)[None, :2]}]
    places = ([1, 0, 2, 3, 4, 5], [1, 1, 2, 3, 4, 4], [1, 0])
    answers = [{"logits": np.eye(6)[None, rows]} for rows in places]
    found = text_losses(tiny(), "token-classification", expected, answers)
    assert found.tolist() == [0.25, 0.0, 0.0]
    assert not is_binary(tiny(), "token-classification")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("text-classification", True),
        ("multiple-choice", True),
        ("question-answering", False),
        ("pretraining", False),
        ("fill-mask", False),
        ("feature-extraction", True),
    ],
)
def test_with_several_decisions_a_text_may_agree_in_part(head: str, expected: bool) -> None:
    assert is_binary(tiny(), head) is expected


def test_losses_of_spans_count_start_and_end() -> None:
    start, end = np.array([[0.0, 5.0, 1.0]]), np.array([[0.0, 1.0, 5.0]])
    expected = [{"start_logits": start, "end_logits": end}]
    answers = [{"start_logits": end, "end_logits": end}]
    assert text_losses(tiny(), "question-answering", expected, answers).tolist() == [0.5]


def test_numbers_are_measured_by_their_spread_over_all_texts() -> None:
    expected = [{"logits": np.array([[value]])} for value in (-1.0, 1.0, -1.0, 1.0)]
    answers = [{"logits": np.array([[value]])} for value in (-1.09, 1.11, -1.0, 0.9)]
    found = text_losses(tiny(num_labels=1), "text-classification", expected, answers)
    assert found.tolist() == [0.0, 1.0, 0.0, 0.0]


def test_embeddings_agree_by_their_direction() -> None:
    vectors = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    near = vectors + np.array([0.0, 0.04])  # cosines 0.9992 and 1
    far = vectors + np.array([0.0, 0.05])  # cosines 0.9988 and 1
    expected = [{"last_hidden_state": vectors}] * 3
    answers = [{"last_hidden_state": values} for values in (near, far, np.nan * near)]
    found = text_losses(tiny(), "feature-extraction", expected, answers)
    assert found.tolist() == [0.0, 1.0, 1.0]
