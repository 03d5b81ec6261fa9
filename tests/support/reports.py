"""Shared by tests: pages about a bundle."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import albert_edge
from albert_edge.benchmark.report import BenchReport
from albert_edge.cli.printing import print_json
from albert_edge.evaluation.report import (
    Difference,
    Disagreement,
    EvaluateReport,
    PrecisionResult,
)
from albert_edge.inspection.inspect import inspect
from albert_edge.report.write import write_report
from support.bench_samples import sample

ATTACK = "<script>alert('1')</script><img src=http://example.invalid/x onerror=alert(2)>"

EVALUATION = EvaluateReport(
    bundle="langid",
    data="test.tsv",
    task="text-classification",
    kind="label",
    device="cpu",
    examples=1000,
    truncated=0,
    windowed=0,
    precisions=[
        PrecisionResult("fp32", "model", {"accuracy": 0.9812, "f1": None}, {"f1": "why"}, []),
        PrecisionResult(
            "int8",
            "model_quantized",
            {"accuracy": 0.9799, "f1": 0.9687},
            {},
            [Difference("accuracy", -0.0013, -0.0041, 0.0015, 0.5)],
        ),
    ],
    confidence=0.95,
    resamples=1000,
    disagreeing=3,
    disagreements=[Disagreement(7, f"Guten Tag {ATTACK}", "de", {"fp32": "de", "int8": "en"})],
)


def bench_of(bundle: Path, **changes: Any) -> BenchReport:
    """A report that says it is of this bundle."""
    return sample(geometry=inspect(bundle).geometry, **changes)


class Tables(HTMLParser):
    """The tables of a page, by caption: rows of cells, headings first; and its resources."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self.resources: list[str] = []
        self.open: list[str] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.resources += [
            value or "" for name, value in attrs if name in ("src", "data", "action")
        ]
        self.resources += [
            dict(attrs)["href"] or "" for _ in [0] if tag in ("link", "use", "image")
        ]
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("th", "td"):
            self._rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if "table" not in self.open:
            return
        if self.open[-1] == "caption":
            self._caption += data
        elif self.open[-1] in ("th", "td"):
            self._rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass
        if tag == "table":
            self.found[self._caption] = self._rows


@pytest.fixture(scope="session")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that ships, in fp32 and int8."""
    folder = tmp_path_factory.mktemp("report") / "langid"
    albert_edge.export("langid-tiny", folder)
    albert_edge.quantize(folder)
    return folder


@pytest.fixture(scope="session")
def page(quantized: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(quantized, path, bench_of(quantized), EVALUATION)
    return path


@pytest.fixture
def measured(quantized: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What bench --json would have printed."""
    print_json(bench_of(quantized))
    (tmp_path / "bench.json").write_text(capsys.readouterr().out, encoding="utf-8")
    return tmp_path / "bench.json"
