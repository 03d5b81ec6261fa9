"""MkDocs hooks: pages for the files outside docs/ that the documentation links to.

Pages link to files of the repository by relative path, which a code host follows. On the site each
linked file gets a page: Markdown unchanged, any other file as a listing. Links to the README lead
to the first page.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
IN_NAVIGATION = ("CHANGELOG.md", "CONTRIBUTING.md", "examples/README.md", "models/README.md")
FENCE = re.compile(r"(^(?:```|````).*?^(?:```|````)$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#])")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ that is linked to, directly or through others."""
    waiting = [DOCS / file.src_uri for file in files.documentation_pages()]
    waiting += [ROOT / name for name in IN_NAVIGATION]
    seen = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        text = path.read_text(encoding="utf-8")
        if not path.is_relative_to(DOCS) and path != ROOT / "README.md":
            content = text if path.suffix == ".md" else _listing(path, text)
            files.append(File.generated(config, page_of(path), content=content))
        if path.suffix == ".md" and path != ROOT / "README.md":
            waiting += [target for target in _targets(path, text) if not _is_asset(target)]
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point each link to the page of its file."""
    source = source_of(page.file.src_uri)
    if source.suffix != ".md":  # a listing
        return markdown

    def lead(link: str) -> str:
        target = _resolve(source, link)
        page_name = _relative_name(target) if _is_asset(target) else page_of(target)
        return posixpath.relpath(page_name, posixpath.dirname(page.file.src_uri) or ".")

    return _each_link(markdown, lead)


def page_of(path: Path) -> str:
    """Return the site's name for a file of the repository.

    >>> page_of(ROOT / "docs/devices.md"), page_of(ROOT / "examples/classify.py")
    ('devices.md', 'examples/classify.py.md')
    """
    if path == ROOT / "README.md":
        return "index.md"
    name = _relative_name(path)
    return name if name.endswith(".md") else f"{name}.md"


def source_of(page: str) -> Path:
    """Return the file that a page of the site shows."""
    for folder in (DOCS, ROOT):
        for name in (page, page.removesuffix(".md")):
            if (folder / name).is_file():
                return folder / name
    raise PluginError(f"{page} shows no file of the repository")


def _relative_name(path: Path) -> str:
    return path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT).as_posix()


def _is_asset(path: Path) -> bool:
    """Whether the site contains the file itself, such as a picture or measurements."""
    return path.is_relative_to(DOCS) and path.suffix != ".md"


def _targets(path: Path, text: str) -> Iterator[Path]:
    found: list[Path] = []

    def collect(link: str) -> str:
        found.append(_resolve(path, link))
        return link

    _each_link(text, collect)
    yield from found


def _resolve(source: Path, link: str) -> Path:
    target = (source.parent / link).resolve()
    if not (target.is_relative_to(ROOT) and target.is_file()):
        raise PluginError(
            f"{source.relative_to(ROOT)} links to {link}, which is not a file of the repository"
        )
    return target


def _each_link(markdown: str, change: Callable[[str], str]) -> str:
    """Replace every link to a file, outside fenced blocks."""
    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(lambda match: change(match[1]), part) for part in parts[::2]]
    return "".join(parts)


def _listing(path: Path, text: str) -> str:
    languages = {".mjs": "javascript", ".ts": "typescript"}
    languages |= {".py": "python", ".toml": "toml", ".json": "json", ".html": "html", ".css": "css"}
    language = languages.get(path.suffix, "text")
    return f"# {path.name}\n\n````{language}\n{text.rstrip()}\n````\n"
