"""The documentation as a site: it builds without warnings, and its links resolve."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from support.browser import look_at, needs_chromium, run_chromium
from support.paths import ROOT

import albert_edge

pytestmark = pytest.mark.slow

PAGES = sorted((ROOT / "docs").glob("*.md"))

# What the site must have, and on which page.
MUST = {
    "index": "What it is",
    "quickstart": "Quickstart",
    "quantization": "A precision",
    "choosing": "An ALBERT",
    "devices": "Devices",
    "embedding": "Inside a program",
    "troubleshooting": "Troubleshooting",
    "bundle": "The bundle",
    "api": "Python API",
    "architecture": "Architecture",
    "tried": "What was tried",
    "benchmarks": "Benchmarks",
    "limits": "Limits",
}


class Parsed(HTMLParser):
    """Names, links and resources of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.resources: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.names |= {found[key] for key in ("id", "name") if key in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") not in ("next", "prev"):
            self.resources.append(found["href"])
        if tag in ("script", "img", "iframe", "source", "object") and found.get("src"):
            self.resources.append(found["src"])


def troubles(site: Path) -> list[str]:
    """Links that do not resolve, and resources that are fetched from other hosts."""
    pages = {path: Parsed(path) for path in site.rglob("*.html") if path.name != "404.html"}
    found = []
    for path, page in pages.items():
        for link in [*page.links, *page.resources]:
            if reason := _trouble(link, path, site, pages, resource=link in page.resources):
                found.append(f"{path.relative_to(site)}: {link}: {reason}")
    return found


def _trouble(
    link: str, path: Path, site: Path, pages: dict[Path, Parsed], *, resource: bool
) -> str:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        if resource:
            return "is fetched from another host"
        good = parts.scheme in ("https", "http") and re.fullmatch(
            r"([\w-]+\.)+[a-z]{2,}", parts.netloc
        )
        return "" if good else "is not an address"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not (target.is_relative_to(site) and target.is_file()):
        return "is not there"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].names:
        return "has no such heading"
    return ""


def build(folder: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=folder,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return out.resolve()


# --- contents ----------------------------------------------------------------------------


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    assert troubles(site) == []
    assert len(list(site.rglob("*.html"))) > 20


def test_every_page_is_built_and_in_the_navigation(site: Path) -> None:
    index = Parsed(site / "index.html")
    for page in PAGES:
        assert (site / f"{page.stem}.html").exists()
        assert {f"{page.stem}.html", "." if page.stem == "index" else ""} & {*index.links}, page


def test_no_page_is_twice_in_the_navigation() -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- .+: (\S+\.md)$", settings, re.MULTILINE)
    assert len(listed) > 15
    assert sorted(listed) == sorted({*listed})


def test_every_required_topic_has_a_page(site: Path) -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for name, title in MUST.items():
        assert f"{title}: {name}.md" in settings
        words = re.sub(r"<[^>]+>|\s+", " ", (site / f"{name}.html").read_text(encoding="utf-8"))
        assert len(words) > 3000


def test_links_that_leave_docs_have_pages(site: Path) -> None:
    """The examples, the recipes and the model card."""
    listing = (site / "examples/classify.py.html").read_text(encoding="utf-8")
    code = re.sub(r"<[^>]+>", "", listing)
    assert "albert_edge.pipeline(" in code
    assert "albert-base-v2" in (site / "models/index.html").read_text(encoding="utf-8")
    assert (site / "models/langid-tiny/index.html").exists()
    embedding = Parsed(site / "embedding.html")
    assert "examples/ask_async.py.html" in embedding.links


def test_the_api_page_has_signatures_and_descriptions(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "api.html").read_text(encoding="utf-8"))
    for name in set(albert_edge.__all__) - {"__version__", "AlbertEdgeError"}:
        assert f"albert_edge.{name}" in text, name
    assert "Export an ALBERT checkpoint to a bundle." in text
    assert "lambda" not in text


