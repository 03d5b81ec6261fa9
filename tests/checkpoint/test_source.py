"""Sources: a folder, a short name or a hub id, and a hub that cannot be reached."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from support.checkpoints import change_config
from support.refusals import Refuse

import albert_edge
from albert_edge import AlbertEdgeError
from albert_edge.checkpoint.source import find_source
from albert_edge.errors import (
    CheckpointError,
    ConfigError,
    SourceUnreachableError,
    UsageError,
)

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(checkpoint_copy: Path) -> Path:
    return checkpoint_copy


@pytest.mark.parametrize(
    "source",
    [
        "./missing",
        "../missing",
        "/missing/folder",
        "~/missing-folder",
        "~no-such-user-here/checkpoint",
        "missing/folder/deep",
        "https://huggingface.co/albert/albert-base-v2",
        "owner/name@main",
        "owner/na me",
        "a\0b",
        "a\nb",
        "x" * 5_000,
    ],
)
def test_invalid_sources(source: str, tmp_path: Path) -> None:
    with pytest.raises(AlbertEdgeError) as caught:
        albert_edge.export(source, tmp_path / "out")
    assert isinstance(caught.value, CheckpointError | UsageError)
    assert caught.value.tip
    assert not (tmp_path / "out").exists()


def test_source_is_a_file(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="not a folder"):
        find_source(str(folder / "config.json"))


@pytest.mark.parametrize("source", ["owner/..", "../name", "..", "a--b/c", "-owner/name", "a/.git"])
def test_names_that_are_not_hub_ids(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(AlbertEdgeError):
        albert_edge.export(source, tmp_path / "out", task="fill-mask")
    assert not (tmp_path / "out").exists()


def test_an_empty_source_is_not_the_current_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`export "$UNSET"` must not export whatever lies here."""
    monkeypatch.chdir(folder)
    with pytest.raises(AlbertEdgeError):
        albert_edge.export("", tmp_path / "out")


def test_folder(folder: Path) -> None:
    found = find_source(str(folder))
    assert (found.folder, found.name, found.revision, found.recipe) == (
        folder,
        "checkpoint",
        None,
        None,
    )


def test_a_folder_has_no_revision(folder: Path, refuse: Refuse) -> None:
    refuse(UsageError, 'revision="main" has no meaning', revision="main")


@pytest.fixture
def cache(
    good_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Puts a checkpoint in huggingface_hub's cache, which lies under tmp_path; its snapshot."""
    home = tmp_path / "hub"
    home.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(home))
    assert huggingface_hub.constants.HF_HUB_OFFLINE

    def put(hub_id: str = "owner/name", *, ref: str = "main", **config: Any) -> Path:
        repository = home / f"models--{hub_id.replace('/', '--')}"
        snapshot = repository / "snapshots" / REVISION
        snapshot.mkdir(parents=True)
        (repository / "blobs").mkdir()
        for index, path in enumerate(sorted(good_checkpoint.iterdir())):
            blob = repository / "blobs" / f"{index:064}"
            shutil.copy(path, blob)
            (snapshot / path.name).symlink_to(os.path.relpath(blob, snapshot))
        (repository / "refs" / ref).parent.mkdir(parents=True)
        (repository / "refs" / ref).write_text(REVISION, encoding="utf-8")
        if config:
            change_config(snapshot, **config)
        return snapshot

    return put


def source_of(bundle: Path) -> tuple[str, str | None]:
    manifest = json.loads((bundle / "albert_edge.json").read_text(encoding="utf-8"))
    return manifest["source"], manifest["revision"]


@pytest.mark.parametrize("revision", [None, "main", REVISION])
def test_cached_hub_id_offline(
    revision: str | None, cache: Callable[..., Path], tmp_path: Path
) -> None:
    cache()
    report = albert_edge.export("owner/name", tmp_path / "out", revision=revision)
    assert (report.source, report.revision) == ("owner/name", REVISION)
    assert source_of(tmp_path / "out") == ("owner/name", REVISION)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "albert_edge.json",
        "config.json",
        "onnx",
    }
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def test_tag_of_a_cached_hub_id(cache: Callable[..., Path], tmp_path: Path) -> None:
    cache(ref="v1.0")
    albert_edge.export("owner/name", tmp_path / "out", revision="v1.0")
    assert source_of(tmp_path / "out") == ("owner/name", REVISION)


