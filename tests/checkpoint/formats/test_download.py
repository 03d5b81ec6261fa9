"""What is downloaded of a hub's repository: every file that an export needs, and no others."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from support.paths import DATA

import albert_edge
from albert_edge.checkpoint.source import find_source

Hub = Callable[[str, Path], None]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Puts a folder on a hub that gives what the patterns name, as snapshot_download does."""
    repositories: dict[str, Path] = {}

    def download(name: str, *, allow_patterns: list[str], **_: Any) -> str:
        snapshot = tmp_path / "cache" / name.replace("/", "--")
        for path in repositories[name].rglob("*"):
            file = path.relative_to(repositories[name]).as_posix()
            if path.is_file() and any(fnmatch.fnmatch(file, each) for each in allow_patterns):
                (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, snapshot / file)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return repositories.__setitem__


CHECKPOINTS = {
    "tensorflow/google": ("model.ckpt-best.index", "30k-clean.model"),
    "tensorflow/hub": ("variables/variables.index", "assets/30k-clean.model"),
    "tensorflow/brightmart": ("albert_model.ckpt.data-00000-of-00001", "vocab_chinese.txt"),
    "keras/sharded": ("tf_model-00002-of-00003.h5", "spiece.model"),
    "flax/fill-mask": ("flax_model.msgpack", "tokenizer.json"),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_files_of_a_checkpoint(name: str, hub: Hub, tmp_path: Path) -> None:
    weights, tokenizer = CHECKPOINTS[name]
    folder = Path(shutil.copytree(DATA / name, tmp_path / "repository"))
    (folder / tokenizer).write_bytes(b"a tokenizer")
    for other in ("README.md", "model.onnx", "training.py", "eval.txt"):
        (folder / other).write_bytes(b"not needed")
    hub("owner/name", folder)
    root = find_source("owner/name").root
    assert (root / weights).is_file()
    downloaded = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    written = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert {str(path) for path in written - downloaded} == {
        "README.md",
        "model.onnx",
        "training.py",
        "eval.txt",
    }


def test_safetensors_are_enough(hub: Hub, checkpoint: Callable[..., Path]) -> None:
    """A repository often has the weights for every framework."""
    folder = checkpoint("fill-mask")
    shutil.copytree(DATA / "keras" / "fill-mask", folder, dirs_exist_ok=True)
    hub("owner/name", folder)
    assert not (find_source("owner/name").root / "tf_model.h5").exists()


def test_an_adapter_and_its_base(hub: Hub, checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "base_model_name_or_path": "owner/base", "r": 1, "lora_alpha": 1}',
        encoding="utf-8",
    )
    shutil.copy(
        checkpoint("fill-mask") / "model.safetensors", adapter / "adapter_model.safetensors"
    )
    hub("owner/adapter", adapter)
    hub("owner/base", checkpoint("fill-mask", "base"))
    report = albert_edge.export("owner/adapter", tmp_path / "out")
    assert (report.source, report.base) == ("owner/adapter", "owner/base")
