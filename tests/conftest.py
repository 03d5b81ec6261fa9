"""Settings and fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import make_model

from albert_edge.runtime import fastest

# Their fixtures: cli, langid, classify; bundles to evaluate; the table of promises; checkpoints to
# damage; a page.
pytest_plugins = [
    "support.command_line",
    "support.evaluating",
    "support.hostile",
    "support.refusals",
    "support.reports",
]

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what is slow: with a file in one process, the last files decide when it ends."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True, scope="session")
def same_speed() -> Iterator[None]:
    """Let "auto" find both precisions of a small model equally fast: no answer depends on time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastest, "run_times", lambda engines, feeds: [1.0 for _ in engines])
        yield


@pytest.fixture(autouse=True)
def wide_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset COLUMNS, which readline sets in processes of pytest-xdist."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Makes a checkpoint folder: `checkpoint("fill-mask", hidden_act="relu")`."""

    def make(task: str, name: str = "checkpoint", **config: Any) -> Path:
        folder = tmp_path / name
        make_model(task, **config).save_pretrained(folder)
        return folder

    return make
