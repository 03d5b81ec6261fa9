"""Fixtures of a good checkpoint to be damaged, and of an export that must refuse it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import albert_edge
from albert_edge import AlbertEdgeError
from support.checkpoints import make_model

Refuse = Callable[..., AlbertEdgeError]


@pytest.fixture(scope="session")
def good_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with nothing wrong, to be copied before it is damaged."""
    folder = tmp_path_factory.mktemp("good_checkpoint")
    make_model("fill-mask").save_pretrained(folder)
    return folder


@pytest.fixture
def checkpoint_copy(good_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the good checkpoint, to be damaged."""
    return Path(shutil.copytree(good_checkpoint, tmp_path / "checkpoint"))


@pytest.fixture
def refuse(checkpoint_copy: Path, tmp_path: Path) -> Refuse:
    """Exports the copy, and asserts that this fails with our error and writes nothing."""
    folder = checkpoint_copy

    def check(
        error: type[AlbertEdgeError], match: str | None = None, **options: Any
    ) -> AlbertEdgeError:
        before = {path for path in tmp_path.rglob("*") if folder not in path.parents}
        with pytest.raises(error, match=match) as caught:
            albert_edge.export(folder, tmp_path / "out", **options)
        assert caught.value.tip
        assert {path for path in tmp_path.rglob("*") if folder not in path.parents} == before
        return caught.value

    return check
