"""Figures of a bench report: what is drawn where, and that the same figures give the same file."""

from __future__ import annotations

import math
import os
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from support.bench_samples import FIGURES, SHAPES, latency, runtime, sample
from support.paths import ROOT

from albert_edge.benchmark.report import BenchReport
from albert_edge.errors import AlbertEdgeError, MissingExtraError, UsageError
from albert_edge.report.looks import COLOURS, INK, looks
from albert_edge.report.panels import line_groups, spread_out
from albert_edge.report.plot_file import write_plot
from albert_edge.report.plots import draw, inline_svgs

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    """The words of an SVG, which are text there and no outlines."""
    return [
        "".join(element.itertext()).strip() for element in ET.fromstring(svg).iter(f"{SVG}text")
    ]


def panels(report: BenchReport) -> list[Any]:
    """The axes of a drawing: latencies, memory, sizes."""
    return list(draw(report).axes)


# --- what is drawn --------------------------------------------------------------------------


def test_lines_are_the_medians_over_the_lengths() -> None:
    axes = panels(sample())[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert len(axes.lines) == len(FIGURES)
    for line, (medians, _, _, _) in zip(axes.lines, FIGURES.values(), strict=True):
        assert list(line.get_xdata()) == [length for batch, length in SHAPES if batch == 1]
        assert list(line.get_ydata()) == medians[:4]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["8", "32", "128", "384"]
    assert axes.get_title(loc="left") == "Latency, ms (median), batch 1, 2 threads"


def test_each_line_bears_its_name_at_its_end() -> None:
    axes = panels(sample())[0]
    assert axes.get_legend() is None
    found = {text.get_text(): text.xy for text in axes.texts}
    assert found == {name: (384, figures[0][3]) for name, figures in FIGURES.items()}


def test_no_name_stands_on_another() -> None:
    """Also where all lines end at one point."""
    crowd = {f"runtime {index}": [10.0, 20.0] for index in range(9)}
    runtimes = [
        runtime(name, [latency(1, 8, a, None), latency(1, 128, b, None)])
        for name, (a, b) in crowd.items()
    ]
    figure = draw(replace(sample(), runtimes=runtimes))
    figure.draw_without_rendering()
    boxes = sorted(
        (Text.get_window_extent(text) for text in figure.axes[0].texts),
        key=lambda box: float(box.y0),
    )
    assert len(boxes) == 9
    assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))


def test_bars_are_sizes_and_memory_and_say_so() -> None:
    _, memory, sizes = panels(sample())
    names = list(FIGURES)
    assert [label.get_text() for label in sizes.get_yticklabels()] == names
    assert [bar.get_width() for bar in sizes.patches] == [FIGURES[n][1] / 1e6 for n in names]
    assert [text.get_text() for text in sizes.texts] == ["11.9", "46.7", "47.0", "12.2"]
    # Peaks first, then what stays before them.
    widths = [bar.get_width() for bar in memory.patches]
    assert widths == [FIGURES[n][3] for n in names] + [FIGURES[n][2] for n in names]
    assert memory.texts[0].get_text() == "25 (peak 40)"


def test_memory_that_the_system_does_not_tell_is_unknown() -> None:
    report = sample("albert-edge int8")
    nan = replace(report.runtimes[0], steady_mb=math.nan, peak_mb=math.nan)
    memory = panels(replace(report, runtimes=[nan]))[1]
    assert [text.get_text() for text in memory.texts] == ["unknown"]
    assert all(math.isfinite(bar.get_width()) for bar in memory.patches)


def test_a_line_for_every_number_of_threads() -> None:
    report = sample(threads=(1, 2))
    assert line_groups(report) == [(1, 1), (1, 2)]
    titles = [axes.get_title(loc="left") for axes in panels(report)]
    assert titles[:2] == [
        "Latency, ms (median), batch 1, 1 thread",
        "Latency, ms (median), batch 1, 2 threads",
    ]
    assert len(titles) == 4


def test_one_shape_is_enough() -> None:
    one = runtime("albert-edge int8", [latency(1, 8, 4.0, None)])
    axes = panels(replace(sample(), runtimes=[one]))[0]
    assert list(axes.lines[0].get_ydata()) == [4.0]


def test_a_runtime_without_some_shapes_is_drawn_with_the_others() -> None:
    report = sample()
    short = replace(report.runtimes[1], latencies=report.runtimes[1].latencies[:2])
    none = replace(report.runtimes[2], latencies=[])
    runtimes = [report.runtimes[0], short, none]
    axes = panels(replace(report, runtimes=runtimes))[0]
    assert [len(line.get_xdata()) for line in axes.lines] == [4, 2]


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(UsageError, match="nothing to draw"):
        draw(replace(sample(), runtimes=[]))


# --- how it looks ---------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


# Linear RGB as seen without one kind of cone: Machado, Oliveira and Fernandes (2009), severity 1.
VISIONS = {
    "no red cones": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                     [-0.003882, -0.048116, 1.051998]],
    "no green cones": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                       [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip


def seen(colour: str, vision: list[list[float]]) -> Any:
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]) ** 2.2
    return np.clip(np.array(vision) @ rgb, 0, 1) ** (1 / 2.2)


def test_runtimes_can_be_told_apart_without_colours() -> None:
    names = [f"{kind} {index}" for kind in ("albert-edge", "peer") for index in range(8)]
    report = replace(sample(), runtimes=[runtime(name, []) for name in names])
    found = looks(report)
    assert len({(look.colour, look.marker) for look in found.values()}) == 16
    assert len({(look.marker, look.own) for look in found.values()}) == 16


