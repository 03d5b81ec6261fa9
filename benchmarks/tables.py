"""Write the tables and pictures of the documents from what was measured.

    python benchmarks/tables.py [--check]

The block between `<!-- table: NAME -->` and `<!-- /table -->` in README.md or a page of docs/ holds
a table for each kind of machine, which the renderer NAME writes from its file in docs/measured/.
With --check nothing is written: the files that would change are listed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from record import read_records
from renderers import PICTURES, TABLES, source_line

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(^<!-- /table -->)", re.MULTILINE | re.DOTALL)


def pages(root: Path) -> list[Path]:
    """The documents that may have tables."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def regenerate(root: Path) -> dict[Path, bytes]:
    """Render every document and picture.

    Raises:
        KeyError: A page names a table there is no renderer for.
    """
    records = {
        path.stem: read_records(path) for path in sorted((root / "docs/measured").glob("*.json"))
    }
    fresh: dict[Path, bytes] = {}
    for page in pages(root):
        text = page.read_text(encoding="utf-8")
        fresh[page] = BLOCK.sub(lambda match: fill(match, records), text).encode()
    for name, picture in PICTURES.items():
        for record in list(records.get(picture.source, {}).values())[:1]:
            fresh[root / "docs/images" / name] = picture.draw(record)
    return fresh


def fill(match: re.Match[str], records: dict[str, Any]) -> str:
    """Fill a block: for each kind of machine a table, and its source."""
    start, name, end = match.groups()
    table = TABLES[name]
    parts = [
        f"**{kind}**\n\n{table.render(record['figures'])}\n\n{source_line(record)}"
        for kind, record in records.get(table.source, {}).items()
    ]
    missing = f"Not measured yet: `python benchmarks/record.py {table.source}`."
    return (
        "\n\n".join([start.rstrip(), *parts] if parts else [start.rstrip(), missing]) + f"\n\n{end}"
    )


def differing(root: Path) -> dict[Path, bytes]:
    """The documents and pictures that are out of date, with their new content."""
    return {
        path: content
        for path, content in regenerate(root).items()
        if not path.exists() or path.read_bytes() != content
    }


def main() -> int:
    """Write or list the files that are out of date, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    check: bool = parser.parse_args().check
    stale = differing(ROOT)
    for path, content in stale.items():
        print(path.relative_to(ROOT))
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
