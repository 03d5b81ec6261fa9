"""The folder contract: all or nothing, nothing unlisted, nothing unchecked, nothing outside."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import pickle
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.checkpoints import make_model

import albert_edge
from albert_edge.architecture.heads import Input, text_inputs
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.change import change
from albert_edge.bundle.manifest import MANIFEST, SCHEMA_VERSION, FileRecord, Manifest, Variant
from albert_edge.bundle.manifest_reader import read_manifest
from albert_edge.bundle.storage import read_manifest_content
from albert_edge.errors import AlbertEdgeError, BundleError
from albert_edge.runtime.session import Session

Contents = Mapping[str, bytes]

OLD: Contents = {
    "config.json": b'{"is": "old"}',
    "onnx/model.onnx": b"old model",
    "onnx/model_optimized.onnx": b"old optimized",
    "onnx/model_optimized.onnx.data": b"old weights",
}
NEW: Contents = {
    "config.json": b'{"is": "new"}',
    "tokenizer.json": b"{}",
    "onnx/model.onnx": b"new model",
}
NOTES = "onnx/notes.txt"


def commit(folder: Path, contents: Contents) -> None:
    """Make `contents` the bundle; each .onnx is a variant, with the .data of its name, if any."""
    with change(folder) as pending:
        for file, content in contents.items():
            pending.path(file).write_bytes(content)
        records = {file: pending.record(pending.path(file)) for file in contents}
        pending.manifest = manifest(
            files=[record for file, record in records.items() if "/" not in file],
            variants=[
                variant(
                    Path(file).stem,
                    *(record for other, record in records.items() if other.startswith(file)),
                )
                for file in contents
                if file.endswith(".onnx")
            ],
        )


def manifest(files: list[FileRecord], variants: list[Variant]) -> Manifest:
    return Manifest(
        head="text-classification",
        labels=("NEGATIVE", "POSITIVE"),
        problem_type=None,
        source="somewhere",
        revision=None,
        files=tuple(files),
        variants=tuple(variants),
    )


def variant(name: str, *files: FileRecord) -> Variant:
    return Variant(
        name,
        {"model": files},
        {"model": text_inputs()},
        precision="fp32",
        target="portable",
        layout="unrolled",
        opset=21,
    )


def listing(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder, hidden or not: content of files and links, None for a folder."""
    return {path.relative_to(folder).as_posix(): content(path) for path in folder.rglob("*")}


def content(path: Path) -> bytes | None:
    if path.is_symlink():
        return os.readlink(path).encode()
    return None if path.is_dir() else path.read_bytes()


def visible_files(folder: Path) -> dict[str, bytes]:
    return {
        name: content
        for name, content in listing(folder).items()
        if content is not None and not name.startswith(".") and name != MANIFEST
    }


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle with two variants, and a user's own file in it."""
    made = tmp_path / "bundle"
    commit(made, OLD)
    (made / NOTES).write_text("mine")
    return made


# --- the manifest ---------------------------------------------------------------------------


def any_json(leaves: int = 8) -> st.SearchStrategy[Any]:
    numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    scalars = st.none() | st.booleans() | numbers | st.text(max_size=6)
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
        ),
        max_leaves=leaves,
    )


