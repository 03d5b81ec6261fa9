"""Write the tables and pictures of the documents from what was measured.

    python benchmarks/tables.py [--check]

Between `<!-- table: NAME -->` and `<!-- /table -->` of README.md and the pages of docs/ stands what
the renderer of that name makes of its file in docs/measured/, for each kind of machine it was
measured on. With --check nothing is written: what is not as it would be written is named, and the
exit code is 1.
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
    """Every document and picture as it should be.

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
    """One block: for each kind of machine a table, and where it comes from."""
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
    """Those that are not as they should be."""
    return {
        path: content
        for path, content in regenerate(root).items()
        if not path.exists() or path.read_bytes() != content
    }


def main() -> int:
    """Write what differs, or name it; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    check: bool = parser.parse_args().check
    found = differing(ROOT)
    for path, content in found.items():
        print(path.relative_to(ROOT))
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
