"""Hostile and broken folders: refused with an error of our own, nothing run, nothing written.

And sources: what is a folder, what is a hub id, and a hub that cannot be reached.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.checkpoints import make_model

import albert_edge
from albert_edge import AlbertEdgeError
from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.checkpoint.source import find_source
from albert_edge.errors import (
    CheckpointError,
    ConfigError,
    SourceUnreachableError,
    UsageError,
)

REVISION = "0123456789abcdef0123456789abcdef01234567"

Refuse = Callable[..., AlbertEdgeError]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with nothing wrong, to be copied before it is damaged."""
    folder = tmp_path_factory.mktemp("original")
    make_model("fill-mask").save_pretrained(folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "checkpoint"))


@pytest.fixture
def refuse(folder: Path, tmp_path: Path) -> Refuse:
    """Exports the folder and asserts that it fails well: our error, and no trace."""

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


def test_the_original_is_accepted(folder: Path, tmp_path: Path) -> None:
    """So that what is refused below is refused for its fault."""
    assert albert_edge.export(folder, tmp_path / "out").bundle.is_dir()


# model.safetensors, https://github.com/huggingface/safetensors#format


def safetensors(header: bytes | Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def one(start: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
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
        pytest.param(safetensors({"a": one(0, 4, [1])}), id="no-data"),
        pytest.param(safetensors({"a": one(0, 4, [1])}, bytes(3)), id="data-cut-short"),
        pytest.param(safetensors({"a": one(0, 4, [1])}, bytes(9)), id="data-left-over"),
        pytest.param(safetensors({"a": one(4, 0, [1])}, bytes(4)), id="backwards"),
        pytest.param(safetensors({"a": one(-4, 0, [1])}, bytes(4)), id="before-the-file"),
        pytest.param(safetensors({"a": one(0, 8, [1])}, bytes(8)), id="size-is-not-shape"),
        pytest.param(safetensors({"a": one(0, 4, [-1])}, bytes(4)), id="negative-shape"),
        pytest.param(safetensors({"a": one(0, 4, [2**62, 4])}, bytes(4)), id="overflowing-shape"),
        pytest.param(safetensors({"a": one(0, 4, [1], "F33")}, bytes(4)), id="unknown-type"),
        pytest.param(
            safetensors({"a": one(0, 8, [2]), "b": one(4, 12, [2])}, bytes(12)), id="overlap"
        ),
        pytest.param(
            safetensors({"a": one(0, 4, [1]), "b": one(0, 4, [1])}, bytes(4)), id="same-place"
        ),
        pytest.param(
            safetensors({"a": one(0, 4, [1]), "b": one(8, 12, [1])}, bytes(12)), id="hole"
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
    (folder / "model.safetensors").write_bytes(safetensors({name: one(0, 4, [1])}, bytes(4)))
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
    shard: Any, folder: Path, original: Path, tmp_path: Path, refuse: Refuse
) -> None:
    """The files it could mean are there, and are just the weights that are wanted."""
    (folder / "model.safetensors").unlink()
    (folder / "sub").mkdir()
    for path in (tmp_path / "outside", folder / "sub" / "inside", folder / "shard"):
        shutil.copy(original / "model.safetensors", path.with_suffix(".safetensors"))
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": shard}}), encoding="utf-8")
    refuse(CheckpointError, r"index\.json")


def test_absolute_path_in_an_index(folder: Path, original: Path, refuse: Refuse) -> None:
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    weight_map = {"a": str((original / "model.safetensors").resolve())}
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


# config.json


SIZES = (
    "vocab_size",
    "embedding_size",
    "hidden_size",
    "num_hidden_layers",
    "num_hidden_groups",
    "num_attention_heads",
    "intermediate_size",
    "inner_group_num",
    "max_position_embeddings",
    "type_vocab_size",
)
NOT_A_SIZE: tuple[Any, ...] = (
    0,
    -1,
    10**9,
    10**30,
    True,
    False,
    12.0,
    1.5,
    "12",
    None,
    [12],
    {},
    float("nan"),
)
FAULTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(SIZES, NOT_A_SIZE),
    "num_attention_heads": (*NOT_A_SIZE, 5, 7, 48),  # no divisors of 24
    "num_hidden_groups": (*NOT_A_SIZE, 5),  # more than the 4 layers
    "hidden_act": (None, 1, True, [], "", "../gelu", "GELU", "exec", "__class__", "\ud800"),
    "layer_norm_eps": (
        *(0, 0.0, -1e-12, 1.5, 10**400, True, "1e-12", None, []),
        *(float("nan"), float("inf"), float("-inf")),
    ),
    "tie_word_embeddings": (None, 0, 1, "true", []),
    "architectures": ("AlbertModel", [1], [None], [["AlbertModel"]], {"a": 1}, 7, True),
    "id2label": (
        {},
        [],
        ["a", "b"],
        "a",
        3,
        {"1": "a"},
        {"0": "a", "2": "b"},
        {"0": 1},
        {"0": None},
        {"-1": "a"},
        {"0": "\ud800"},
    ),
    "problem_type": ("", "classification", 1, True, [], {}, ["regression"]),
    "model_type": ("bert", "ALBERT", "", None, 1, [], {"albert": 1}),
    "position_embedding_type": ("relative_key", "", None, 1, []),
    "auto_map": ({"AutoModel": "modeling_canary.Canary"}, "modeling_canary.Canary", ["x"], 1, True),
    "custom_pipelines": ({"canary": {"impl": "canary.Canary"}}, "canary", True),
    "trust_remote_code": (True, 1, "yes"),
}


def change_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(field, value, id=f"{field}={str(value)[:40]!a}")
        for field, values in FAULTS.items()
        for value in values
    ],
)
def test_malformed_config(field: str, value: Any, folder: Path, refuse: Refuse) -> None:
    change_config(folder, **{field: value})
    error = refuse(ConfigError, r"config\.json")
    assert field in str(error)
    str(error).encode()  # it can be printed