NAMES = st.text(min_size=1, max_size=6)
FILES = st.lists(
    st.text(
        st.characters(codec="utf-8", exclude_characters="/\\:\0"), min_size=1, max_size=6
    ).filter(lambda part: part not in (".", "..")),
    min_size=1,
    max_size=3,
).map("/".join)
COUNTS = st.integers(0, 2**63 - 1)
RECORDS = st.builds(FileRecord, FILES, NAMES, COUNTS)
INPUTS = st.builds(
    Input,
    NAMES,
    st.lists(NAMES, max_size=3).map(tuple),
    st.sampled_from(["int64", "float32"]),
    st.none() | st.integers(-9, 9) | st.floats(-1, 1),
)
PARTS = st.tuples(
    st.lists(RECORDS, min_size=1, max_size=2).map(tuple), st.lists(INPUTS, max_size=2).map(tuple)
)
VARIANTS = st.builds(
    lambda parts, **fields: Variant(
        files={role: files for role, (files, _) in parts.items()},
        inputs={role: inputs for role, (_, inputs) in parts.items()},
        **fields,
    ),
    parts=st.dictionaries(NAMES, PARTS, min_size=1, max_size=2),
    name=NAMES,
    precision=NAMES,
    target=NAMES,
    layout=NAMES,
    opset=COUNTS.filter(bool),
    exporter=NAMES,
    optimizations=st.dictionaries(NAMES, COUNTS, max_size=2),
    measured=st.dictionaries(NAMES, any_json(3), max_size=2),
)
MANIFESTS = st.builds(
    Manifest,
    head=NAMES,
    task=st.none() | NAMES,
    labels=st.lists(st.text(), max_size=3).map(tuple),
    problem_type=st.none() | NAMES,
    source=NAMES,
    revision=st.none() | NAMES,
    files=st.lists(RECORDS, max_size=3).map(tuple),
    variants=st.lists(VARIANTS, max_size=3, unique_by=lambda item: item.name).map(tuple),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose manifest hypothesis overwrites again and again."""
    made = tmp_path_factory.mktemp("shared") / "bundle"
    commit(made, OLD)
    return made


@given(written=MANIFESTS)
@settings(deadline=None, max_examples=100)
def test_manifest_round_trip(shared: Path, written: Manifest) -> None:
    path = shared.parent / MANIFEST
    path.write_text(written.to_json(), encoding="utf-8")
    assert read_manifest(path) == written


def valid_fields() -> dict[str, Any]:
    """The manifest of a bundle of OLD, as JSON."""
    files = [FileRecord("config.json", "ab" * 32, 3)]
    variants = [variant("model", FileRecord("onnx/model.onnx", "cd" * 32, 9))]
    fields: dict[str, Any] = json.loads(manifest(files, variants).to_json())
    return fields


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every node below the root of a JSON document."""
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        yield (*path, key)
        if isinstance(child, dict | list):
            yield from places(child, (*path, key))


def use(folder: Path) -> None:
    """All that reads a manifest. No bundle here holds a real model, so it ends in an error."""
    opened = open_bundle(folder)
    with contextlib.suppress(AlbertEdgeError):
        opened.check_all()
    with contextlib.suppress(AlbertEdgeError):
        opened.variant("model")
    with contextlib.suppress(AlbertEdgeError):
        opened.read_text("config.json")
    with contextlib.suppress(AlbertEdgeError):
        albert_edge.pipeline(model=opened)
    Session(opened)


@given(document=any_json())
@settings(deadline=None, max_examples=200)
def test_arbitrary_json_is_refused(shared: Path, document: Any) -> None:
    (shared / MANIFEST).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(BundleError):
        open_bundle(shared)


@given(content=st.binary(max_size=40))
@settings(deadline=None, max_examples=200)
def test_arbitrary_bytes_are_refused(shared: Path, content: bytes) -> None:
    (shared / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError):
        open_bundle(shared)


def mutate(folder: Path, place: tuple[Any, ...], value: Any) -> None:
    """Write a manifest that is right but for one place: another value, or for ... none."""
    fields = valid_fields()
    parent = fields
    for key in place[:-1]:
        parent = parent[key]
    if value is ...:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    (folder / MANIFEST).write_text(json.dumps(fields), encoding="utf-8")


@given(place=st.sampled_from(list(places(valid_fields()))), value=any_json() | st.just(...))
@settings(deadline=None, max_examples=400)
def test_a_mutated_manifest_gives_bundle_errors_only(
    shared: Path, place: tuple[Any, ...], value: Any
) -> None:
    mutate(shared, place, value)
    with pytest.raises(BundleError):
        use(shared)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("variants", 0, "files"), []),
        (("variants", 0, "files"), {}),
        (("variants", 0, "files", "model"), []),
        (("variants", 0, "files", "model", 0, "sha256"), 5),
        (("variants", 0, "files", "model", 0, "file"), "onnx/a\0b"),
        (("variants", 0, "files", "model", 0, "file"), "onnx/\ud800"),
        (("variants", 0, "inputs"), {}),
        (("variants", 0, "inputs", "model", 0, "name"), None),
        (("variants", 0, "inputs", "model", 0, "type"), "string"),
        (("variants", 0, "inputs", "model", 0, "default"), "one"),
        (("variants", 0, "inputs", "model", 0, "default"), True),
        (("variants", 0, "inputs", "model", 0, "axes"), "batch"),
        (("variants", 0, "optimizations"), None),
        (("files", 0, "sha256"), None),
        (("head",), []),
        (("head",), {}),
        (("head",), ...),
        (("task",), {}),
    ],
)
def test_fields_of_another_kind_are_refused(
    shared: Path, place: tuple[Any, ...], value: Any
) -> None:
    mutate(shared, place, value)
    with pytest.raises(BundleError):
        use(shared)


