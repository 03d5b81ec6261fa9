"""External data of a stranger: only the files that the manifest lists, and no link, are read."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from support.authored import SHALLOW, Case, config
from support.hostile import Row, failures, how_many, judge
from support.paths import DATA

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.errors import BundleError
from albert_edge.graph.plan import Plan
from albert_edge.onnx_format.reader import read_onnx
from albert_edge.runtime.session import Session

CASE = Case("text-classification", Plan(), config(**SHALLOW))
MODEL, DATA_FILE = "onnx/model.onnx", "onnx/model.onnx_data"
TEXT = {"input_ids": np.arange(2, 10)[None]}
PLANTED = 12345.0
KEPT = DATA / "bundles" / "schema2"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose one model has external data."""
    folder = tmp_path_factory.mktemp("external") / "bundle"
    (folder / "onnx").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("albert_edge.graph.writer.LARGEST_MESSAGE", 1000)
        CASE.write(folder / MODEL)
    settings = json.loads((KEPT / "config.json").read_text())
    sizes = {name: getattr(CASE.config, name) for name in CASE.config.geometry}
    (folder / "config.json").write_text(json.dumps({**settings, **sizes}))
    fields = json.loads((KEPT / "albert_edge.json").read_text())
    (variant,) = (one for one in fields["variants"] if one["name"] == "model")
    fields |= {"variants": [variant], "files": [_record(folder, "config.json")]}
    (folder / "albert_edge.json").write_text(json.dumps(fields))
    _seal(folder)
    return folder


