"""The format of a packed bundle: what is written, what is refused, and what reading it survives."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import pickle
import random
import shutil
import stat
import struct
import threading
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kept_bundles import TEXTS
from support.paths import DATA

import albert_edge
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.errors import BundleError

KEPT = DATA / "bundles" / "schema2"
LISTED = sorted(record.file for record in open_bundle(KEPT).manifest.records())

Members = dict[str, bytes]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed bundle; not to be changed."""
    path = tmp_path_factory.mktemp("packed") / "model.albert"
    albert_edge.pack(KEPT, path)
    return path


def contents(bundle: Bundle) -> Members:
    """All that can be read of a bundle, by file."""
    found = {record.file: bundle.read(record.file) for record in bundle.manifest.files}
    for variant in bundle.manifest.variants:
        found[variant.file] = bundle.model_file(variant).read()
    return found


# --- what is written ------------------------------------------------------------------------


def test_it_is_a_zip_that_any_program_reads(packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == MANIFEST
        assert sorted(archive.namelist()[1:]) == LISTED
        for member in archive.infolist():
            assert archive.read(member) == (KEPT / member.filename).read_bytes()
            assert member.compress_type == zipfile.ZIP_STORED
            assert stat.S_ISREG(member.external_attr >> 16)


def starts(path: Path) -> dict[str, int]:
    """Where each member starts, by its own header (APPNOTE.TXT 4.3.7)."""
    content = path.read_bytes()
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name, extra = struct.unpack_from("<HH", content, member.header_offset + 26)
            found[member.filename] = member.header_offset + 30 + name + extra
    return found


@pytest.mark.parametrize("limit", [zipfile.ZIP64_LIMIT, 1000])
def test_every_member_can_be_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Also where it is beyond the limit of an ordinary zip, which is lowered for this."""
    path = tmp_path / "model.albert"
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", limit)
        albert_edge.pack(KEPT, path)
    content = path.read_bytes()
    assert (content.count(struct.pack("<HH", 1, 16)) > 0) == (limit == 1000)  # ZIP64's extra field
    for name, start in starts(path).items():
        original = (KEPT / name).read_bytes()
        assert start % 4096 == 0
        assert content[start : start + len(original)] == original
    assert contents(open_bundle(path)) == contents(open_bundle(KEPT))


def test_the_same_bundle_gives_the_same_bytes(packed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(KEPT, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
    for again in (albert_edge.pack(copy, tmp_path / "a"), albert_edge.pack(packed, tmp_path / "b")):
        assert again.file.read_bytes() == packed.read_bytes()


def is_name(name: str) -> bool:
    return bool(name.strip(".")) and name.isprintable() and not set(name) & set("/\\:")


names = st.text(min_size=1, max_size=30).filter(is_name)


@settings(max_examples=40, deadline=None)
@given(files=st.dictionaries(names, st.binary(max_size=9000), max_size=5))
def test_any_files_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, files: Mapping[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("any")
    members = {f"files/{name}": content for name, content in files.items()}
    names_on_disk = {name.casefold() for name in members}
    if len(names_on_disk) < len(members) or max(map(len_in_bytes, members), default=0) > 200:
        return
    bundle = root / "bundle"
    (bundle / "files").mkdir(parents=True)
    for name, content in members.items():
        (bundle / name).write_bytes(content)
    (bundle / MANIFEST).write_bytes(listing(members))
    albert_edge.pack(bundle, root / "packed")
    albert_edge.unpack(root / "packed", root / "out")
    for name in (MANIFEST, *members):
        assert (root / "out" / name).read_bytes() == (bundle / name).read_bytes()
    assert {name: open_bundle(root / "packed").read(name) for name in members} == members


def len_in_bytes(name: str) -> int:
    return len(name.encode())


def listing(members: Mapping[str, bytes], **changes: Any) -> bytes:
    """A manifest of configuration files only."""
    fields = json.loads((KEPT / MANIFEST).read_text())
    records = [
        {"file": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in members.items()
    ]
    return json.dumps({**fields, "files": records, "variants": [], **changes}).encode()


# --- what is refused ------------------------------------------------------------------------


def as_zip(members: Mapping[Any, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip that Python's own library writes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


ONE = {"config.json": b"{}"}
GOOD = {MANIFEST: listing(ONE), **ONE}


def link(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


def encrypted(content: bytes) -> bytes:
    """A zip whose members say that they are encrypted, in both places."""
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            flags = content[start + at] | 1
            content = content[: start + at] + bytes([flags]) + content[start + at + 1 :]
    return content


def overlapping() -> bytes:
    """A zip with a member inside the content of another, where its directory says it is."""
    inner = as_zip({"b.json": b"{}"})[: 30 + len("b.json") + 2]
    members = {"a.bin": inner, "b.json": b"{}"}
    content = as_zip({MANIFEST: listing(members), **members})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        outer, proper = (archive.getinfo(name).header_offset for name in members)
    at = content.rindex(struct.pack("<L", proper))  # in the directory
    return content[:at] + struct.pack("<L", outer + 30 + len("a.bin")) + content[at + 4 :]


def two_names() -> bytes:
    """A zip whose directory calls a member otherwise than its header does."""
    content = as_zip(GOOD)
    at = content.rindex(b"config.json")
    return content[:at] + b"konfig.json" + content[at + 11 :]


def twice() -> bytes:
    file = io.BytesIO(as_zip(GOOD))
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", b"{}")
    return file.getvalue()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "not an albert-edge bundle"),
    "a text": (lambda: b"Guten Tag", "not an albert-edge bundle"),
    "an onnx file": (lambda: (KEPT / "onnx/model.onnx").read_bytes(), "not an albert-edge bundle"),
    "an empty zip": (lambda: as_zip({}), "not an albert-edge bundle"),
    "another zip": (lambda: as_zip({"[Content_Types].xml": b"<x/>"}), "has no albert_edge.json"),
    "the folder zipped": (
        lambda: as_zip({f"bundle/{name}": content for name, content in GOOD.items()}),
        "has no albert_edge.json",
    ),
    "cut off": (lambda: as_zip(GOOD)[:-30], "directory cannot be read"),
    "compressed": (lambda: as_zip(GOOD, zipfile.ZIP_DEFLATED), "is compressed"),
    "encrypted": (lambda: encrypted(as_zip(GOOD)), "is compressed or encrypted"),
    "twice": (twice, "config.json twice"),
    "unlisted": (lambda: as_zip({**GOOD, "more.json": b"{}"}), "does not list more.json"),
    "missing": (lambda: as_zip({MANIFEST: listing(ONE)}), "has no config.json"),
    "another size": (lambda: as_zip({**GOOD, "config.json": b"{} "}), "has 3 bytes, not 2"),
    "a link": (
        lambda: as_zip({MANIFEST: listing(ONE), link("config.json"): b"{}"}),
        "config.json is a link",
    ),
    "a folder": (lambda: as_zip({**GOOD, "onnx/": b""}), "onnx/ is a link or a folder"),
    "parent": (lambda: as_zip({**GOOD, "../config.json": b"{}"}), "leads out of the bundle"),
    "absolute": (lambda: as_zip({**GOOD, "/config.json": b"{}"}), "leads out of the bundle"),
    "a drive": (lambda: as_zip({**GOOD, "C:config.json": b"{}"}), "leads out of the bundle"),
    "backslash": (lambda: as_zip({**GOOD, "..\\config.json": b"{}"}), "leads out of the bundle"),
    "listed parent": (
        lambda: as_zip({MANIFEST: listing({"../config.json": b"{}"})}),
        "leads out of the bundle",
    ),
    "two names": (two_names, "the header of konfig.json is not what its directory says"),
    "overlapping": (overlapping, "b.json overlaps"),
    "a changed manifest": (
        lambda: as_zip(GOOD).replace(b'"POSITIVE"', b'"positive"'),
        "was changed or damaged",
    ),
    "no manifest": (lambda: as_zip({MANIFEST: b"[]"}), "manifest is damaged"),
    "a newer manifest": (
        lambda: as_zip({MANIFEST: listing({}, schema_version=99)}),
        "schema version 99",
    ),
}


def test_a_zip_of_another_program_is_read(tmp_path: Path) -> None:
    path = tmp_path / "any.name"
    path.write_bytes(as_zip(GOOD))
    assert open_bundle(path).read("config.json") == b"{}"


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_not_a_packed_bundle_is_refused(tmp_path: Path, what: str) -> None:
    make, message = HOSTILE[what]
    path = tmp_path / "model.albert"
    path.write_bytes(make())
    with pytest.raises(BundleError, match=message) as caught:
        open_bundle(path)
    assert str(path) in str(caught.value)
    assert caught.value.tip


def test_a_changed_member_is_named(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.albert"
    content = bytearray(packed.read_bytes())
    for name in ("tokenizer.json", "onnx/model.onnx"):
        content[starts(packed)[name] + 99] ^= 1
    path.write_bytes(content)
    opened = open_bundle(path)
    for name, act in (
        ("tokenizer.json", lambda: opened.read("tokenizer.json")),
        ("tokenizer.json", opened.check_all),
        ("onnx/model.onnx", lambda: albert_edge.Session(opened, variant="model")),
        ("onnx/model.onnx", lambda: albert_edge.inspect(path)),
    ):
        with pytest.raises(BundleError, match="is not the file") as caught:
            act()
        assert str(path / name) in str(caught.value)
    assert albert_edge.Session(opened, variant="model_optimized", device="cpu").variant


def interesting(path: Path) -> list[int]:
    """The positions that are not padding."""
    content = path.read_bytes()
    found: list[int] = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            found += range(member.header_offset, member.header_offset + 60)
            start = starts(path)[member.filename]
            found += range(start, start + min(member.file_size, 500))
        found += range(archive.start_dir, len(content))
    return found


def mutate(content: bytes, places: list[int], rng: random.Random) -> bytes:
    at, length = rng.choice(places), rng.choice([1, 2, 4, 8, 100])
    noise = rng.choice([rng.randbytes(length), b"\xff" * length, b"\0" * length])
    return rng.choice(
        [
            content[:at] + noise + content[at + length :],
            content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :],
            content[:at],
            content[:at] + content[at + length :],
            content[:at] + noise + content[at:],
        ]
    )


def test_damage_is_reported_or_harmless(packed: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    content, places = packed.read_bytes(), interesting(packed)
    wanted = contents(open_bundle(packed))
    manifest = open_bundle(packed).manifest
    path = tmp_path / "model.albert"
    refused = 0
    for _ in range(300):
        path.write_bytes(mutate(content, places, rng))
        try:
            opened = open_bundle(path)
            assert contents(opened) == wanted
            assert opened.manifest == manifest
        except BundleError as error:
            assert str(path) in str(error)
            refused += 1
    assert 150 < refused < 300  # flags of no importance, such as times, may be changed


# --- what reading survives ------------------------------------------------------------------


def test_a_file_that_is_replaced_or_removed_stays_as_it_was_opened(
    packed: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.albert"
    shutil.copy(packed, path)
    opened = open_bundle(path)
    wanted = contents(open_bundle(packed))
    albert_edge.pack(KEPT, path, variants=["model"], force=True)
    assert contents(opened) == wanted
    assert len(open_bundle(path).manifest.variants) == 1
    path.unlink()
    assert contents(opened) == wanted


def test_a_file_that_is_cut_off_meanwhile_is_an_error(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.albert"
    shutil.copy(packed, path)
    opened = open_bundle(path)
    os.truncate(path, 5000)
    for act in (opened.check_all, lambda: albert_edge.Session(opened, device="cpu")):
        with pytest.raises(BundleError, match=r"cut off|cannot be read"):
            act()


@pytest.mark.parametrize("system", ["as it is", "without pread"])
def test_many_threads_read_at_once(
    packed: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    if system == "without pread":  # such as Windows
        monkeypatch.delattr(os, "pread", raising=False)
    opened, wanted = open_bundle(packed), contents(open_bundle(KEPT))
    wrong: list[str] = []

    def read_all() -> None:
        for _ in range(20):
            found = contents(opened)
            wrong.extend(name for name in wanted if found[name] != wanted[name])

    threads = [threading.Thread(target=read_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def digests(bundle: Bundle) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in contents(bundle).items()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_parent_and_child_read_after_a_fork(packed: Path) -> None:
    opened = open_bundle(packed)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(digests(opened)))
    child.start()
    ours = digests(opened)
    assert queue.get() == ours == digests(open_bundle(KEPT))
    child.join(60)


def test_another_process_opens_it_again(packed: Path) -> None:
    sent = pickle.loads(pickle.dumps(open_bundle(packed)))
    assert contents(sent) == contents(open_bundle(KEPT))


def test_read_only_media(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / "media" / "model.albert"
    path.parent.mkdir()
    shutil.copy(packed, path)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        answers = albert_edge.pipeline(model=path, device="cpu")(list(TEXTS))
    finally:
        path.parent.chmod(0o755)
    assert answers == albert_edge.pipeline(model=KEPT, device="cpu")(list(TEXTS))


def test_no_file_is_left_open(packed: Path) -> None:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("needs /proc")

    def opened() -> int:
        return [os.readlink(path) for path in folder.iterdir() if path.exists()].count(str(packed))

    before = opened()
    bundle = open_bundle(packed)
    contents(bundle)
    assert opened() == before + 1
    del bundle
    assert opened() == before
