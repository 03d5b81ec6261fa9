"""The page about a bundle: its content as written."""

from __future__ import annotations

import dataclasses
import html
import json
import math
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.bench_samples import BASELINE, FIGURES, ROOFLINE, latency, runtime, sample
from support.reports import ATTACK, EVALUATION, Tables, bench_of

from albert_edge.bundle.bundle import open_bundle
from albert_edge.errors import (
    BundleError,
    UsageError,
)
from albert_edge.report.write import write_report


def test_numbers_are_those_of_the_reports(page: Path, quantized: Path) -> None:
    found = Tables(page.read_text(encoding="utf-8")).found
    report = bench_of(quantized)
    first = report.runtimes[0]
    starts = found["Start and memory"]
    assert starts[1][:8] == [first.name, "int8", "11.9", "0.12", "0.38", "25", "40", "0.99987"]
    latencies = found["Latency by batch x tokens, 2 threads, ms: median (95th percentile)"]
    assert latencies[0][1:] == ["1x8", "1x32", "1x128", "1x384", "8x128"]
    for row, one in zip(latencies[1:], report.runtimes, strict=True):
        assert row[0] == one.name
        assert [float(cell.split()[0]) for cell in row[1:]] == pytest.approx(
            FIGURES[one.name][0], abs=0.05
        )
    ratios = found[f"Speed-up over {BASELINE} by batch x tokens, 2 threads: median (quartiles)"]
    assert ratios[1][1] == "~3.7 x (2.76 to 4.59)"  # ~: scattered
    assert found["Peers that were not measured"][1] == ["torch", report.skipped["torch"]]
    assert found["Machine"][2] == ["instruction sets", "avx2 yes, vnni no"]


def test_limits_of_both_kinds_of_cpu(quantized: Path, tmp_path: Path) -> None:
    limits = {}
    for kind in ("x86 with VNNI", ""):  # the second is of a report of before
        roofline = [dataclasses.replace(ROOFLINE, other_cpu=kind)]
        write_report(quantized, tmp_path / "r.html", bench_of(quantized, roofline=roofline))
        found = Tables((tmp_path / "r.html").read_text(encoding="utf-8")).found
        limits[kind] = found["Latency compared with the limits of this machine"]
    head, row = limits["x86 with VNNI"]
    derived = "limit by arithmetic on x86 with VNNI, ms (derived)"
    assert (head[-1], row[-1]) == (derived, "10.0")
    assert (head[6], row[6]) == ("limit by arithmetic, ms", "5.00")
    assert limits[""] == [head[:-1], row[:-1]]