def _record(folder: Path, file: str) -> dict[str, Any]:
    content = (folder / file).read_bytes()
    return {"file": file, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _seal(folder: Path) -> None:
    """Let the hashes match, as a stranger would."""
    path = folder / "albert_edge.json"
    fields = json.loads(path.read_text())
    files = [MODEL, DATA_FILE]
    fields["variants"][0]["files"] = {"model": [_record(folder, file) for file in files]}
    path.write_text(json.dumps(fields))


def run(folder: Path) -> Any:
    return Session(folder, device="cpu", threads=1).run(TEXT)["logits"]


def test_unchanged_data_is_read(bundle: Path, tmp_path: Path, monkeypatch: Any) -> None:
    expected = run(bundle)
    monkeypatch.chdir(tmp_path)  # where a file of that name is not looked for
    (tmp_path / "model.onnx_data").write_bytes(b"\0" * 2**20)
    np.testing.assert_array_equal(run(bundle), expected)
    albert_edge.pack(bundle, tmp_path / "packed.albert")
    np.testing.assert_array_equal(run(tmp_path / "packed.albert"), expected)


# --- references -----------------------------------------------------------------------------

Entry = dict[str, str]


def _locations(folder: Path) -> list[str]:
    outside = folder.parent / "planted"
    return [
        *("planted", "./model.onnx_data", "../bundle/onnx/model.onnx_data", "../../planted"),
        *(str(outside), f"file://{outside}", "linked", "hard", "model.onnx", "model.onnx_data\0x"),
        *("MODEL.ONNX_DATA", "model.onnx_data/", "", ".", "..", "/dev/zero", "config.json", "*"),
        *("onnx/model.onnx_data", "model.onnx_data ", "C:model.onnx_data", "a\\model.onnx_data"),
    ]


def change_reference(folder: Path, number: int) -> None:
    """Change where one tensor, or all, are said to be."""
    rng = random.Random(number)
    model = onnx.load_from_string((folder / MODEL).read_bytes())
    tensors = [one for one in model.graph.initializer if one.external_data]
    for tensor in [rng.choice(tensors)] if rng.random() < 0.8 else tensors:
        place = {entry.key: entry.value for entry in tensor.external_data}
        size = (folder / DATA_FILE).stat().st_size
        match rng.randrange(7):
            case 0 | 1 | 2:
                place["location"] = rng.choice(_locations(folder))
            case 3:
                offsets = [size, size - 1, -1, 2**63, 2**64, "0x10", "1e3", " 0", "", "٣", "+1"]
                place["offset"] = str(rng.choice(offsets))
            case 4:
                place["length"] = str(rng.choice([0, 1, size, size + 1, -4, 2**63, 2**65, "", "x"]))
            case 5:
                place[rng.choice(["checksum", "basepath", "Location", "prepacked"])] = "planted"
            case _:
                del place[rng.choice([*place])]
        tensor.ClearField("external_data")
        for key, value in place.items():
            for _ in range(rng.choice([1, 1, 1, 2])):
                tensor.external_data.add(key=key, value=value)
        if rng.random() < 0.1:
            tensor.data_location = rng.choice([TensorProto.DEFAULT, TensorProto.EXTERNAL])
        if rng.random() < 0.1:
            tensor.raw_data = b"\0" * 4
    (folder / MODEL).write_bytes(model.SerializeToString())


def _plant(folder: Path) -> None:
    """Files that nobody listed, of a number that would show in the answers."""
    content = np.full((folder / DATA_FILE).stat().st_size // 4, PLANTED, np.float32).tobytes()
    for path in folder.parent / "planted", folder / "onnx/planted", Path("planted"):
        path.write_bytes(content)
    (folder / "onnx/linked").symlink_to(folder.parent / "planted")
    os.link(folder.parent / "planted", folder / "onnx/hard")


def test_other_references_are_refused(
    bundle: Path, tmp_path: Path, monkeypatch: Any, report: Callable[[Row], None]
) -> None:
    expected = run(bundle)
    monkeypatch.chdir(tmp_path)

    def decide(number: int) -> bool:
        folder = tmp_path / "bundle"
        shutil.rmtree(folder, ignore_errors=True)
        (tmp_path / "planted").unlink(missing_ok=True)
        shutil.copytree(bundle, folder)
        _plant(folder)
        change_reference(folder, number)
        _seal(folder)
        logits = run(folder)
        read_onnx(open_bundle(folder).model_file(open_bundle(folder).variant("model")))
        return bool(np.array_equal(logits, expected))

    verdicts = judge(decide, [(str(n), n) for n in range(how_many(100, 1000))], mib=64)
    # One that is accepted says the same as before.
    wrong = [one for one in verdicts if one.outcome == "accepted" and not one.value]
    row = Row.of("External data is read from the listed file only", verdicts)
    broken = [*failures(verdicts), *wrong]
    report(Row(row.promise, row.cases, len(broken), row.worst_seconds, row.worst_mib))
    assert not broken
    assert sum(one.outcome == "refused" for one in verdicts) > 0.8 * len(verdicts)


@pytest.mark.parametrize("kind", ["symbolic", "hard", "folder", "pipe", "missing"])
def test_listed_data_that_is_a_link_is_refused(kind: str, bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    data, other = folder / DATA_FILE, tmp_path / "other"
    shutil.move(data, other)
    match kind:
        case "symbolic":
            data.symlink_to(other)
        case "hard":
            os.link(other, data)
        case "folder":
            data.mkdir()
        case "pipe":
            os.mkfifo(data)
    with pytest.raises(BundleError, match=r"model\.onnx_data") as caught:
        run(folder)
    assert caught.value.tip
    with pytest.raises(BundleError, match=r"model\.onnx_data"):
        opened = open_bundle(folder)
        read_onnx(opened.model_file(opened.variant("model")))


# --- what is checked is what is loaded ------------------------------------------------------


def test_a_file_that_changes_while_it_is_loaded(
    bundle: Path, tmp_path: Path, report: Callable[[Row], None]
) -> None:
    """Another process rewrites or replaces the files in a loop: each answer is the checked one."""
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    expected = run(folder)
    good = {file: (folder / file).read_bytes() for file in (MODEL, DATA_FILE)}
    floats = np.frombuffer(good[DATA_FILE], np.float32)
    bad = {MODEL: good[MODEL], DATA_FILE: np.where(floats, floats * 2, floats).tobytes()}
    ended = threading.Event()

    def disturb() -> None:
        turn = 0
        while not ended.is_set():
            turn += 1
            content = bad if turn % 2 else good
            for file in (MODEL, DATA_FILE):
                if turn % 3:
                    (folder / file).write_bytes(content[file])  # in place
                else:
                    (tmp_path / "next").write_bytes(content[file])
                    os.replace(tmp_path / "next", folder / file)

    thread = threading.Thread(target=disturb)
    thread.start()
    other, loaded, refused = 0, 0, 0
    try:
        for _ in range(how_many(60, 1000)):
            try:
                other += not np.array_equal(run(folder), expected)
                loaded += 1
            except BundleError:
                refused += 1
    finally:
        ended.set()
        thread.join()
    report(Row("What was hashed is what is loaded", loaded + refused, other))
    assert other == 0
    assert refused
    np.testing.assert_array_equal(_restored(folder, good), expected)


def _restored(folder: Path, files: dict[str, bytes]) -> Any:
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return run(folder)


def test_verify_reports_a_graph_that_no_exporter_writes(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    assert albert_edge.verify(folder).files == 3
    model = onnx.load_from_string((folder / MODEL).read_bytes())
    model.graph.node[0].op_type = "ImageDecoder"
    (folder / MODEL).write_bytes(model.SerializeToString())
    _seal(folder)
    with pytest.raises(BundleError, match="ImageDecoder"):
        albert_edge.verify(folder)