def test_a_truncated_manifest_is_refused(folder: Path) -> None:
    text = (folder / MANIFEST).read_bytes()
    for length in range(len(text) - 1):  # the last byte is only a line end
        (folder / MANIFEST).write_bytes(text[:length])
        with pytest.raises(BundleError, match="damaged") as caught:
            open_bundle(folder)
        assert str(folder / MANIFEST) in str(caught.value)
        assert caught.value.tip


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 100_000])
def test_a_bottomless_manifest_is_refused(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match="damaged"):
        open_bundle(folder)


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 0, -1, "1", None, [1], 1.5, True, 1.0])
def test_another_schema_version_is_named(folder: Path, version: Any) -> None:
    fields = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**fields, "schema_version": version, "new": 1}))
    with pytest.raises(BundleError, match="schema version") as caught:
        open_bundle(folder)
    assert f"version {version};" in str(caught.value)


@pytest.mark.parametrize("missing", ["folder", "manifest", "is-a-file"])
def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "bundle"
    if missing == "manifest":
        path.mkdir()
    if missing == "is-a-file":
        path.write_text("")
    with pytest.raises(BundleError, match="not an albert-edge bundle") as caught:
        open_bundle(path)
    assert str(path) in str(caught.value)
    assert ("no such folder" in str(caught.value)) is (missing == "folder")
    assert "export" in caught.value.tip


@pytest.mark.parametrize("kind", ["files", "variants"])
@pytest.mark.parametrize(
    "file",
    [
        "../secret",
        "/etc/passwd",
        "onnx/../../secret",
        "onnx/..",
        "..",
        ".",
        "",
        "..\\secret",
        "C:\\secret",
        "C:/secret",  # on Windows joining a drive replaces the folder
    ],
)
def test_paths_that_lead_out_are_refused(folder: Path, file: str, kind: str) -> None:
    (folder.parent / "secret").write_text("secret")
    fields = json.loads((folder / MANIFEST).read_text())
    records = fields["files"] if kind == "files" else fields["variants"][0]["files"]["model"]
    records[0]["file"] = file
    (folder / MANIFEST).write_text(json.dumps(fields))
    with pytest.raises(BundleError, match="leads out of the bundle"):
        open_bundle(folder)


@pytest.mark.parametrize("kind", ["files", "variants"])
@pytest.mark.parametrize(
    "file",
    [
        MANIFEST,
        f"./{MANIFEST}",
        "Albert_Edge.json",  # the same file to Windows and macOS
        f"{MANIFEST}.sig",
        ".commit/config.json",
        ".change/config.json",
        ".change-18ec/config.json",
        ".staging-1/config.json",
    ],
)
def test_paths_that_a_bundle_keeps_for_itself_are_refused(
    folder: Path, file: str, kind: str
) -> None:
    fields = json.loads((folder / MANIFEST).read_text())
    records = fields["files"] if kind == "files" else fields["variants"][0]["files"]["model"]
    records[0]["file"] = file
    (folder / MANIFEST).write_text(json.dumps(fields))
    with pytest.raises(BundleError, match="may have the path"):
        open_bundle(folder)


