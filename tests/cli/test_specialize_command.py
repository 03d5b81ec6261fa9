"""`specialize` on the command line: what it prints about decisions that are made up here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Cli

from albert_edge.steps import specialize
from albert_edge.steps.specialize import SpecializeReport
from albert_edge.steps.specializing.job import Decision
from albert_edge.steps.specializing.measure import Row

SENTENCE = "Exits would save little; the layer is applied twice."
FULL = Row("full", 2_000_000, 8e6, 4.0, 2.0, 1.0, 1.0, 1.0, 1.0)
REPORT = SpecializeReport(
    bundle=Path("full"),
    out=Path("special"),
    sample="texts.txt",
    texts={"fit": 400, "calibration": 400, "test": 200},
    min_agreement=0.99,
    max_drop=None,
    decisions=[
        Decision("width", False, "nothing passes"),
        Decision("exits", False, f"fp32: {SENTENCE}"),
        Decision("exits", True, "int8: 1.5 of 4 applications"),
    ],
    rows=[FULL],
    variants=["model"],
)


def show(report: SpecializeReport, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(specialize, "specialize", lambda *_, **__: report)
    return cli("specialize", "full", "special", "--texts", "texts.txt")


def test_every_decision_is_one_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    done = show(REPORT, cli, monkeypatch)
    assert done.err.splitlines() == [
        "Width: kept whole; nothing passes.",
        f"Exits: not used; fp32: {SENTENCE}",
        "Exits: int8: 1.5 of 4 applications.",
    ]


@pytest.mark.parametrize(
    ("limits", "column"),
    [
        ({}, "agreement with full"),
        ({"min_agreement": None, "max_drop": 2.0}, "kept right (labels)"),
    ],
)
def test_the_table_says_what_was_compared(
    limits: dict[str, Any], column: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = show(replace(REPORT, **limits), cli, monkeypatch)
    columns = {"agreement with full", "kept right (labels)"}
    assert {name for name in columns if name in done.out} == {column}
