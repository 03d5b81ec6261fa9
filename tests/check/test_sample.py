"""Texts as inputs of a model."""

from __future__ import annotations

import pytest
from support.quantizing import make_bundle

from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.check.sample import load_sample, texts_per_item

PAD, CLS, SEP = 0, 2, 3


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(make_bundle(tmp_path_factory.mktemp("choices"), "multiple-choice"))


@pytest.mark.parametrize(
    ("texts", "items"),
    [
        (["7"], [("7", "7")]),
        (["7", "8"], [("7", "8")]),
        (["7", "8", "9"], [("7", "8")]),
        (["7", "8", "9", "10", "11"], [("7", "8"), ("9", "10")]),
    ],
)
def test_no_text_is_in_two_items_with_choices(
    texts: list[str], items: list[tuple[str, str]], bundle: Bundle
) -> None:
    sample = load_sample(bundle, bundle.read_config(), texts, None)
    expected = [[[CLS, int(word) + 5, SEP] for word in item] for item in items]
    assert [arrays["input_ids"][0].tolist() for arrays in sample.inputs] == expected
    assert sample.labels is None


def test_choices_are_padded_to_the_longest(bundle: Bundle) -> None:
    (item,) = load_sample(bundle, bundle.read_config(), ["7 8", "9"], None).inputs
    assert item["input_ids"].tolist() == [[[CLS, 12, 13, SEP], [CLS, 14, SEP, PAD]]]
    assert item["attention_mask"].tolist() == [[[1, 1, 1, 1], [1, 1, 1, 0]]]
    assert (texts_per_item("multiple-choice"), texts_per_item("text-classification")) == (2, 1)
