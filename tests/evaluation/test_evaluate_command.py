"""`albert-edge evaluate`, and its guide."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Cli
from support.evaluating import (
    CONLL,
    EVERYDAY,
    HARD,
    SHIPPED,
    TAGS,
    jsonl,
    write,
)
from support.pages import blocks, code, table
from support.paths import ROOT

from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.manifest import Manifest
from albert_edge.bundle.storage import Folder
from albert_edge.evaluation import EvaluateReport, evaluate
from albert_edge.evaluation.answers import Answers
from albert_edge.evaluation.choices import Choices
from albert_edge.evaluation.compare import PrecisionAnswers, find_disagreements
from albert_edge.evaluation.label_sets import LabelSets
from albert_edge.evaluation.labels import Labels
from albert_edge.evaluation.numbers import Numbers
from albert_edge.evaluation.scorer import Example, Scorer
from albert_edge.evaluation.scorers import SCORERS
from albert_edge.evaluation.words import Words

pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")

# --- the command ----------------------------------------------------------------------------


def test_the_command_prints_a_table(cli: Cli, shipped: Path, tmp_path: Path) -> None:
    data = jsonl(tmp_path / "hard.jsonl", *HARD)
    done = cli("evaluate", shipped, data, "--disagreements", 1)
    assert done.code == 0 and done.err == ""
    lines = done.out.splitlines()
    assert lines[0] == f"text-classification, 100 examples of {data}"
    columns = ["metric", "precision", "value", "difference", "95%", "interval", "p"]
    assert lines[1].split() == columns
    assert lines[2].split()[:2] == ["accuracy", "fp32"] and lines[3].split()[0] == "int8"
    report = evaluate(shipped, data)
    assert f"{report.precisions[2].metrics['accuracy']:.4f}" in lines[4]
    assert f"Answered differently: {report.disagreeing} of 100; the first 1" in done.out
    assert len(lines[-1].split()) >= 5


def test_the_command_prints_json(cli: Cli, shipped: Path) -> None:
    data = SHIPPED / "everyday.tsv"
    done = cli("evaluate", shipped, data, "--json", "--precision", "int8", "--precision", "fp32")
    found = json.loads(done.out)
    assert (done.code, done.err, found["schema_version"]) == (0, "", 1)
    assert [each["precision"] for each in found["precisions"]] == ["int8", "fp32"]
    assert found["precisions"][0]["metrics"]["accuracy"] == 0.99
    assert set(found) == {"schema_version", *EvaluateReport.__slots__}


def test_the_command_says_what_is_undefined_and_cut(
    cli: Cli, shipped: Path, tmp_path: Path
) -> None:
    long = " ".join(a for a, b in EVERYDAY if b == "de") * 5
    data = jsonl(tmp_path / "one.jsonl", {"text": long, "label": "de"})
    done = cli("evaluate", shipped, data, "--precision", "fp32")
    assert "1 of 1 are over the model's limit and were cut." in done.err
    assert "No matthews of fp32: every text is de." in done.err
    assert "none" in done.out and "Answered differently" not in done.out
    both = json.loads(cli("evaluate", shipped, data, "--json").out)
    assert both["precisions"][1]["differences"][2] == {
        "metric": "matthews",
        **dict.fromkeys(("value", "low", "high", "p_value")),
    }


def test_the_command_on_words(cli: Cli, tagger: Path, tmp_path: Path) -> None:
    done = cli("evaluate", tagger, write(tmp_path / "a.conll", CONLL))
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()] == [
        *("token-classification,", "metric", "accuracy", "precision", "recall", "f1"),
    ]


def test_numbers_farthest_apart(
    cli: Cli, shipped: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of precisions that answer with numbers, the texts they are farthest apart on are shown."""
    subject = Numbers(open_bundle(shipped))
    answered = [
        PrecisionAnswers("fp32", "model", "cpu", [0.5, 1.0, 2.0, 3.0]),
        PrecisionAnswers("int8", "model_quantized", "cpu", [0.5, 1.25, 2.0, 2.5]),
    ]
    examples = [Example(f"text {place}", float(place), f"text {place}\nb") for place in range(4)]
    count, found = find_disagreements(subject, answered, iter(examples), 3)
    assert count is None
    assert find_disagreements(subject, answered[:1], iter(examples), 3) == (None, [])
    assert [(each.number, each.expected, each.answers) for each in found] == [
        (4, "3", {"fp32": "3.0000", "int8": "2.5000"}),
        (2, "1", {"fp32": "1.0000", "int8": "1.2500"}),
    ]
    report = evaluate(shipped, SHIPPED / "everyday.tsv", precisions=["fp32", "int8"])
    numbers = dataclasses.replace(report, disagreeing=None, disagreements=found)
    monkeypatch.setattr("albert_edge.evaluation.evaluate", lambda *_, **__: numbers)
    lines = cli("evaluate", shipped, "data").out.splitlines()
    assert lines[-4:-2] == ["Largest differences", lines[-3]]
    assert lines[-2].split() == ["text", "3", "b", "4", "3", "3.0000", "2.5000"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["data.tsv"], 2),
        (["data.tsv", "--precision", "int8-block"], 1),
        (["data.tsv", "--disagreements", "-1"], 2),
        (["bad.tsv"], 1),
    ],
)
def test_exit_codes(
    arguments: list[str], code: int, cli: Cli, shipped: Path, tmp_path: Path
) -> None:
    write(tmp_path / "bad.tsv", "text\tlabel\nHi\txx\n")
    first, *rest = arguments
    done = cli("evaluate", shipped, tmp_path / first, *rest)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("ERROR") and "TIP" in done.err


