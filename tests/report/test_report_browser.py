"""The page about a bundle as a real browser renders it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.bench_samples import FIGURES
from support.browser import look_at, needs_chromium, run_chromium
from support.reports import Tables

pytestmark = [pytest.mark.browser, needs_chromium]


@pytest.fixture(scope="module")
def rendered(page: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return look_at(page, tmp_path_factory.mktemp("browser"))


def test_browser_shows_the_tables(rendered: dict[str, Any], page: Path, tmp_path: Path) -> None:
    written = Tables(page.read_text(encoding="utf-8")).found
    folded = rendered["folds"]
    assert len(rendered["tables"]) == len(written) >= 12
    assert {table["caption"] for table in rendered["tables"] if not table["visible"]} == {*folded}
    unfolded = look_at(page, tmp_path, unfold=True)
    for table in unfolded["tables"]:
        expected = written[table["caption"]]
        shown = [table["columns"], *table["rows"]]
        assert [[cell.strip() for cell in row] for row in expected] == shown
        assert table["headed"]
        assert all(table["columns"])  # a heading says something
        assert table["visible"] and table["width"] > 100 and table["height"] > 40
    assert "11.9" in rendered["text"] and "albert-edge int8" in rendered["text"]
    levels = [level for level, _ in rendered["headings"]]
    assert levels == ["H1", *["H2"] * 6]
    assert (rendered["title"], rendered["language"]) == ("langid", "en")


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


def test_browser_asks_for_nothing_and_complains_of_nothing(rendered: dict[str, Any]) -> None:
    assert rendered["requests"] == []
    assert rendered["console"] == []
    assert rendered["scripts"] == 0
    assert rendered["overflow"] == 0
    names = ("evaluation", "agreement", "speed", "machine", "model", "files")
    assert rendered["links"] == [f"#{name}" for name in names]


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


def test_browser_shows_it_dark_and_narrow(
    rendered: dict[str, Any], page: Path, tmp_path: Path
) -> None:
    dark = look_at(page, tmp_path, width=380, dark=True)
    assert brightness(dark["background"]) < 60 < 180 < brightness(dark["colour"])
    assert brightness(rendered["background"]) > 240
    assert brightness(rendered["colour"]) < 60


def test_browser_shows_it_on_a_phone(page: Path, tmp_path: Path) -> None:
    """What is wide scrolls inside its own box, and the page itself does not."""
    seen = look_at(page, tmp_path, width=360, unfold=True)
    assert seen["overflow"] == 0
    assert len(seen["boxes"]) == len(seen["tables"]) + len(seen["svgs"])
    assert all(box["scrolls"] and 250 < box["width"] <= 360 for box in seen["boxes"])
    wide = {box["name"] for box in seen["boxes"] if box["content"] > box["width"]}
    assert {"Start and memory", "Files and hashes", "Memory"} <= wide
    assert "width=device-width" in page.read_text(encoding="utf-8")


def test_browser_prints_it(page: Path, tmp_path: Path) -> None:
    run_chromium(tmp_path, f"--print-to-pdf={tmp_path / 'r.pdf'}", page.as_uri())
    content = (tmp_path / "r.pdf").read_bytes()
    assert content.startswith(b"%PDF") and 2 <= content.count(b"/Type /Page\n") <= 12
