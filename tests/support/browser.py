"""A real browser, headless and without a network, for pages that people look at."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None,
    reason="Debian's package chromium is not installed; `make test` installs it where it is root",
)

FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions"),
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no name leads anywhere
    "--allow-file-access-from-files",  # so that the page around a page may look into it
    *("--enable-logging=stderr", "--v=0"),
]

# A page around the page, which measures what was rendered; the page itself stays as it is.
AROUND = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe src="PAGE" style="border:0;width:WIDTHpx;height:5000px"></iframe><pre></pre><script>
function box(element) {
  const b = element.getBoundingClientRect();
  return {width: b.width, height: b.height};
}
function words(element) { return element.textContent.trim(); }
function look(window) {
  const page = window.document;
  if (OPEN) for (const fold of page.querySelectorAll("details")) fold.open = true;
  const style = name => window.getComputedStyle(page.querySelector(name));
  return {
    title: page.title,
    headings: [...page.querySelectorAll("h1, h2, h3")].map(h => [h.tagName, words(h)]),
    text: page.body.innerText,
    tables: [...page.querySelectorAll("table")].map(table => ({
      caption: table.caption ? words(table.caption) : "",
      columns: [...table.querySelectorAll("thead th[scope=col]")].map(words),
      rows: [...table.tBodies[0].rows].map(row => [...row.cells].map(words)),
      headed: [...table.tBodies[0].rows].every(
        row => row.cells[0].tagName === "TH" && row.cells[0].scope === "row"),
      visible: table.checkVisibility(),
      ...box(table),
    })),
    svgs: [...page.querySelectorAll("svg")].map(svg => ({
      role: svg.getAttribute("role"),
      name: words(page.getElementById(svg.getAttribute("aria-labelledby")) ?? svg),
      texts: [...svg.querySelectorAll("text")].map(text => ({words: words(text), ...box(text)})),
      ...box(svg),
    })),
    folds: [...page.querySelectorAll("details")].map(fold => words(fold.querySelector("summary"))),
    boxes: [...page.querySelectorAll(".wide")].map(wide => ({
      name: wide.getAttribute("aria-label"), width: wide.clientWidth, content: wide.scrollWidth,
      scrolls: window.getComputedStyle(wide).overflowX === "auto",
    })),
    links: [...page.querySelectorAll("a")].map(a => a.getAttribute("href")),
    scripts: page.scripts.length,
    requests: window.performance.getEntriesByType("resource").map(entry => entry.name),
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    background: style("html").backgroundColor,
    colour: style("body").color,
    language: page.documentElement.lang,
  };
}
window.onload = () => {
  document.querySelector("pre").textContent = JSON.stringify(look(frames[0]));
};
</script>"""


def look_at(
    page: Path, folder: Path, *, width: int = 1100, dark: bool = False, unfold: bool = False
) -> dict[str, Any]:
    """Open a page and return what was rendered.

    Args:
        page: An HTML file; it is opened as a file, with no network.
        folder: A folder to write to.
        width: Of the window, in pixels.
        dark: Whether the user prefers dark pages.
        unfold: Whether to open everything that is folded away.

    Returns:
        What `look` above found, and as "console" what the browser's console was told.
    """
    around = folder / "around.html"
    content = AROUND.replace("PAGE", page.as_uri()).replace("WIDTH", str(width))
    around.write_text(content.replace("OPEN", str(unfold).lower()))
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    done = run_chromium(folder, scheme, "--dump-dom", around.as_uri())
    [found] = re.findall(r"<pre>(.*)</pre>", done.stdout)
    seen: dict[str, Any] = json.loads(html.unescape(found))
    return {**seen, "console": re.findall(r".*:CONSOLE.*", done.stderr)}


def run_chromium(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the browser to its end, with a profile of its own."""
    assert CHROMIUM
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "HOME": str(folder)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done
