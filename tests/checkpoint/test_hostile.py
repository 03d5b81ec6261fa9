"""Damaged and hostile checkpoint folders: refused, no code run, nothing written."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import change_config
from support.refusals import Refuse

import albert_edge
from albert_edge.errors import CheckpointError, ConfigError


@pytest.fixture
def folder(checkpoint_copy: Path) -> Path:
    return checkpoint_copy


def test_the_original_is_accepted(folder: Path, tmp_path: Path) -> None:
    """So that what is refused below is refused for its fault."""
    assert albert_edge.export(folder, tmp_path / "out").bundle.is_dir()


# model.safetensors, https://github.com/huggingface/safetensors#format


def safetensors(header: bytes | Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(start: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x10", id="less-than-a-length"),
        pytest.param(b"<html>404 Not Found</html>", id="web-page"),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", id="lfs-pointer"
        ),
        pytest.param(safetensors(b""), id="no-header"),
        pytest.param(safetensors(b"{}", length=100), id="header-beyond-the-file"),
        pytest.param(safetensors(b"{}", length=2**63), id="header-of-2**63"),
        pytest.param(safetensors(b"{}", length=2**64 - 1), id="header-of-2**64-1"),
        pytest.param(safetensors(b"{}", length=200_000_000), id="header-of-200-MB"),
        pytest.param(safetensors(b"{"), id="header-cut-short"),
        pytest.param(safetensors(b"[]"), id="header-is-a-list"),
        pytest.param(safetensors(b"\xff\xfe"), id="header-not-utf-8"),
        pytest.param(safetensors(b"[" * 100_000), id="header-nested"),
        pytest.param(safetensors({"a": 1}), id="tensor-is-a-number"),
        pytest.param(safetensors({"a": entry(0, 4, [1])}), id="no-data"),
        pytest.param(safetensors({"a": entry(0, 4, [1])}, bytes(3)), id="data-cut-short"),
        pytest.param(safetensors({"a": entry(0, 4, [1])}, bytes(9)), id="data-left-over"),
        pytest.param(safetensors({"a": entry(4, 0, [1])}, bytes(4)), id="backwards"),
        pytest.param(safetensors({"a": entry(-4, 0, [1])}, bytes(4)), id="before-the-file"),
        pytest.param(safetensors({"a": entry(0, 8, [1])}, bytes(8)), id="size-is-not-shape"),
        pytest.param(safetensors({"a": entry(0, 4, [-1])}, bytes(4)), id="negative-shape"),
        pytest.param(safetensors({"a": entry(0, 4, [2**62, 4])}, bytes(4)), id="overflowing-shape"),
        pytest.param(safetensors({"a": entry(0, 4, [1], "F33")}, bytes(4)), id="unknown-type"),
        pytest.param(
            safetensors({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, bytes(12)), id="overlap"
        ),
        pytest.param(
            safetensors({"a": entry(0, 4, [1]), "b": entry(0, 4, [1])}, bytes(4)), id="same-place"
        ),
        pytest.param(
            safetensors({"a": entry(0, 4, [1]), "b": entry(8, 12, [1])}, bytes(12)), id="hole"
        ),
    ],
)
def test_malformed_safetensors(content: bytes, folder: Path, refuse: Refuse) -> None:
    (folder / "model.safetensors").write_bytes(content)
    refuse(CheckpointError, r"model\.safetensors is damaged")


@pytest.mark.parametrize("length", [7, 8, 9, 1_000, -1_000, -1])
def test_truncated_safetensors(length: int, folder: Path, refuse: Refuse) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    refuse(CheckpointError, r"model\.safetensors is damaged")


@pytest.mark.parametrize(
    "name", ["", "../../canary", "a\0b", "x" * 100_000, "\n\x1b[31m", "\ud800"]
)
def test_tensor_names_are_only_names(name: str, folder: Path, refuse: Refuse) -> None:
    (folder / "model.safetensors").write_bytes(safetensors({name: entry(0, 4, [1])}, bytes(4)))
    refuse(CheckpointError)


def test_safetensors_is_a_folder(folder: Path, refuse: Refuse) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    refuse(CheckpointError, "no weights")


# model.safetensors.index.json


@pytest.mark.parametrize(
    "shard",
    [
        "../outside.safetensors",
        "../../outside.safetensors",
        "sub/../../outside.safetensors",
        "sub/inside.safetensors",
        "/outside.safetensors",
        "..\\outside.safetensors",
        "C:\\outside.safetensors",
        "C:outside.safetensors",
        "\\\\server\\share\\outside.safetensors",
        "outside.safetensors\0.safetensors",
        "",
        ".",
        "..",
        "config.json",
        "shard.bin",
        None,
        1,
        ["shard.safetensors"],
        {"shard": "shard.safetensors"},
        "missing.safetensors",
        "\ud800.safetensors",
    ],
)
def test_index_names_something_else(
    shard: Any, folder: Path, good_checkpoint: Path, tmp_path: Path, refuse: Refuse
) -> None:
    """The files it could mean are there, and are just the weights that are wanted."""
    (folder / "model.safetensors").unlink()
    (folder / "sub").mkdir()
    for path in (tmp_path / "outside", folder / "sub" / "inside", folder / "shard"):
        shutil.copy(good_checkpoint / "model.safetensors", path.with_suffix(".safetensors"))
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": shard}}), encoding="utf-8")
    refuse(CheckpointError, r"index\.json")


def test_absolute_path_in_an_index(folder: Path, good_checkpoint: Path, refuse: Refuse) -> None:
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    weight_map = {"a": str((good_checkpoint / "model.safetensors").resolve())}
    index.write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    refuse(CheckpointError, "plain .safetensors file name")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        '{"weight_map": null}',
        '{"weight_map": []}',
        '{"weight_map": "a"}',
        '{"weight_map": {}}',
        "[" * 100_000,
        "\ufeff{}",
    ],
)
def test_malformed_index(text: str, folder: Path, refuse: Refuse) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(text[:200_000], encoding="utf-8")
    refuse(CheckpointError)


def test_a_good_index_is_followed(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").rename(folder / "shard.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "shard.safetensors"}}), encoding="utf-8")
    assert albert_edge.export(folder, tmp_path / "out").bundle.is_dir()


# config.json; tests/architecture has every field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", "24"),
        *(("hidden_act", name) for name in ("", "../gelu", "GELU", "exec", "__class__")),
        ("vocab_size", 0),
        ("num_attention_heads", 5),
        ("layer_norm_eps", float("nan")),
        ("architectures", {"a": 1}),
        ("id2label", {"1": "a"}),
        ("model_type", "bert"),
        ("auto_map", "modeling_canary.Canary"),
    ],
)
def test_malformed_config(field: str, value: Any, folder: Path, refuse: Refuse) -> None:
    change_config(folder, **{field: value})
    assert field in str(refuse(ConfigError, r"config\.json"))


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000])
def test_config_that_is_not_an_object(content: bytes, folder: Path, refuse: Refuse) -> None:
    (folder / "config.json").write_bytes(content)
    refuse(ConfigError, r"config\.json")


def test_no_config(folder: Path, refuse: Refuse) -> None:
    (folder / "config.json").unlink()
    refuse(ConfigError, "does not exist")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"num_hidden_layers": 32, "inner_group_num": 3}, id="more-inner-layers"),
        pytest.param({"num_hidden_layers": 48, "num_hidden_groups": 48}, id="more-groups"),
        pytest.param(
            {"vocab_size": 2_000_000, "embedding_size": 65_536}, id="embeddings-of-524-GB"
        ),
        pytest.param({"hidden_size": 65_536 - 1, "intermediate_size": 1_048_576}, id="wide"),
    ],
)
def test_large_claims_of_a_small_file(fields: dict[str, int], folder: Path, refuse: Refuse) -> None:
    """The weights say otherwise, which must be found out before any work is done for them."""
    change_config(folder, **fields)
    started = time.monotonic()
    refuse(CheckpointError)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "fields",
    [
        {"num_hidden_layers": 97},
        {"num_hidden_layers": 1_000_000_000},
        {"num_hidden_layers": 49, "inner_group_num": 2},
    ],
)
def test_more_layers_than_a_graph_may_repeat(
    fields: dict[str, int], folder: Path, refuse: Refuse
) -> None:
    """No weights contradict it, as all layers share theirs."""
    change_config(folder, num_hidden_groups=1, **fields)
    refuse(ConfigError, "at most 96")


def test_remote_code_does_not_run(folder: Path, tmp_path: Path, refuse: Refuse) -> None:
    canary = tmp_path / "canary"
    for name in ("modeling_canary", "configuration_canary", "tokenization_canary"):
        (folder / f"{name}.py").write_text(
            f"import pathlib; pathlib.Path({str(canary)!r}).mkdir()", encoding="utf-8"
        )
    change_config(
        folder,
        auto_map={
            "AutoConfig": "configuration_canary.Config",
            "AutoModel": "modeling_canary.Model",
            "AutoModelForMaskedLM": "modeling_canary.Model",
        },
    )
    error = refuse(ConfigError, "auto_map")
    assert "no code from a checkpoint is ever run" in str(error)
    refuse(ConfigError, "auto_map", task="fill-mask", verify=True)
    assert not canary.exists()


def test_remote_code_of_a_tokenizer_does_not_run(folder: Path, refuse: Refuse) -> None:
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", encoding="utf-8")
    config = {"auto_map": {"AutoTokenizer": ["tokenization_canary.Tokenizer", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    refuse(CheckpointError, "auto_map")