@pytest.mark.parametrize("num_labels", [0, -1, 10**9, True, "2", 1.5, None, []])
def test_malformed_num_labels(num_labels: Any, folder: Path, refuse: Refuse) -> None:
    """Read only where there is no id2label, as in transformers."""
    change_config(folder, num_labels=num_labels, id2label=None)
    refuse(ConfigError, "num_labels")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut-short"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="list"),
        pytest.param('"albert"', id="text"),
        pytest.param("{'model_type': 'albert'}", id="python"),
        pytest.param('{"hidden_size": ' + "9" * 10_000 + "}", id="endless-number"),
        pytest.param('{"a": ' * 100_000, id="nested-objects"),
        pytest.param("\ufeff{}", id="byte-order-mark"),
    ],
)
def test_config_that_is_no_object(text: str, folder: Path, refuse: Refuse) -> None:
    (folder / "config.json").write_text(text, encoding="utf-8")
    refuse(ConfigError, r"config\.json")


@pytest.mark.parametrize("content", [b"\xff\xfe{\x00}\x00", b"\x80", bytes(100)])
def test_config_that_is_no_text(content: bytes, folder: Path, refuse: Refuse) -> None:
    (folder / "config.json").write_bytes(content)
    refuse(ConfigError, r"config\.json")


def test_no_config(folder: Path, refuse: Refuse) -> None:
    (folder / "config.json").unlink()
    refuse(ConfigError, "does not exist")


def test_config_is_a_folder(folder: Path, refuse: Refuse) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    refuse(ConfigError, r"config\.json")


def test_deep_nesting(folder: Path, refuse: Refuse) -> None:
    """What can just be parsed may be too deep to be shown in the message."""
    path = folder / "config.json"
    text = path.read_text(encoding="utf-8")
    for depth in (*range(800, 1000), 100_000):
        nested = "[" * depth + "]" * depth
        path.write_text(
            text.replace('"hidden_size": 24', f'"hidden_size": {nested}'), encoding="utf-8"
        )
        with pytest.raises(ConfigError, match=r"config\.json"):
            read_config(path)
    refuse(ConfigError, r"config\.json")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"num_hidden_layers": 300, "inner_group_num": 3}, id="more-inner-layers"),
        pytest.param({"num_hidden_layers": 300, "num_hidden_groups": 300}, id="more-groups"),
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


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[])),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=10,
)
CONFIGS = st.dictionaries(st.sampled_from(sorted(FAULTS)) | st.text(), JSON, max_size=6) | JSON
arbitrary = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read_or_refuse(path: Path) -> None:
    try:
        config = read_config(path)
    except ConfigError as error:
        assert str(path) in str(error)
        assert error.tip
    else:
        assert isinstance(config, AlbertConfig)
        assert config.hidden_size % config.num_attention_heads == 0
        assert sum(config.layers_of_groups) == config.num_hidden_layers
        assert min(config.layers_of_groups) >= 1
        assert config.num_labels >= 1


@given(config=CONFIGS)
@arbitrary
def test_arbitrary_config(config: Any, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    read_or_refuse(path)


@given(content=st.binary(max_size=100))
@arbitrary
def test_arbitrary_bytes_as_config(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    read_or_refuse(path)


@given(layers=st.integers(1, 60), groups=st.integers(1, 60))
@arbitrary
def test_every_group_is_applied(layers: int, groups: int, tmp_path: Path) -> None:
    """However the division is rounded, no group may be left out and no layer lost."""
    path = tmp_path / "config.json"
    fields = {"num_hidden_layers": max(layers, groups), "num_hidden_groups": groups}
    path.write_text(json.dumps(fields), encoding="utf-8")
    read_or_refuse(path)


# Sources


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
def test_what_can_be_no_source(source: str, tmp_path: Path) -> None:
    with pytest.raises(AlbertEdgeError) as caught:
        albert_edge.export(source, tmp_path / "out")
    assert isinstance(caught.value, CheckpointError | UsageError)
    assert caught.value.tip
    assert not (tmp_path / "out").exists()


def test_source_is_a_file(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="not a folder"):
        find_source(str(folder / "config.json"))


@pytest.mark.parametrize("source", ["owner/..", "../name", "..", "a--b/c", "-owner/name", "a/.git"])
def test_names_that_are_no_hub_id(
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
    assert (found.folder, found.name, found.revision, found.head) == (
        folder,
        "checkpoint",
        None,
        None,
    )


def test_a_folder_has_no_revision(folder: Path, refuse: Refuse) -> None:
    refuse(UsageError, 'revision="main" has no meaning', revision="main")


@pytest.fixture
def cache(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
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
        for index, path in enumerate(sorted(original.iterdir())):
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

    def write(**geometry: Any) -> None:
        lines = [f"{field} = {json.dumps(value)}" for field, value in geometry.items()]
        text = 'source = "owner/name"\nhead = "fill-mask"\nsummary = "a test"\n[geometry]\n'
        (tmp_path / "models" / "short.toml").write_text(text + "\n".join(lines), encoding="utf-8")

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
    assert (report.source, report.revision, report.task) == ("owner/name", REVISION, "fill-mask")
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


def test_recipe_that_ships_through_the_cache(cache: Callable[..., Path], tmp_path: Path) -> None:
    """The short name finds the real repository; the checkpoint put there is another."""
    cache("albert/albert-base-v2")
    with pytest.raises(ConfigError, match="albert/albert-base-v2 is not what the recipe"):
        albert_edge.export("albert-base-v2", tmp_path / "out")