def facts_of(page: Path) -> dict[str, str]:
    """The numbers at the top of a page, by what they mean."""
    text = page.read_text(encoding="utf-8")
    return dict(re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", text))


def test_the_headline_leads_with_quality_and_speed(quantized: Path, tmp_path: Path) -> None:
    report = bench_of(quantized)
    slow_first = dataclasses.replace(report, runtimes=[report.runtimes[1], report.runtimes[0]])
    write_report(quantized, tmp_path / "r.html", slow_first)
    agreement = open_bundle(quantized).manifest.variants[-1].measured["agreement"]
    over = "over optimum, 2 threads (5 shapes, geometric mean)"
    assert list(facts_of(tmp_path / "r.html").items()) == [
        ("of answers of int8 agree with fp32", f"{agreement:.2%}"),
        (f"speed-up of albert-edge int8 {over}", "~3.5 x"),
        ("latency at 8x128, 2 threads (median)", "310.0 ms"),
        ("from process start to the first answer", "0.38 s"),
        ("peak memory", "40 MB"),
        ("file of albert-edge int8", "11.9 MB"),
        ("parameters, each stored once", "0.5 M"),
    ]
    write_report(quantized, tmp_path / "r.html", slow_first, EVALUATION)
    first = next(iter(facts_of(tmp_path / "r.html").items()))
    assert first == ("accuracy of int8 (fp32: 0.9812)", "0.9799")


def test_the_headline_is_of_the_largest_paired_ratio(quantized: Path, tmp_path: Path) -> None:
    """Not of the lowest median, which a quiet moment can give to a slower variant."""
    lucky = runtime("albert-edge fp32", [latency(1, 8, 3.0, 1.5), latency(1, 128, 30.0, 1.6)])
    steady = runtime("albert-edge int8", [latency(1, 8, 4.0, 3.0), latency(1, 128, 40.0, 3.0)])
    write_report(quantized, tmp_path / "r.html", bench_of(quantized, runtimes=[lucky, steady]))
    facts = facts_of(tmp_path / "r.html")
    assert facts["file of albert-edge int8"]
    over = "over optimum, 2 threads (2 shapes, geometric mean)"
    assert facts[f"speed-up of albert-edge int8 {over}"] == "~3.0 x"
    calm = [dataclasses.replace(each, ratio_low=2.9, ratio_high=3.1) for each in steady.latencies]
    steady = dataclasses.replace(steady, latencies=calm)
    write_report(quantized, tmp_path / "r.html", bench_of(quantized, runtimes=[lucky, steady]))
    facts = facts_of(tmp_path / "r.html")
    assert facts[f"speed-up of albert-edge int8 {over}"] == "3.00 x"  # not marked as scattered
    alone = runtime("albert-edge fp32", [latency(1, 8, 3.0, None)])
    write_report(quantized, tmp_path / "r.html", bench_of(quantized, runtimes=[alone]))
    assert not any("speed-up" in meaning for meaning in facts_of(tmp_path / "r.html"))


def test_quality_and_speed_come_first_and_details_are_folded(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    folds = re.findall(r"<details>\s*<summary>(.*?)</summary>", text)
    assert folds == [
        "Throughput by batch x tokens, 2 threads, sequences/s",
        "Method",
        "Geometry, as in config.json",
        "Weights, each counted once",
        "Precision of each matrix",
        "Files and hashes",
    ]
    assert text.index("Metrics") < text.index("Speed-up over") < text.index("hidden_size")


def test_geometry_and_files_are_those_of_the_bundle(page: Path, quantized: Path) -> None:
    found = Tables(page.read_text(encoding="utf-8")).found
    geometry = dict(found["Geometry, as in config.json"][1:])
    assert geometry["hidden_size"] == "128" and geometry["num_hidden_layers"] == "4"
    files = {
        name: (int(size.replace(",", "")), digest)
        for name, size, digest in found["Files and hashes"][1:]
    }
    records = list(open_bundle(quantized).manifest.records())
    assert files == {one.file: (one.bytes, one.sha256) for one in records}
    weights = found["Weights, each counted once"]
    assert weights[-1][:2] == ["total", "496,389"]  # what the model's card says


def test_quality_is_what_the_manifest_says(page: Path, quantized: Path) -> None:
    rows = {row[0]: row[1:] for row in Tables(page.read_text(encoding="utf-8")).found[
        "Answers compared with the reference"
    ]}  # fmt: skip
    measured = open_bundle(quantized).manifest.variants[-1].measured
    assert rows["model_quantized"][0] == f"fp32, {measured['sample']}"
    assert rows["model_quantized"][1:4] == [
        f"{measured['texts']}",
        f"{measured['cosine']:.5f}",
        f"{measured['worst_cosine']:.5f}",
    ]
    assert rows["model"][0] == "not measured"  # and no figure is made up
    assert set(rows["model"][1:]) == {""}


def test_an_evaluation_is_shown_with_its_interval(page: Path) -> None:
    found = Tables(page.read_text(encoding="utf-8")).found
    assert found["Metrics"][1:] == [["fp32", "0.9812", "undefined"], ["int8", "0.9799", "0.9687"]]
    assert found["Difference from fp32 (95% confidence interval)"][1] == [
        *("int8", "-0.0013 (-0.0041 to +0.0015)", "")
    ]
    shown = found["Examples that precisions answer differently"][1]
    assert shown == ["7", f"Guten Tag {ATTACK}", "de", "de", "en"]


def test_without_data_there_is_no_such_section(quantized: Path, tmp_path: Path) -> None:
    written = write_report(quantized, tmp_path / "r.html", bench_of(quantized))
    assert written.sections == [
        "Agreement with fp32",
        "Speed and memory",
        "Machine",
        "Model",
        "Files",
    ]
    assert written.bytes == (tmp_path / "r.html").stat().st_size


def test_unknown_memory_is_said_to_be(quantized: Path, tmp_path: Path) -> None:
    one = dataclasses.replace(sample().runtimes[0], steady_mb=math.nan, peak_mb=math.nan)
    write_report(quantized, tmp_path / "r.html", bench_of(quantized, runtimes=[one]))
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
def test_everything_is_shown_and_nothing_obeyed(
    where: str, quantized: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / ("<b>&amp;" if where == "folder" else "langid")
    bundle.mkdir()
    for record in (
        "albert_edge.json",
        *(r.file for r in open_bundle(quantized).manifest.records()),
    ):
        (bundle / record).parent.mkdir(exist_ok=True)
        os.link(quantized / record, bundle / record)
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


def test_a_damaged_bundle_is_an_error(quantized: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        write_report(tmp_path, tmp_path / "r.html", bench_of(quantized))
    assert not list(tmp_path.iterdir())


def test_figures_of_another_model_are_refused(quantized: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="hidden_size is 24, the bundle's 128"):
        write_report(quantized, tmp_path / "r.html", sample())
    assert not list(tmp_path.iterdir())