def test_hub_id_names_the_bundle(
    cache: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache()
    monkeypatch.chdir(tmp_path)
    assert albert_edge.export("owner/name").bundle == Path("name")
    assert source_of(tmp_path / "name") == ("owner/name", REVISION)


@pytest.mark.parametrize(
    ("source", "revision"),
    [
        ("owner/other", None),
        ("other", None),
        ("owner/name", "v2.0"),
        ("owner/name", "f" * 40),
        ("albert-base-v2", None),
    ],
)
def test_what_is_not_cached_cannot_be_reached(
    source: str, revision: str | None, cache: Callable[..., Path], tmp_path: Path
) -> None:
    cache()
    with pytest.raises(SourceUnreachableError, match="could not be downloaded") as caught:
        albert_edge.export(source, tmp_path / "out", revision=revision)
    assert caught.value.exit_code == 5
    assert caught.value.tip
    assert revision is None or revision in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_hostile_folder_in_the_cache(cache: Callable[..., Path], tmp_path: Path) -> None:
    cache(auto_map={"AutoModel": "modeling_canary.Canary"})
    with pytest.raises(ConfigError, match="auto_map"):
        albert_edge.export("owner/name", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Recipes


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes a recipe for owner/name under the short name "short"."""
    (tmp_path / "models").mkdir()
    monkeypatch.setattr("albert_edge.checkpoint.recipes.models_folder", lambda: tmp_path / "models")

    def write(**fields: Any) -> None:
        lines = {name: f"{name} = {json.dumps(value)}" for name, value in fields.items()}
        tokenizer = [lines.pop(name) for name in ("keep_accents", "lowercase") if name in lines]
        head = ['source = "owner/name"', 'head = "fill-mask"', 'summary = "a test"']
        text = "\n".join([*head, *tokenizer, "[geometry]", *lines.values()])
        (tmp_path / "models" / "short.toml").write_text(text, encoding="utf-8")

    return write


@pytest.mark.parametrize("architectures", [["AlbertForMaskedLM"], [], ["AlbertForSomethingElse"]])
def test_short_name(
    architectures: list[str],
    recipe: Callable[..., None],
    cache: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """The recipe says what the model answers where its config.json does not."""
    cache(architectures=architectures)
    recipe(hidden_size=24, hidden_act="gelu")
    report = albert_edge.export("short", tmp_path / "out")
    assert (report.source, report.revision, report.head) == ("owner/name", REVISION, "fill-mask")
    assert source_of(tmp_path / "out") == ("owner/name", REVISION)


@pytest.mark.parametrize(
    ("field", "value"), [("hidden_size", 768), ("hidden_act", "relu"), ("num_hidden_groups", 1)]
)
def test_checkpoint_is_not_what_the_recipe_describes(
    field: str,
    value: Any,
    recipe: Callable[..., None],
    cache: Callable[..., Path],
    tmp_path: Path,
) -> None:
    cache()
    recipe(vocab_size=300, **{field: value})
    with pytest.raises(ConfigError, match=f"{field} is .*, not {value}") as caught:
        albert_edge.export("short", tmp_path / "out")
    assert "owner/name" in caught.value.tip
    assert not (tmp_path / "out").exists()
    assert albert_edge.export("owner/name", tmp_path / "out").head == "fill-mask"


def test_a_recipe_corrects_the_tokenizer(
    recipe: Callable[..., None], cache: Callable[..., Path], tmp_path: Path
) -> None:
    """An option of the call goes first, and the full id has the recipe too."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "one", "två", "Två"]
    (cache() / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    recipe(keep_accents=True, lowercase=False)

    def normalization(source: str, **options: Any) -> str | None:
        report = albert_edge.export(source, tmp_path / "out", force=True, **options)
        return report.normalization

    assert normalization("short") == "keeps case, keeps accents"
    assert normalization("short", lowercase=True) == "lower-cases, keeps accents"
    assert normalization("short", keep_accents=False) == "keeps case, strips accents"
    assert normalization("owner/name") == "keeps case, keeps accents"
    (tmp_path / "models" / "short.toml").unlink()
    assert normalization("owner/name") == "lower-cases, strips accents"


def test_recipe_that_ships_through_the_cache(cache: Callable[..., Path], tmp_path: Path) -> None:
    """The short name finds the real repository; the checkpoint put there is another."""
    cache("albert/albert-base-v2")
    with pytest.raises(ConfigError, match="albert/albert-base-v2 is not what the recipe"):
        albert_edge.export("albert-base-v2", tmp_path / "out")
