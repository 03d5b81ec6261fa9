"""Labels that are no texts: numbers, booleans and null, as config.json may name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import change_config
from support.command_line import Cli
from support.pipelines import Both, assert_same, checkpoint, pair
from support.token_classification import plain

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.inspection.diff import diff

# No two are equal, though True and 1 would be.
LABELS: tuple[Any, ...] = (0, 1.5, True, None, "positive", -1)
TEXTS = ["It was a wonderful evening.", "Bad.", "3.14 and more"]


def renamed(folder: Path, task: str) -> Path:
    source = checkpoint(folder, task, "spiece.model", num_labels=len(LABELS))
    names = {f"{index:02}": label for index, label in enumerate(LABELS)}
    change_config(source, id2label=names, label2id={str(label): 0 for label in LABELS})
    return source


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a classifier of texts."""
    folder = tmp_path_factory.mktemp("texts")
    albert_edge.export(renamed(folder / "checkpoint", "text-classification"), folder / "bundle")
    return folder / "bundle"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a classifier of tokens."""
    folder = tmp_path_factory.mktemp("tokens")
    albert_edge.export(renamed(folder / "checkpoint", "token-classification"), folder / "bundle")
    return folder / "bundle"


@pytest.mark.reference
@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_answers_are_those_of_transformers(task: str, tmp_path: Path) -> None:
    both: Both = pair(task, renamed(tmp_path / "checkpoint", task), tmp_path / "bundle")
    given: dict[str, Any] = {"top_k": None} if task == "text-classification" else {}
    for text in TEXTS:
        ours, theirs = both.ours(text, **given), both.theirs(text, **given)
        assert_same(ours, theirs if given else plain(theirs))
    if task == "text-classification":
        assert sorted(map(repr, (entry["label"] for entry in ours))) == sorted(map(repr, LABELS))


def test_groups_of_tokens(tokens: Path) -> None:
    """Neighbours with one label form a group, where transformers raises AttributeError."""
    tag = albert_edge.pipeline("token-classification", model=tokens)
    for text in TEXTS:
        single = tag(text)
        for strategy in ("simple", "first", "average", "max"):
            groups = tag(text, aggregation_strategy=strategy)
            assert {repr(group["entity_group"]) for group in groups} <= set(map(repr, LABELS))
            assert (groups[0]["start"], groups[-1]["end"]) == (
                single[0]["start"],
                single[-1]["end"],
            )
        labels = [entity["entity"] for entity in single]
        runs = [label for i, label in enumerate(labels) if i == 0 or label is not labels[i - 1]]
        assert [g["entity_group"] for g in tag(text, aggregation_strategy="simple")] == runs


def test_the_manifest_keeps_them(texts: Path) -> None:
    found = open_bundle(texts).manifest.labels
    assert list(map(repr, found)) == list(map(repr, LABELS))
    assert albert_edge.inspect(texts).labels == found


def test_evaluation_names_them_as_texts(texts: Path, tmp_path: Path) -> None:
    """A record names a label as answers do; a number that is none counts from 0."""
    classify = albert_edge.pipeline("text-classification", model=texts)
    answers = [str(classify(text)[0]["label"]) for text in TEXTS]
    data = tmp_path / "data.tsv"
    rows = [f"{text}\t{answer}" for text, answer in zip(TEXTS, answers, strict=True)]
    data.write_text("\n".join(["text\tlabel", *rows]))
    report = albert_edge.evaluate(texts, data)
    assert report.precisions[0].metrics["accuracy"] == 1.0


def test_the_command_line_prints_them(cli: Cli, texts: Path, tokens: Path) -> None:
    assert "0, 1.5, True, None, positive, -1" in " ".join(cli("inspect", texts).out.split())
    ranked = cli("predict", texts, TEXTS[0], "--top-k", "6")
    assert ranked.code == 0
    assert all(f"{label} 0." in ranked.out for label in LABELS)
    assert cli("predict", tokens, *TEXTS).code == 0
    assert diff(texts, tokens).fields
