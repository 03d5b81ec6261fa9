"""The page about a bundle: its content as written, and as a real browser renders it."""

from __future__ import annotations

import builtins
import dataclasses
import html
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.bench_samples import BASELINE, FIGURES, latency, runtime, sample
from support.browser import look_at, needs_chromium, run_chromium

import albert_edge
from albert_edge.benchmark.report import BenchReport
from albert_edge.bundle.bundle import open_bundle
from albert_edge.cli.printing import print_json
from albert_edge.errors import (
    AlbertEdgeError,
    BundleError,
    InputError,
    MissingExtraError,
    UsageError,
)
from albert_edge.evaluation.report import (
    Difference,
    Disagreement,
    EvaluateReport,
    PrecisionResult,
)
from albert_edge.inspection.inspect import inspect
from albert_edge.report.bench_file import parse_bench, read_bench
from albert_edge.report.write import write_report

SCRIPT = Path(sys.executable).with_name("albert-edge")
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
            "model_int8",
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


@pytest.fixture(scope="module")
def langid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that ships, in fp32 and int8."""
    folder = tmp_path_factory.mktemp("report") / "langid"
    albert_edge.export("langid-tiny", folder)
    albert_edge.quantize(folder)
    return folder


def bench_of(bundle: Path, **changes: Any) -> BenchReport:
    """A report that says it is of this bundle."""
    return sample(geometry=inspect(bundle).geometry, **changes)


@pytest.fixture(scope="module")
def page(langid: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything on it."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(langid, path, bench_of(langid), EVALUATION)
    return path


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


# --- what is on it --------------------------------------------------------------------------


def test_numbers_are_those_of_the_reports(page: Path, langid: Path) -> None:
    found = Tables(page.read_text(encoding="utf-8")).found
    report = bench_of(langid)
    first = report.runtimes[0]
    starts = found["Start and memory"]
    assert starts[1][:8] == [first.name, "int8", "11.9", "0.12", "0.38", "25", "40", "0.99987"]
    latencies = found["Latency with 2 threads, ms: median (95 %)"]
    assert latencies[0][1:] == ["1x8", "1x32", "1x128", "1x384", "8x128"]
    for row, one in zip(latencies[1:], report.runtimes, strict=True):
        assert row[0] == one.name
        assert [float(cell.split()[0]) for cell in row[1:]] == pytest.approx(
            FIGURES[one.name][0], abs=0.05
        )
    ratios = found[f"Times as fast as {BASELINE}, 2 threads (quartiles of rounds)"]
    assert ratios[1][1] == "3.67 (2.76 to 4.59)"
    assert found["Peers that were not measured"][1] == ["torch", report.skipped["torch"]]
    assert found["What it ran on"][2] == ["instructions", "avx2 yes, vnni no"]


def test_the_first_figures_are_those_of_the_fastest_variant(langid: Path, tmp_path: Path) -> None:
    report = bench_of(langid)
    slow_first = dataclasses.replace(report, runtimes=[report.runtimes[1], report.runtimes[0]])
    write_report(langid, tmp_path / "r.html", slow_first)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    facts = dict(re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", text))
    assert facts == {
        "parameters, each stored once": "0.5 M",
        "file of albert-edge int8": "11.9 MB",
        "process start to its first answer": "0.38 s",
        "its median at 8x128, 2 threads": "310.0 ms",
        "as fast as optimum there": "3.22 x",
    }


def test_geometry_and_files_are_those_of_the_bundle(page: Path, langid: Path) -> None:
    found = Tables(page.read_text(encoding="utf-8")).found
    geometry = dict(found["Geometry, as in config.json"][1:])
    assert geometry["hidden_size"] == "128" and geometry["num_hidden_layers"] == "4"
    files = {
        name: (int(size.replace(",", "")), digest) for name, size, digest in found["Files"][1:]
    }
    records = list(open_bundle(langid).manifest.records())
    assert files == {one.file: (one.bytes, one.sha256) for one in records}
    weights = found["Weights, each counted once"]
    assert weights[-1][:2] == ["total", "496,389"]  # what the model's card says


def test_quality_is_what_the_manifest_says(page: Path, langid: Path) -> None:
    rows = {row[0]: row[1:] for row in Tables(page.read_text(encoding="utf-8")).found[
        "Answers beside the reference's"
    ]}  # fmt: skip
    measured = open_bundle(langid).manifest.variants[-1].measured
    assert rows["model_int8"][0] == f"fp32, {measured['sample']}"
    assert rows["model_int8"][1:4] == [
        f"{measured['texts']}",
        f"{measured['cosine']:.5f}",
        f"{measured['worst_cosine']:.5f}",
    ]
    assert rows["model"][0] == "nothing"  # and no figure is made up
    assert set(rows["model"][1:]) == {""}


def test_an_evaluation_is_shown_with_its_interval(page: Path) -> None:
    found = Tables(page.read_text(encoding="utf-8")).found
    assert found["Metrics"][1:] == [["fp32", "0.9812", "undefined"], ["int8", "0.9799", "0.9687"]]
    assert found["Difference to fp32, with its 95% interval"][1] == [
        *("int8", "-0.0013 (-0.0041 to +0.0015)", "")
    ]
    shown = found["Examples that are not answered alike"][1]
    assert shown == ["7", f"Guten Tag {ATTACK}", "de", "de", "en"]


def test_without_data_there_is_no_such_section(langid: Path, tmp_path: Path) -> None:
    written = write_report(langid, tmp_path / "r.html", bench_of(langid))
    assert written.sections == [
        "Model",
        "Files and sizes",
        "Quality",
        "Speed and memory",
        "Machine",
    ]
    assert written.bytes == (tmp_path / "r.html").stat().st_size


def test_unknown_memory_is_said_to_be(langid: Path, tmp_path: Path) -> None:
    one = dataclasses.replace(sample().runtimes[0], steady_mb=math.nan, peak_mb=math.nan)
    write_report(langid, tmp_path / "r.html", bench_of(langid, runtimes=[one]))
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert Tables(text).found["Start and memory"][1][5:7] == ["unknown", "unknown"]
    assert "nan" not in text.lower()


def test_the_page_needs_nothing_else(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert all(name.startswith("#") for name in Tables(text).resources)
    assert not re.search(r"<script|@import|@font-face|url\((?!#)", text)
    # What could be fetched is forbidden as well.
    assert "Content-Security-Policy\" content=\"default-src 'none'" in text
    addresses = set(re.findall(r"https?://[^\"'\s<)]+", text))
    assert addresses - {"http://example.invalid/x"} <= {
        *("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink")
    }


def test_names_and_links_on_the_page_are_its_own(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = re.findall(r'\bid="([^"]+)"', text)
    assert len(names) == len(set(names))
    led = re.findall(r'(?:href="#|url\(#|aria-labelledby=")([^")]+)', text)
    assert set(led) <= set(names)
    levels = [int(level) for level in re.findall(r"<h(\d)", text)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


@pytest.mark.parametrize("where", ["label", "source", "runtime", "peer", "machine", "folder"])
def test_everything_is_shown_and_nothing_obeyed(where: str, langid: Path, tmp_path: Path) -> None:
    bundle = tmp_path / ("<b>&amp;" if where == "folder" else "langid")
    bundle.mkdir()
    for record in ("albert_edge.json", *(r.file for r in open_bundle(langid).manifest.records())):
        (bundle / record).parent.mkdir(exist_ok=True)
        os.link(langid / record, bundle / record)
    changes: dict[str, Any] = {}
    if where in ("label", "source"):
        manifest = json.loads((bundle / "albert_edge.json").read_text(encoding="utf-8"))
        changed = {"label": {"labels": [ATTACK, *"abcd"]}, "source": {"source": ATTACK}}[where]
        (bundle / "albert_edge.json").unlink()
        (bundle / "albert_edge.json").write_text(json.dumps(manifest | changed))
    elif where == "runtime":
        changes["runtimes"] = [runtime(ATTACK, [latency(1, 8, 4.0, 1.0), latency(1, 9, 5.0, 1.0)])]
    elif where == "peer":
        changes["skipped"] = {ATTACK: ATTACK}
    elif where == "machine":
        changes["machine"] = dataclasses.replace(sample().machine, cpu=ATTACK)
    write_report(bundle, tmp_path / "r.html", bench_of(bundle, **changes))
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    if where != "folder":
        assert html.escape(ATTACK)[:30] in text.replace("&#39;", "&#x27;")
    else:
        assert "<h1>&lt;b&gt;&amp;amp;</h1>" in text
    assert not re.search(r"<(script|img|b)\b", text)


def test_a_damaged_bundle_is_an_error(langid: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        write_report(tmp_path, tmp_path / "r.html", bench_of(langid))
    assert not list(tmp_path.iterdir())


def test_figures_of_another_model_are_refused(langid: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="hidden_size is 24, the bundle's 128"):
        write_report(langid, tmp_path / "r.html", sample())
    assert not list(tmp_path.iterdir())


# --- bench reports from files ---------------------------------------------------------------


def test_a_bench_report_is_read_back_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = sample(threads=(1, 2))
    print_json(report)
    path = tmp_path / "bench.json"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    assert read_bench(path) == report


def test_numbers_json_has_no_word_for_come_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nan = dataclasses.replace(sample().runtimes[0], peak_mb=math.nan)
    print_json(sample(runtimes=[nan]))
    found = parse_bench(json.loads(capsys.readouterr().out)).runtimes[0]
    assert math.isnan(found.peak_mb)
    assert dataclasses.replace(found, peak_mb=0) == dataclasses.replace(nan, peak_mb=0)


def broken() -> Iterator[tuple[str, Any]]:
    document = json.loads(json.dumps(dataclasses.asdict(sample())))
    yield "the document is", [document]
    yield "the document has no runtimes", {k: v for k, v in document.items() if k != "runtimes"}
    yield "the document.rounds is '5'", {**document, "rounds": "5"}
    yield "the document.rounds is 'True'", {**document, "rounds": True}
    first = document["runtimes"][0]
    yield (
        "the document.runtimes[0].latencies[0] has no p50_ms",
        {
            **document,
            "runtimes": [{**first, "latencies": [{"batch": 1, "length": 8, "threads": 1}]}],
        },
    )
    yield (
        "the document.runtimes[0].file_bytes is '1.5'",
        {**document, "runtimes": [{**first, "file_bytes": 1.5}]},
    )


@pytest.mark.parametrize(
    ("words", "document"), list(broken()), ids=[words for words, _ in broken()]
)
def test_what_is_no_bench_report_is_named(words: str, document: Any, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        read_bench(path)
    assert words in str(caught.value)
    assert "albert-edge bench BUNDLE --json" in caught.value.tip


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "bench.json").write_bytes(content)
    with pytest.raises(InputError, match="is not what bench prints"):
        read_bench(tmp_path / "bench.json")


# --- the command ----------------------------------------------------------------------------


@pytest.fixture
def measured(langid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What bench --json would have printed."""
    print_json(bench_of(langid))
    (tmp_path / "bench.json").write_text(capsys.readouterr().out, encoding="utf-8")
    return tmp_path / "bench.json"


