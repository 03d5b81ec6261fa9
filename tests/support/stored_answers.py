"""Change the stored answers of a bundle as if they had been written so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from albert_edge.bundle.change import digest
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.runtime.self_test import SELF_TEST


def read_stored_answers(bundle: Path) -> Any:
    """The content of a bundle's self_test.json."""
    return json.loads((bundle / SELF_TEST).read_text(encoding="utf-8"))


def change_stored_answers(bundle: Path, change: Callable[[Any], object]) -> None:
    """Change the content, and the manifest's hash with it."""
    content = read_stored_answers(bundle)
    change(content)
    path = bundle / SELF_TEST
    path.write_text(json.dumps(content), encoding="utf-8")
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    for record in manifest["files"]:
        if record["file"] == SELF_TEST:
            record.update(sha256=digest(path), bytes=path.stat().st_size)
    (bundle / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