def test_a_file_in_a_folder_may_be_called_as_the_manifest(folder: Path) -> None:
    inner = f"onnx/{MANIFEST}"
    with change(folder) as pending:
        old = read_manifest(folder / MANIFEST)
        pending.path(inner).write_bytes(b"of another program")
        pending.manifest = manifest([pending.record(pending.path(inner))], [*old.variants])
    assert (folder / inner).read_bytes() == b"of another program"


# --- what the manifest lists, and what it does not ------------------------------------------


def test_everything_listed_is_checked(folder: Path) -> None:
    assert {record.file: record.bytes for record in open_bundle(folder).check_all()} == {
        file: len(content) for file, content in OLD.items()
    }


def refuse(file: Path) -> None:
    file.unlink()


def change_one_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def make_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [refuse, change_one_bit, truncate, make_a_folder])
@pytest.mark.parametrize("file", ["onnx/model_optimized.onnx", "onnx/model_optimized.onnx.data"])
def test_a_damaged_model_is_named_before_onnxruntime_sees_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, damage: Callable[[Path], None]
) -> None:
    def must_not_be_called() -> None:
        raise AssertionError("onnxruntime was reached")

    monkeypatch.setattr("albert_edge.runtime.engine.load_onnxruntime", must_not_be_called)
    # The files of this bundle are no models.
    monkeypatch.setattr("albert_edge.validation.graph.check_model", lambda file, declared: None)
    with pytest.raises(AssertionError, match="was reached"):
        Session(folder, variant="model_optimized")
    damage(folder / file)
    with pytest.raises(BundleError) as caught:
        Session(folder, variant="model_optimized")
    assert str(folder / file) in str(caught.value)
    assert caught.value.tip
    with pytest.raises(BundleError, match=Path(file).name):
        open_bundle(folder).check_all()


def enlarge(file: Path) -> None:
    """Make it a file with a hole, which takes no room on the disk but would in memory."""
    os.truncate(file, 2**36)


@pytest.mark.parametrize("file", OLD)
@pytest.mark.parametrize("held", [False, True])
def test_a_file_that_grew_is_not_read(folder: Path, file: str, held: bool) -> None:
    opened = open_bundle(folder)
    enlarge(folder / file)
    with pytest.raises(BundleError, match=r"it has 68719476736 bytes, not \d+\."):
        (opened if held else open_bundle(folder)).check_all()


def test_files_larger_than_any_are_not_read(folder: Path) -> None:
    fields = json.loads((folder / MANIFEST).read_text())
    fields["files"][0]["bytes"] = 2**36
    (folder / MANIFEST).write_text(json.dumps(fields))
    enlarge(folder / "config.json")
    with pytest.raises(BundleError, match=r"config\.json has .* over the limit"):
        open_bundle(folder).read("config.json")
    enlarge(folder / MANIFEST)
    with pytest.raises(BundleError, match="has more than 16,777,216 bytes"):
        open_bundle(folder)


def test_a_manifest_that_is_gone_is_an_error_of_the_bundle(folder: Path) -> None:
    opened = open_bundle(folder)
    assert read_manifest_content(opened.storage) == (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).unlink()
    with pytest.raises(BundleError, match=r"albert_edge\.json cannot be read: No such file"):
        read_manifest_content(opened.storage)


def test_every_file_is_read_without_pread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pread", raising=False)  # such as Windows
    opened = open_bundle(folder)
    assert {record.file for record in opened.check_all()} == set(OLD)
    assert opened.read("config.json") == OLD["config.json"]
    model = opened.model_file(opened.variant("model_optimized"))
    assert bytes(model.view("model_optimized.onnx.data")) == b"old weights"
    assert model.read() == b"old optimized"


