"""A tokenizer is used in a process of its own before export uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import paths
from support.refusals import Refuse

from albert_edge.checkpoint.tokenizer import require_harmless
from albert_edge.errors import CheckpointError

LANGID = (paths.ROOT / "models" / "langid-tiny" / "tokenizer.json").read_text(encoding="utf-8")


def changed(**fields: Any) -> str:
    return json.dumps(json.loads(LANGID) | fields)


def long_piece() -> str:
    content = json.loads(LANGID)
    content["model"]["vocab"].append(["x" * 10**6, -9.0])
    return json.dumps(content)


def test_a_tokenizer_that_works_is_accepted(tmp_path: Path) -> None:
    require_harmless(LANGID, tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (long_piece(), "it ends the process with signal"),
        (changed(post_processor={"type": "ByteLevel"}), "Exception: data did not match"),
        (changed(model={"type": "WordLevel", "vocab": {}, "unk_token": "x"}), "WordLevel error"),
    ],
)
def test_one_that_fails_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=reason) as caught:
        require_harmless(text, tmp_path / "tokenizer.json")
    assert "tokenizer.json is a tokenizer that fails when it is used" in str(caught.value)


def test_time_is_limited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def communicate(
        process: subprocess.Popen[bytes], content: bytes, timeout: float
    ) -> tuple[bytes, bytes]:
        raise subprocess.TimeoutExpired(process.args, timeout)

    monkeypatch.setattr(subprocess.Popen, "communicate", communicate)
    with pytest.raises(CheckpointError, match="it takes more than 60 s"):
        require_harmless(changed(version="slow"), tmp_path)


def test_a_frozen_program_starts_no_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(subprocess, "Popen", None)
    require_harmless(changed(version="frozen"), tmp_path)


def test_export_refuses_what_the_library_cannot_load(refuse: Refuse, checkpoint_copy: Path) -> None:
    (checkpoint_copy / "tokenizer.json").write_text(long_piece(), encoding="utf-8")
    refuse(CheckpointError, r"tokenizer\.json: model\.vocab should be")