def test_markdown_became_html(site: Path) -> None:
    """No table, list or block of code became a paragraph."""
    for page in PAGES:
        text = (site / f"{page.stem}.html").read_text(encoding="utf-8")
        article = text[text.index("<article") : text.index("</article>")]
        prose = re.sub(r"<(pre|code|table)\b.*?</\1>", "", article, flags=re.DOTALL)
        for sign in ("<p>|", "```", "<p>- ", "| ---", "]("):
            assert sign not in prose, f"{page.name}: {sign}"
        source = page.read_text(encoding="utf-8")
        assert article.count("<table>") == len(re.findall(r"^\| ?-{3}", source, re.MULTILINE))


def test_source_files_are_not_copied(site: Path) -> None:
    assert not [*site.rglob("*.py"), *site.rglob("__pycache__")]
    assert (site / "measured/bench.json").exists()


def test_the_folder_it_is_built_in_is_ignored() -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    [folder] = re.findall(r"^site_dir: (\S+)$", settings, re.MULTILINE)
    assert f"/{folder}/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


# --- broken links ------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy of all sources of the site."""
    for name in ("albert_edge", "docs", "examples", "models"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "mkdocs.yml", ROOT / "LICENSE", *ROOT.glob("*.md")):
        shutil.copyfile(path, tmp_path / path.name)
    return tmp_path


@pytest.mark.parametrize(
    "link",
    [
        "[a](missing.md)",
        "[a](../examples/missing.py)",
        "[a](devices.md#no-such-heading)",
        "[a](/x)",
    ],
)
def test_a_link_to_nowhere_stops_the_build(link: str, own: Path) -> None:
    page = own / "docs/limits.md"
    page.write_text(page.read_text(encoding="utf-8") + f"\n{link}\n", encoding="utf-8")
    done = build(own, own / "site")
    assert done.returncode != 0
    assert link[4:-1] in done.stderr and "limits.md" in done.stderr


def test_a_link_in_a_block_of_code_is_no_link(own: Path) -> None:
    page = own / "docs/limits.md"
    block = "\n```text\n[a](missing.md)\n```\n"
    page.write_text(page.read_text(encoding="utf-8") + block, encoding="utf-8")
    done = build(own, own / "site")
    assert done.returncode == 0, done.stderr
    assert "[a](missing.md)" in (own / "site/limits.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<a href='gone.html'>", "is not there"),
        ("<a href='#gone'>", "no such heading"),
        ("<a href='other.html#gone'>", "no such heading"),
        ("<img src='gone.png'>", "is not there"),
        ("<a href='../outside.html'>", "is not there"),
        ("<script src='https://example.org/x.js'></script>", "from another host"),
        ("<link rel='stylesheet' href='https://example.org/x.css'>", "from another host"),
        ("<a href='https://no host/'>", "is not an address"),
        ("<a href='htps://example.org/'>", "is not an address"),
        ("<p id='here'><a href='#here'><a href='other.html#there'><a href='https://a.org/b'>", ""),
    ],
)
def test_troubles_are_found(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "outside.html").write_text("<p>")
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text(content)
    (site / "other.html").write_text("<p id='there'>")
    found = troubles(site)
    assert len(found) == bool(words) and all(words in one for one in found)


# --- in a real browser ----------------------------------------------------------------------


@pytest.mark.browser
@needs_chromium
def test_browser_shows_the_site_from_its_folder(site: Path, tmp_path: Path) -> None:
    seen = look_at(site / "index.html", tmp_path)
    assert seen["title"] == "albert-edge"
    assert "stores that layer once" in seen["text"].replace("\n", " ")
    assert seen["requests"] == []  # local files are not counted
    assert [line for line in seen["console"] if "ERROR" in line] == []


@pytest.mark.browser
@needs_chromium
def test_search_works_from_the_folder(site: Path, tmp_path: Path) -> None:
    address = (site / "index.html").as_uri() + "?q=saturate"
    done = run_chromium(tmp_path, "--virtual-time-budget=20000", "--dump-dom", address)
    results = done.stdout[done.stdout.index('class="md-search-result"') :]
    assert re.search(r"\d+ matching document", results)
    assert "quantization.html" in results
