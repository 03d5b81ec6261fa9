"""`albert-edge report`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.reports import Tables

from albert_edge.errors import (
    AlbertEdgeError,
    MissingExtraError,
)

pytestmark = pytest.mark.slow

SCRIPT = Path(sys.executable).with_name("albert-edge")


def start(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    told = [str(SCRIPT), *map(str, arguments)]
    return subprocess.run(told, cwd=cwd, capture_output=True, encoding="utf-8", timeout=300)


def test_the_command_writes_a_page_and_prints_its_path(
    quantized: Path, measured: Path, tmp_path: Path
) -> None:
    (tmp_path / "r.html").write_text("an old one")
    done = start("report", quantized, "--bench", measured, "-o", "r.html", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "r.html\n")
    assert "Not measured: torch: pip install" in done.stderr
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and "Processor of a test" in text
    assert {each.name for each in tmp_path.iterdir()} == {"r.html", "bench.json"}
    again = start("report", quantized, "--bench", measured, "--json", cwd=tmp_path)
    document = json.loads(again.stdout)
    assert (document["schema_version"], document["page"]) == (1, "report.html")
    assert document["bytes"] == (tmp_path / "report.html").stat().st_size
    assert again.stderr == ""


@pytest.mark.slow
def test_the_command_measures_what_it_was_not_given(quantized: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.tsv"
    data.write_text("text\tlabel\nWo ist der Bahnhof?\tde\nGuten Tag\tfr\n", encoding="utf-8")
    done = start("report", quantized, "--data", data, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = Tables((tmp_path / "report.html").read_text(encoding="utf-8")).found
    names = [row[0] for row in found["Start and memory"][1:]]
    assert "albert-edge int8" in names and "albert-edge fp32" in names
    assert found["Metrics"][1][:2] == ["fp32", "0.5000"]  # one of two is right
    assert float(found["Metrics"][1][1]) == 0.5


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing"], 1, "missing"),
        (["BUNDLE", "--bench", "none.json"], 1, "none.json"),
        (["BUNDLE", "--bench", "BENCH", "--against", "torch"], 2, "--against"),
        (["BUNDLE", "--bench", "BENCH", "-o", "no/such/folder.html"], 2, "is not a folder"),
        (["BUNDLE", "--bench", "BENCH", "-o", "."], 2, "it is a folder"),
        (["BUNDLE", "--against", "nobody"], 2, "nobody"),
        (["BUNDLE", "--bench", "BENCH", "--data", "none.tsv"], 2, "none.tsv"),
    ],
    ids=["bundle", "bench", "both", "parent", "folder", "peer", "data"],
)
def test_what_cannot_be_meant_is_an_error(
    arguments: list[str], code: int, words: str, quantized: Path, measured: Path, tmp_path: Path
) -> None:
    names = {"BUNDLE": str(quantized), "BENCH": str(measured)}
    done = start("report", *(names.get(one, one) for one in arguments), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert re.fullmatch(r"ERROR \S.*\nTIP   \S.*\n", done.stderr) and words in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["bench.json"]


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_extra_is_named_before_anything_is_measured(
    package: str, quantized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from albert_edge.cli.report import report

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("something was measured")

    monkeypatch.setattr("albert_edge.benchmark.run.bench", refuse)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=package) as caught:
        report(quantized, tmp_path / "r.html")
    assert isinstance(caught.value, AlbertEdgeError)
    assert caught.value.tip == "pip install 'albert-edge[report]'"
    assert not list(tmp_path.iterdir())
