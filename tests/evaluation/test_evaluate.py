"""`evaluate`: several precisions beside each other, and the arguments it refuses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from support.evaluating import (
    CONLL,
    EVERYDAY,
    HARD,
    SHIPPED,
    Export,
    jsonl,
    summary,
    write,
)

import albert_edge
from albert_edge.errors import BundleError, InputError, RecordError, UsageError
from albert_edge.evaluation import evaluate
from albert_edge.evaluation.scorers import SCORERS

pytestmark = [
    pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning"),
    pytest.mark.slow,
]

# --- labelled texts -------------------------------------------------------------------------


def test_all_precisions_beside_the_first(shipped: Path, tmp_path: Path) -> None:
    data = jsonl(tmp_path / "hard.jsonl", *HARD)
    told: list[tuple[str, int, int | None]] = []
    report = evaluate(shipped, data, progress=lambda *state: told.append(state))
    assert [each.precision for each in report.precisions] == ["fp32", "int8", "int4"]
    assert [each.variant for each in report.precisions] == ["model", "model_quantized", "model_q4"]
    first, *others = report.precisions
    assert first.differences == []
    for other in others:
        assert [each.metric for each in other.differences] == list(first.metrics)
        for each in other.differences:
            assert each.value == (other.metrics[each.metric] or 0) - (
                first.metrics[each.metric] or 0
            )
            assert each.low is not None and each.high is not None
            assert each.low <= each.value <= each.high
            assert (each.p_value is None) == (each.metric != "accuracy")
    # The texts are those that pipelines answer differently.
    answers = {}
    for name in ("fp32", "int8", "int4"):
        classify = albert_edge.pipeline(model=shipped, precision=name, device="cpu")
        answers[name] = [answer["label"] for answer in classify([each["text"] for each in HARD])]
    apart = [place for place in range(100) if len({each[place] for each in answers.values()}) > 1]
    assert report.disagreeing == len(apart) > 0
    for place, shown in zip(apart, report.disagreements, strict=True):
        assert {"text": shown.text, "label": shown.expected} == HARD[place]
        assert shown.number == place + 1
        assert shown.answers == {name: each[place] for name, each in answers.items()}
    assert [state[0] for state in told if state[1] == state[2]][-4:] == [
        *(f"answering in {name}" for name in answers),
        "resampling",
    ]


def test_the_first_precision_is_the_one_named_first(shipped: Path, tmp_path: Path) -> None:
    data = jsonl(tmp_path / "hard.jsonl", *HARD)
    # "auto" is int8 here.
    assert evaluate(shipped, data, precisions=["auto"]).precisions[0].precision == "int8"
    ours = evaluate(shipped, data, precisions=["int4", "fp32", "int4"], disagreements=1)
    theirs = evaluate(shipped, data, precisions=["fp32", "int4"], disagreements=0)
    assert summary(ours) == summary(theirs)[::-1]
    assert ours.disagreeing == theirs.disagreeing and ours.disagreeing
    assert (len(ours.disagreements), len(theirs.disagreements)) == (1, 0)
    for one, other in zip(
        ours.precisions[1].differences, theirs.precisions[1].differences, strict=True
    ):
        assert one.value == -(other.value or 0)


def test_long_texts_are_cut_and_counted(shipped: Path, tmp_path: Path) -> None:
    long = " ".join(a for a, b in EVERYDAY if b == "de") * 5
    records = [{"text": text, "label": "de"} for text in (long, "Guten Tag", long)]
    report = evaluate(shipped, jsonl(tmp_path / "long.jsonl", *records), precisions=["fp32"])
    assert (report.examples, report.truncated, report.windowed) == (3, 2, 0)
    assert report.precisions[0].metrics["accuracy"] == 1
    assert report.precisions[0].undefined == {"matthews": "every text is de"}
    assert report.precisions[0].metrics["matthews"] is None
    assert (report.disagreeing, report.resamples) == (0, 0)


# --- refused ------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "config", "asked"),
    [
        ("fill-mask", {}, None),
        ("pretraining", {}, None),
        ("feature-extraction", {}, "feature-extraction"),
        ("text-classification", {}, "zero-shot-classification"),
        ("text-classification", {}, "text-ranking"),
    ],
)
def test_tasks_that_cannot_be_evaluated(
    task: str, config: Any, asked: str | None, export: Export, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="cannot be evaluated") as caught:
        evaluate(export(task, **config), tmp_path / "data.tsv", task=asked)
    assert all(name in caught.value.tip for name in SCORERS)


def test_other_arguments_that_are_refused(shipped: Path, export: Export, tmp_path: Path) -> None:
    data = SHIPPED / "everyday.tsv"
    with pytest.raises(UsageError, match="was exported for text-classification"):
        evaluate(shipped, data, task="ner")
    with pytest.raises(UsageError, match="no pipeline for 'nonsense'"):
        evaluate(shipped, data, task="nonsense")
    with pytest.raises(BundleError, match="no int8-block variant"):
        evaluate(shipped, data, precisions=["fp32", "int8-block"])
    with pytest.raises(UsageError, match="disagreements is -1"):
        evaluate(shipped, data, disagreements=-1)
    several = export("text-classification", num_labels=3, problem_type="regression")
    with pytest.raises(UsageError, match="answers 3 numbers at once"):
        evaluate(several, data)


def test_no_other_library_is_needed(
    shipped: Path,
    tagger: Path,
    export: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("sklearn", "scipy", "seqeval"):
        monkeypatch.setitem(sys.modules, module, None)
    numbers = jsonl(tmp_path / "a.jsonl", *({"text": a, "label": len(a)} for a, _ in EVERYDAY[:9]))
    conll = write(tmp_path / "a.conll", CONLL)
    cases = {SHIPPED / "everyday.tsv": shipped, conll: tagger}
    cases[numbers] = export("text-classification", num_labels=1)
    for data, bundle in cases.items():
        assert None not in evaluate(bundle, data).precisions[0].metrics.values()


def test_all_of_the_data_is_checked_before_anything_is_answered(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("albert_edge.evaluation.run.Session", refuse)
    data = write(tmp_path / "data.tsv", "text\tlabel\n" + "Hi\ten\n" * 500 + "Hi\txx\n")
    with pytest.raises(RecordError, match="record 501"):
        evaluate(shipped, data)


@pytest.mark.parametrize("moment", ["answering in fp32", "answering in int8"])
def test_data_that_changes_meanwhile(moment: str, shipped: Path, tmp_path: Path) -> None:
    records = HARD[:40]
    data = jsonl(tmp_path / "data.jsonl", *records)

    def shorten(what: str, done: int, total: int | None) -> None:
        if what == moment and done == total:
            jsonl(data, *records[:-1])

    with pytest.raises(InputError, match="had 40 records, and then 39"):
        evaluate(shipped, data, precisions=["fp32", "int8", "int4"], progress=shorten)