def start(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    told = [str(SCRIPT), *map(str, arguments)]
    return subprocess.run(told, cwd=cwd, capture_output=True, encoding="utf-8", timeout=300)


def test_the_command_writes_a_page_and_prints_its_path(
    langid: Path, measured: Path, tmp_path: Path
) -> None:
    (tmp_path / "r.html").write_text("an old one")
    done = start("report", langid, "--bench", measured, "-o", "r.html", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "r.html\n")
    assert "Not measured: torch: pip install" in done.stderr
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and "Processor of a test" in text
    assert {each.name for each in tmp_path.iterdir()} == {"r.html", "bench.json"}
    again = start("report", langid, "--bench", measured, "--json", cwd=tmp_path)
    document = json.loads(again.stdout)
    assert (document["schema_version"], document["page"]) == (1, "report.html")
    assert document["bytes"] == (tmp_path / "report.html").stat().st_size
    assert again.stderr == ""


def test_the_command_measures_what_it_was_not_given(langid: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.tsv"
    data.write_text("text\tlabel\nWo ist der Bahnhof?\tde\nGuten Tag\tfr\n", encoding="utf-8")
    done = start("report", langid, "--data", data, "--json", cwd=tmp_path)
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
        (["BUNDLE", "--bench", "BENCH", "-o", "no/such/folder.html"], 2, "no folder"),
        (["BUNDLE", "--bench", "BENCH", "-o", "."], 2, "it is a folder"),
        (["BUNDLE", "--against", "nobody"], 2, "nobody"),
        (["BUNDLE", "--bench", "BENCH", "--data", "none.tsv"], 2, "none.tsv"),
    ],
    ids=["bundle", "bench", "both", "parent", "folder", "peer", "data"],
)
def test_what_cannot_be_meant_is_an_error(
    arguments: list[str], code: int, words: str, langid: Path, measured: Path, tmp_path: Path
) -> None:
    names = {"BUNDLE": str(langid), "BENCH": str(measured)}
    done = start("report", *(names.get(one, one) for one in arguments), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert re.fullmatch(r"ERROR \S.*\nTIP   \S.*\n", done.stderr) and words in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["bench.json"]


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_extra_is_named_before_anything_is_measured(
    package: str, langid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from albert_edge.cli.report import report

    real = builtins.__import__

    def fake(name: str, *rest: Any) -> Any:
        assert not name.startswith("albert_edge.benchmark.run")
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fake)
    with pytest.raises(MissingExtraError, match=package) as caught:
        report(langid, tmp_path / "r.html")
    assert isinstance(caught.value, AlbertEdgeError)
    assert caught.value.tip == "pip install 'albert-edge[report]'"
    assert not list(tmp_path.iterdir())


# --- in a real browser ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def rendered(page: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return look_at(page, tmp_path_factory.mktemp("browser"))


@needs_chromium
def test_browser_shows_the_tables(rendered: dict[str, Any], page: Path) -> None:
    written = Tables(page.read_text(encoding="utf-8")).found
    assert len(rendered["tables"]) == len(written) >= 12
    for table in rendered["tables"]:
        expected = written[table["caption"]]
        shown = [table["columns"], *table["rows"]]
        assert [[cell.strip() for cell in row] for row in expected] == shown
        assert table["headed"]
        assert all(table["columns"])  # a heading says something
        assert table["width"] > 100 and table["height"] > 40
    assert "11.9" in rendered["text"] and "albert-edge int8" in rendered["text"]
    levels = [level for level, _ in rendered["headings"]]
    assert levels == ["H1", *["H2"] * 6]
    assert (rendered["title"], rendered["language"]) == ("langid", "en")


@needs_chromium
def test_browser_shows_the_figures(rendered: dict[str, Any]) -> None:
    assert [svg["name"] for svg in rendered["svgs"]] == [
        *("Latency over length, batch 1, 2 threads", "Memory", "File size")
    ]
    for svg in rendered["svgs"]:
        assert svg["role"] == "img"
        assert svg["width"] > 500 and svg["height"] > 150
        found = {text["words"]: text for text in svg["texts"]}
        assert {*FIGURES} <= {*found}
        assert all(text["width"] > 3 and text["height"] >= 9 for text in found.values())
    sizes = {text["words"] for text in rendered["svgs"][2]["texts"]}
    assert {"11.9", "46.7", "47.0", "12.2"} <= sizes


@needs_chromium
def test_browser_asks_for_nothing_and_complains_of_nothing(rendered: dict[str, Any]) -> None:
    assert rendered["requests"] == []
    assert rendered["console"] == []
    assert rendered["scripts"] == 0
    assert rendered["overflow"] == 0
    assert rendered["links"] == [
        *("#model", "#files", "#quality", "#evaluation", "#speed", "#machine")
    ]


@needs_chromium
def test_browser_would_notice_a_request_and_a_complaint(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!doctype html><p>a<img src='http://example.invalid/x.png'>"
        "<script>console.error('trouble')</script>"
    )
    seen = look_at(bad, tmp_path)
    assert seen["requests"] == ["http://example.invalid/x.png"]
    assert any("trouble" in line for line in seen["console"])
    assert seen["scripts"] == 1


def brightness(colour: str) -> float:
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


@needs_chromium
def test_browser_shows_it_dark_and_narrow(
    rendered: dict[str, Any], page: Path, tmp_path: Path
) -> None:
    dark = look_at(page, tmp_path, width=380, dark=True)
    assert brightness(dark["background"]) < 60 < 180 < brightness(dark["colour"])
    assert brightness(rendered["background"]) > 240
    assert brightness(rendered["colour"]) < 60
    assert dark["overflow"] == 0  # what is wide scrolls by itself


@needs_chromium
def test_browser_prints_it(page: Path, tmp_path: Path) -> None:
    run_chromium(tmp_path, f"--print-to-pdf={tmp_path / 'r.pdf'}", page.as_uri())
    content = (tmp_path / "r.pdf").read_bytes()
    assert content.startswith(b"%PDF") and 2 <= content.count(b"/Type /Page\n") <= 12