@pytest.mark.parametrize("damage", [refuse, change_one_bit])
def test_a_damaged_configuration_is_named(folder: Path, damage: Callable[[Path], None]) -> None:
    assert open_bundle(folder).read_text("config.json") == '{"is": "old"}'
    damage(folder / "config.json")
    with pytest.raises(BundleError, match=r"config\.json"):
        open_bundle(folder).read_text("config.json")


def test_unlisted_files_do_not_exist(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("not JSON")
    (folder / "onnx" / "model_quantized.onnx").write_text("not a model")
    opened = open_bundle(folder)
    assert opened.read_text("tokenizer.json") is None
    with pytest.raises(BundleError, match=r"no tokenizer\.json"):
        opened.read("tokenizer.json")
    assert {record.file for record in opened.check_all()} == set(OLD)
    with pytest.raises(BundleError, match="model_quantized") as caught:
        opened.variant("model_quantized")
    assert "model, model_optimized" in caught.value.tip


# --- change: all or nothing -----------------------------------------------------------------


class Stop(BaseException):
    """Such as KeyboardInterrupt."""


@pytest.mark.parametrize("error", [RuntimeError, BundleError, Stop])
def test_an_error_inside_a_change_leaves_all_as_it_was(
    folder: Path, error: Callable[..., BaseException]
) -> None:
    before = listing(folder)
    raised = BundleError("x", tip="y") if error is BundleError else error("x")
    with pytest.raises(type(raised)), change(folder) as pending:
        pending.path("onnx/model.onnx").write_bytes(b"half")
        pending.manifest = manifest([], [])
        raise raised
    assert listing(folder) == before


def test_errors_that_are_not_of_the_bundle_stay_what_they_are(folder: Path) -> None:
    before = listing(folder)
    # transformers reports with the same class what it cannot load, and a connection that it lost.
    for error in (OSError("no file named pytorch_model.bin"), ConnectionResetError(104, "reset")):
        with pytest.raises(OSError) as caught, change(folder):
            raise error
        assert caught.value is error
    full = OSError(errno.ENOSPC, "No space left on device", str(folder / "config.json"))
    with pytest.raises(BundleError, match=r"config\.json cannot be written"), change(folder):
        raise full
    assert listing(folder) == before


def test_a_folder_that_cannot_be_flushed_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(BundleError, match=f"{folder.name} cannot be written: Input/output"):
        commit(folder, NEW)


def test_a_change_without_a_manifest_leaves_all_as_it_was(folder: Path) -> None:
    before = listing(folder)
    with change(folder) as pending:
        pending.path("onnx/model.onnx").write_bytes(b"half")
    assert listing(folder) == before


@pytest.mark.parametrize("name", ["new", "some/new/folder"])
def test_an_error_inside_a_change_removes_the_folders_it_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(RuntimeError), change(tmp_path / name) as pending:
        pending.path("onnx/model.onnx").write_bytes(b"half")
        raise RuntimeError
    assert listing(tmp_path) == {}


def test_an_error_keeps_an_empty_folder_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(RuntimeError), change(tmp_path / "mine"):
        raise RuntimeError
    assert listing(tmp_path) == {"mine": None}


def test_replaced_variants_are_deleted_and_user_files_kept(folder: Path) -> None:
    (folder / "README.md").write_text("mine")
    commit(folder, NEW)
    assert visible_files(folder) == {**NEW, NOTES: b"mine", "README.md": b"mine"}
    assert hidden(folder) == []
    assert {record.file for record in open_bundle(folder).check_all()} == set(NEW)


def test_a_variant_added_keeps_the_others(folder: Path) -> None:
    before = open_bundle(folder).manifest
    with change(folder) as pending:
        path = pending.path("onnx/model_quantized.onnx")
        path.write_bytes(b"int8")
        pending.manifest = before.with_variant(variant("model_quantized", pending.record(path)))
    after = open_bundle(folder)
    assert [v.name for v in after.manifest.variants] == [
        "model",
        "model_optimized",
        "model_quantized",
    ]
    assert visible_files(folder) == {**OLD, NOTES: b"mine", "onnx/model_quantized.onnx": b"int8"}
    assert len(after.check_all()) == len(OLD) + 1


def test_of_two_writers_at_once_the_second_is_refused(folder: Path) -> None:
    with change(folder) as first:
        with pytest.raises(BundleError, match="Another process") as caught:
            commit(folder, NEW)
        assert caught.value.tip
        first.path("config.json").write_bytes(b"first")
        record = first.record(first.path("config.json"))
        first.manifest = manifest([record], [])
    assert open_bundle(folder).read_text("config.json") == "first"
    commit(folder, NEW)  # the lock is gone with the change


def test_readers_see_the_old_bundle_during_a_change(folder: Path) -> None:
    with change(folder) as pending:
        pending.path("config.json").write_bytes(b"half")
        assert {record.file for record in open_bundle(folder).check_all()} == set(OLD)
        assert open_bundle(folder).read_text("config.json") == '{"is": "old"}'


def test_orphaned_staging_folders_are_cleaned_by_the_next_change(folder: Path) -> None:
    for name in (".staging-a", ".staging-b"):
        (folder / name / "onnx").mkdir(parents=True)
        (folder / name / "onnx" / "model.onnx").write_bytes(b"half")
    assert {record.file for record in open_bundle(folder).check_all()} == set(OLD)
    commit(folder, NEW)
    assert hidden(folder) == []


def test_user_files_that_cannot_be_written_do_no_harm(folder: Path) -> None:
    (folder / NOTES).chmod(0o444)
    commit(folder, NEW)
    assert (folder / NOTES).read_text() == "mine"
    assert {record.file for record in open_bundle(folder).check_all()} == set(NEW)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b'{"schema_version": 3}',
        b'{"schema_version": 2}',
        b'{"schema_version": 1, "files": [{"file": "../x"}]}',
    ],
    ids=["empty", "newer", "incomplete", "hostile"],
)
def test_a_bundle_with_a_bad_manifest_can_be_replaced(folder: Path, damage: bytes) -> None:
    # The errors about such a manifest say: export the model again.
    (folder / MANIFEST).write_bytes(damage)
    commit(folder, NEW)
    assert {record.file for record in open_bundle(folder).check_all()} == set(NEW)