# --- the guide ------------------------------------------------------------------------------

PAGE = ROOT / "docs" / "evaluate.md"


def test_the_data_that_the_guide_shows_is_read(tmp_path: Path) -> None:
    shown = {kind: block for kind, block in blocks(PAGE) if kind not in ("console", "python")}
    files = {kind: write(tmp_path / f"shown.{kind}", block) for kind, block in shown.items()}
    labels = ("en", "de", "fr", *TAGS)
    bundle = Bundle(Folder(tmp_path), Manifest("", labels, None, "", None, (), ()))
    kinds: dict[str, type[Scorer]] = {
        "tsv": Labels,
        "jsonl": LabelSets,
        "conll": Words,
        "json": Answers,
    }
    golds = {
        kind: [example.expected for example in subject(bundle).examples(files[kind])]
        for kind, subject in kinds.items()
    }
    assert set(golds) == set(files)
    assert golds == {
        "tsv": [0, 1],
        "jsonl": [(0, 2), ()],
        "conll": [(4, 5, 3), (6,)],
        "json": [("Denver Broncos",), ()],
    }


def test_the_metrics_that_the_guide_lists_are_those_computed() -> None:
    bundle = Bundle(Folder(PAGE), Manifest("", ("O", "B-x"), None, "", None, (), ()))
    parts = Bundle(Folder(PAGE), Manifest("", ("NOUN", "VERB"), None, "", None, (), ()))
    examples: list[tuple[str, Any, Any]] = [
        ("text-classification", Labels(bundle), 0),
        ("with several labels a text", LabelSets(bundle), (0,)),
        ("with a number", Numbers(bundle), 0.0),
        ("token-classification", Words(bundle), (0,)),
        ("with labels that make no entities", Words(parts), (0,)),
        ("question-answering", Answers(bundle), ("x",)),
        ("with questions that have no answer", Answers(bundle, unanswerable=True), ("x",)),
        ("multiple-choice", Choices(bundle), 0),
        ("sentence-embeddings", Numbers(bundle), 0.0),
    ]
    assert [[name, code(metrics)] for name, metrics in table(PAGE, "task | metrics")] == [
        [name, list(subject.score([gold], ["x" if gold == ("x",) else gold]))]
        for name, subject, gold in examples
    ]
    assert {name for name, _, _ in examples if not name.startswith("with")} == {*SCORERS}