def test_colours_are_seen_on_white_and_on_the_dark_page() -> None:
    style = resources.files("albert_edge.report").joinpath("style.css").read_text()
    grounds = re.findall(r"--ground: (#\w{6})", style)
    assert len(grounds) == 2
    for ground in grounds:
        assert all(contrast(colour, ground) >= 3 for colour in COLOURS), ground
    assert contrast(INK, "#ffffff") > 12


@pytest.mark.parametrize("vision", VISIONS)
def test_the_first_colours_differ_for_every_kind_of_vision(vision: str) -> None:
    """Of five runtimes; beyond that, markers and names tell."""
    shades = [seen(colour, VISIONS[vision]) for colour in COLOURS[:5]]
    distances = [float(np.abs(a - b).max()) for i, a in enumerate(shades) for b in shades[i + 1 :]]
    assert min(distances) > 0.1


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.01, 0.3))
def test_spread_places_keep_their_order_and_their_gap(places: list[float], gap: float) -> None:
    spread = spread_out(places, gap)
    assert len(spread) == len(places)
    ordered = sorted(spread)
    assert all(b - a >= gap - 1e-9 for a, b in pairwise(ordered))
    for i, a in enumerate(places):
        assert all(spread[i] < spread[j] for j, b in enumerate(places) if a < b)
    if places:  # moved as a whole, nothing drifts
        assert np.mean(spread) == pytest.approx(np.mean(places), abs=1e-9)
    apart = [index * gap * 1.01 for index in range(len(places))]
    assert spread_out(apart, gap) == pytest.approx(apart)


# --- files ----------------------------------------------------------------------------------


def test_svg_has_its_words_as_text(tmp_path: Path) -> None:
    write_plot(sample(), tmp_path / "plot.svg")
    found = texts((tmp_path / "plot.svg").read_text(encoding="utf-8"))
    assert {*FIGURES, "Memory, MB: steady (peak)", "File, MB", "384", "46.7"} <= {*found}


def test_png_is_a_picture_of_some_size(tmp_path: Path) -> None:
    write_plot(sample(), tmp_path / "plot.PNG")
    content = (tmp_path / "plot.PNG").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert width > 1000 and height > 500


def test_html_is_one_page_with_every_figure(tmp_path: Path) -> None:
    write_plot(sample(), tmp_path / "plot.html")
    page = (tmp_path / "plot.html").read_text(encoding="utf-8")
    assert page.count("<svg role=") == 3
    assert not re.search(r"<script|<link|<img|\bsrc=|@import|url\((?!#)", page)
    links = set(re.findall(r"https?://[^\"'\s<]+", page))
    assert links <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # namespaces
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert {*re.findall(r"url\(#([^)]+)\)", page)} <= {*names}
    assert {*re.findall(r'href="#([^"]+)"', page)} <= {*names}


@pytest.mark.parametrize("suffix", ["svg", "png", "html"])
def test_the_same_report_gives_the_same_file(suffix: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_plot(sample(), tmp_path / f"{name}.{suffix}")
    first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in "ab")
    assert first == second
    changed = sample(rounds=6, runtimes=sample().runtimes[:2])
    write_plot(changed, tmp_path / f"b.{suffix}")
    assert (tmp_path / f"b.{suffix}").read_bytes() != first


def test_svg_is_the_same_in_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from support.bench_samples import sample; "
        "from albert_edge.report.plot_file import write_plot; write_plot(sample(), sys.argv[1]); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "there.svg", ROOT / "tests"], check=True)
    write_plot(sample(), tmp_path / "here.svg")
    assert (tmp_path / "there.svg").read_bytes() == (tmp_path / "here.svg").read_bytes()


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_names_are_shown_and_not_obeyed(suffix: str, tmp_path: Path) -> None:
    name = "albert-edge <script>alert(1)</script> $x^2$ & more"
    one = runtime(name, [latency(1, 8, 4.0, None), latency(1, 32, 9.0, None)])
    path = tmp_path / f"plot.{suffix}"
    write_plot(replace(sample(), runtimes=[one], model="<script>alert(2)</script>"), path)
    content = path.read_text(encoding="utf-8")
    assert "<script" not in content
    assert "&lt;script&gt;alert(1)&lt;/script&gt; $x^2$ &amp; more" in content
    for svg in re.findall(r"<svg.*?</svg>", content, re.DOTALL):
        assert name in texts(svg)


def test_inline_figures_take_the_colour_of_the_page() -> None:
    for title, svg in inline_svgs(sample()):
        assert ET.fromstring(svg).find(f"{SVG}title").text == title  # type: ignore[union-attr]
        assert "currentColor" in svg
        assert INK not in svg
        assert 'role="img"' in svg


def test_settings_of_the_program_are_left_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    inline_svgs(sample())
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", ["plot", "plot.pdf", "plot.svg.gz"])
def test_another_suffix_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unsupported format") as caught:
        write_plot(sample(), tmp_path / name)
    assert ".svg, .png, .html" in caught.value.tip
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("package", "suffix"), [("matplotlib", "svg"), ("matplotlib", "html"), ("jinja2", "html")]
)
def test_what_is_not_installed_is_named(
    package: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=package) as caught:
        write_plot(sample(), tmp_path / f"plot.{suffix}")
    assert caught.value.tip == "pip install 'albert-edge[report]'"
    assert not list(tmp_path.iterdir())


def test_an_old_file_stays_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plot.svg"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    expected = "svg cannot be written: No space"
    with monkeypatch.context() as patched, pytest.raises(AlbertEdgeError, match=expected):
        patched.setattr(os, "fsync", full)
        write_plot(sample(), path)
    assert [each.name for each in tmp_path.iterdir()] == ["plot.svg"]
    assert path.read_text() == "old"
    write_plot(sample(), path)
    assert [each.name for each in tmp_path.iterdir()] == ["plot.svg"]
    assert path.read_text().startswith("<?xml")