@pytest.mark.parametrize("obstacle", ["tokenizer.json", "onnx", MANIFEST])
def test_what_stands_in_the_way_is_named_and_nothing_changed(tmp_path: Path, obstacle: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    if obstacle == "onnx":
        (folder / obstacle).write_text("a file where a folder must go")
    else:
        (folder / obstacle / "a folder where a file must go").mkdir(parents=True)
    before = listing(folder)
    with pytest.raises(BundleError, match=obstacle):
        commit(folder, NEW)
    assert listing(folder) == before


def test_a_bundle_cannot_be_made_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BundleError):
        commit(tmp_path / "file", NEW)
    assert listing(tmp_path) == {"file": b"mine"}


# --- cut off at any moment ------------------------------------------------------------------


class Killed(BaseException):
    """The process is dead: nothing it calls from now on reaches the disk."""


def survives(act: Callable[[], object], steps: int) -> bool:
    """Run `act` in a process that dies after so many calls that change the disk.

    Returns:
        Whether it came to its end.
    """
    calls = itertools.count()

    def mortal(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if next(calls) >= steps:
                raise Killed
            return real(*args, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "rename", "unlink", "rmdir", "mkdir", "symlink", "fsync"):
            patch.setattr(os, name, mortal(getattr(os, name)))
        try:
            act()
        except Killed:
            return False
    return True


def state(folder: Path) -> str:
    """Which bundle a folder holds, wholly."""
    try:
        opened = open_bundle(folder)
    except BundleError as error:
        assert "not an albert-edge bundle" in str(error)
        assert set(visible_files(folder)) <= {NOTES}
        return "none"
    listed = {record.file for record in opened.check_all()}
    assert ".commit" not in hidden(folder)
    for name, contents in (("old", OLD), ("new", NEW)):
        if listed == set(contents):
            assert visible_files(folder) == {**contents, NOTES: b"mine"}
            return name
    raise AssertionError(f"neither old nor new: {listed}")


@pytest.mark.parametrize("before", ["none", "old"])
def test_cut_off_at_any_step_a_change_leaves_old_or_new(tmp_path: Path, before: str) -> None:
    states = []
    for steps in itertools.count():
        folder = tmp_path / str(steps)
        if before == "old":
            commit(folder, OLD)
        (folder / NOTES).parent.mkdir(parents=True, exist_ok=True)
        (folder / NOTES).write_text("mine")
        if survives(lambda folder=folder: commit(folder, NEW), steps):  # type: ignore[misc]
            break
        states.append(state(folder))
        commit(folder, NEW)
        assert state(folder) == "new"
        assert hidden(folder) == []
    # Once decided, it stays decided; and there were many moments on either side.
    assert states == sorted(states, key=[before, "new"].index)
    assert states.count(before) >= 5
    assert states.count("new") >= 8


def test_cut_off_again_while_finishing_it_is_finished_by_the_next(tmp_path: Path) -> None:
    decided = tmp_path / "decided"
    for steps in itertools.count():  # the first step after which there is something to finish
        shutil.rmtree(decided, ignore_errors=True)
        commit(decided, OLD)
        (decided / NOTES).write_text("mine")
        survives(lambda: commit(decided, NEW), steps)
        if (decided / ".commit").exists():
            break
    unfinished = 0
    for steps in itertools.count():
        folder = tmp_path / str(steps)
        shutil.copytree(decided, folder, symlinks=True)
        if survives(lambda folder=folder: open_bundle(folder), steps):  # type: ignore[misc]
            break
        unfinished += (folder / ".commit").exists()
        assert state(folder) == "new"
    assert unfinished >= 8


def test_readers_that_may_not_write_read_files_that_are_not_in_place_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_to_hold(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    unfinished = 0
    for steps in itertools.count():
        folder = tmp_path / str(steps)
        commit(folder, OLD)
        (folder / NOTES).write_text("mine")
        if survives(lambda folder=folder: commit(folder, NEW), steps):  # type: ignore[misc]
            break
        before = listing(folder)
        with monkeypatch.context() as patch:
            patch.setattr("albert_edge.bundle.change.hold", refuse_to_hold)
            opened = open_bundle(folder)
            assert {record.file for record in opened.check_all()} in (set(OLD), set(NEW))
        assert listing(folder) == before
        if ".commit" in hidden(folder):
            unfinished += 1
            assert opened.read("config.json") == NEW["config.json"]
    assert unfinished >= 8


@pytest.mark.skipif(not hasattr(os, "pread"), reason="Windows replaces no open file")
def test_a_reader_holds_the_version_that_it_opened(folder: Path) -> None:
    opened = open_bundle(folder)
    commit(folder, NEW)
    again = pickle.loads(pickle.dumps(open_bundle(folder).storage))
    assert {record.file for record in opened.check_all()} == set(OLD)
    assert opened.read("config.json") == OLD["config.json"]
    with again.open("config.json") as file:
        assert file.read() == NEW["config.json"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_what_holds_one_variant_has_no_others_open(folder: Path) -> None:
    def opened() -> set[str]:
        links = (Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))
        paths = {os.readlink(link) for link in links if link.is_symlink()}
        return {path[len(f"{folder}/") :] for path in paths if path.startswith(f"{folder}/")}

    bundle = open_bundle(folder)
    assert opened() == set(OLD)
    bundle = bundle.holding(bundle.variant("model"))
    assert opened() == {"config.json", "onnx/model.onnx"}
    assert {record.file for record in bundle.check_all()} == set(OLD)  # opened again
    commit(folder, NEW)
    assert bundle.read("config.json") == OLD["config.json"]
    assert bundle.model_file(bundle.variant("model")).read() == OLD["onnx/model.onnx"]
    with pytest.raises(BundleError, match="cannot be read"):
        bundle.model_file(bundle.variant("model_optimized")).read()


def test_a_first_export_cut_off_after_any_move_can_be_repeated(tmp_path: Path) -> None:
    # Without --force: a user whose first export was killed repeats the same command.
    make_model("text-classification").save_pretrained(tmp_path / "checkpoint")
    refusals = []
    for steps in itertools.count():
        out = tmp_path / str(steps)
        if survives(lambda out=out: albert_edge.export(tmp_path / "checkpoint", out), steps):  # type: ignore[misc]
            break
        try:
            albert_edge.export(tmp_path / "checkpoint", out)
        except AlbertEdgeError as error:  # right where the first one was decided
            refusals.append(str(error))
        assert len(open_bundle(out).check_all()) == 2
    assert steps >= 8
    assert [refusal for refusal in refusals if "bundle already" not in refusal] == []


# --- with real models -----------------------------------------------------------------------

IDS = [[2, 7, 11, 3]]


def test_spaces_and_other_scripts_in_the_path(tmp_path: Path) -> None:
    make_model("text-classification").save_pretrained(tmp_path / "check point é")
    out = tmp_path / "ein Bündel 模型 🙂"
    albert_edge.export(tmp_path / "check point é", out)
    albert_edge.optimize(out)
    opened = open_bundle(out)
    assert opened.manifest.source == "check point é"
    portable = Session(out, variant="model").run({"input_ids": IDS})
    optimized = Session(out).run({"input_ids": IDS})
    assert abs(portable["logits"] - optimized["logits"]).max() <= 1e-4


def change_after(act: Callable[[], object]) -> Callable[[Path], Any]:
    """`change`, but another process does something in the moment before it takes the lock."""

    @contextlib.contextmanager
    def late(folder: Path) -> Iterator[Any]:
        act()
        with change(folder) as pending:
            yield pending

    return late


def test_an_export_that_comes_between_is_not_mixed_with_an_optimize(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, name in enumerate(("old", "new")):
        make_model("text-classification", seed=seed).save_pretrained(tmp_path / name)
    out = tmp_path / "bundle"
    albert_edge.export(tmp_path / "old", out)
    meanwhile = change_after(lambda: albert_edge.export(tmp_path / "new", out, force=True))
    monkeypatch.setattr("albert_edge.steps.optimize.change", meanwhile)
    with contextlib.suppress(BundleError):  # refusing is one way to be right
        albert_edge.optimize(out)
    opened = open_bundle(out)
    opened.check_all()
    assert opened.manifest.source == "new"
    answers = [
        Session(opened, variant=v.name).run({"input_ids": IDS})["logits"]
        for v in opened.manifest.variants
    ]
    assert all(abs(answer - answers[0]).max() <= 1e-4 for answer in answers)


def test_a_variant_written_in_between_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model("text-classification").save_pretrained(tmp_path / "checkpoint")
    out = tmp_path / "bundle"
    albert_edge.export(tmp_path / "checkpoint", out)

    def optimize_meanwhile() -> None:
        monkeypatch.undo()
        albert_edge.optimize(out, target="portable")

    monkeypatch.setattr("albert_edge.steps.optimize.change", change_after(optimize_meanwhile))
    wanted = {"model", "model_optimized", "model_optimized_portable"}
    try:
        albert_edge.optimize(out)
    except BundleError:  # refusing is one way to be right
        wanted -= {"model_optimized"}
    opened = open_bundle(out)
    opened.check_all()
    assert {v.name for v in opened.manifest.variants} == wanted
