"""Checkpoints that transformers' TensorFlow and Flax classes wrote (tests/data/keras, flax)."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np
import pytest
from support.checkpoints import MODEL_CLASSES
from support.paths import DATA

import albert_edge
from albert_edge.check.parity import TOLERANCE
from albert_edge.checkpoint.formats import read_headers
from albert_edge.errors import CheckpointError, MissingExtraError

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
FILES = {"keras": "tf_model.h5", "flax": "flax_model.msgpack"}
PACKAGES = {"keras": "h5py", "flax": "msgpack"}


@pytest.fixture(scope="module", params=FILES)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def answers(framework: str) -> dict[str, Any]:
    """What the framework computed."""
    with np.load(DATA / framework / "answers.npz") as arrays:
        return dict(arrays)


def assert_answers(bundle: Path, head: str, answers: dict[str, Any]) -> None:
    inputs = {name: answers[name] for name in INPUTS}
    if head == "multiple-choice":
        inputs = {name: values[:, None] for name, values in inputs.items()}
    with albert_edge.Session(bundle) as session:
        outputs = session.run(inputs)
    real = answers["attention_mask"].astype(bool)
    for name, values in outputs.items():
        expected = answers[f"{head}/{name}"]
        assert values.shape == expected.shape
        if values.shape[:2] == real.shape:
            values, expected = values[real], expected[real]
        np.testing.assert_allclose(values, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.reference
@pytest.mark.parametrize("head", MODEL_CLASSES)
def test_answers_are_those_of_the_framework(
    head: str, framework: str, answers: dict[str, Any], tmp_path: Path
) -> None:
    """And of transformers on the same weights, which `verify` compares."""
    report = albert_edge.export(DATA / framework / head, tmp_path / "out", task=head, verify=True)
    assert {name.split(".")[1] for name in report.unused} <= {"pooler"}
    assert_answers(tmp_path / "out", head, answers)


def test_shards(framework: str, answers: dict[str, Any], tmp_path: Path) -> None:
    albert_edge.export(DATA / framework / "sharded", tmp_path / "out", task="fill-mask")
    assert_answers(tmp_path / "out", "fill-mask", answers)


def test_checkpoint_of_tensorflow_2(tmp_path: Path) -> None:
    """Its keys are a graph of objects, which names the variables."""
    albert_edge.export(DATA / "keras" / "checkpoint", tmp_path / "out", task="fill-mask")
    with np.load(DATA / "keras" / "answers.npz") as arrays:
        assert_answers(tmp_path / "out", "fill-mask", dict(arrays))


@pytest.fixture
def weights(framework: str, tmp_path: Path) -> Path:
    """The weights in a copy of a checkpoint, to be damaged."""
    folder = shutil.copytree(DATA / framework / "fill-mask", tmp_path / "checkpoint")
    return Path(folder) / FILES[framework]


def test_the_extra_is_named(
    framework: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[framework], None)
    with pytest.raises(MissingExtraError, match=PACKAGES[framework]) as caught:
        albert_edge.export(weights.parent, tmp_path / "out")
    assert "albert-edge[formats]" in caught.value.tip


@pytest.mark.parametrize(
    "content", [b"", b"<html>404</html>", b"\x89HDF\r\n\x1a\n", b"\xc1", b"\x80"]
)
def test_something_else(content: bytes, weights: Path, tmp_path: Path) -> None:
    weights.write_bytes(content)
    with pytest.raises(CheckpointError):
        albert_edge.export(weights.parent, tmp_path / "out", task="fill-mask")
    assert not (tmp_path / "out").exists()


def test_truncated_files_are_noticed(weights: Path) -> None:
    content = weights.read_bytes()
    for length in range(0, len(content) - 1, len(content) // 20):
        weights.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=f"{weights.name} is damaged"):
            [tensor.read() for tensor in read_headers(weights.parent)]


def test_flipped_bits_do_no_harm(weights: Path) -> None:
    """These formats have no checksums of values; what is noticed is our error."""
    content = weights.read_bytes()
    random = np.random.default_rng(0)
    for at in random.permutation(len(content))[:40]:
        flipped = bytes([content[at] ^ 1 << random.integers(8)])
        weights.write_bytes(content[:at] + flipped + content[at + 1 :])
        with contextlib.suppress(CheckpointError):
            [tensor.read() for tensor in read_headers(weights.parent)]


def array(shape: Any, values: bytes, name: str = "float32", kind: int = 1) -> msgpack.ExtType:
    return msgpack.ExtType(kind, msgpack.packb((shape, name, values)))


def test_bfloat16(tmp_path: Path) -> None:
    """The upper half of float32: 1, -2 and 0.5."""
    values = bytes.fromhex("803f 00c0 003f")
    tree = {"albert": {"pooler": {"bias": array((3,), values, "bfloat16")}}}
    (tmp_path / "flax_model.msgpack").write_bytes(msgpack.packb(tree))
    (tensor,) = read_headers(tmp_path)
    assert (tensor.name, tensor.dtype) == ("albert.pooler.bias", "BF16")
    assert tensor.read().astype("f4").tolist() == [1, -2, 0.5]


@pytest.mark.parametrize(
    "tree",
    [
        pytest.param(array((1,), bytes(4)), id="no-name"),
        pytest.param({"a": 1}, id="a-number"),
        pytest.param({"a": [array((1,), bytes(4))]}, id="a-list"),
        pytest.param({"a": array((2,), bytes(4))}, id="shape-of-more"),
        pytest.param({"a": array((2**40, 2**40), bytes(4))}, id="shape-of-2**80"),
        pytest.param({"a": array((-1,), bytes(4))}, id="negative"),
        pytest.param({"a": array(("x",), bytes(4))}, id="shape-of-texts"),
        pytest.param({"a": array((1,), bytes(3))}, id="three-bytes"),
        pytest.param({"a": array((1,), bytes(8), "object")}, id="objects"),
        pytest.param({"a": array((1,), bytes(4), "O")}, id="pointers"),
        pytest.param({"a": array((1,), bytes(4), kind=2)}, id="complex"),
        pytest.param({"a": msgpack.ExtType(1, b"\xc1")}, id="not-an-array"),
    ],
)
def test_hostile_msgpack(tree: Any, tmp_path: Path) -> None:
    (tmp_path / "flax_model.msgpack").write_bytes(msgpack.packb(tree))
    with pytest.raises(CheckpointError, match="damaged"):
        read_headers(tmp_path)


def test_deep_msgpack(tmp_path: Path) -> None:
    (tmp_path / "flax_model.msgpack").write_bytes(b"\x81\xa1a" * 100_000)
    with pytest.raises(CheckpointError, match="damaged"):
        read_headers(tmp_path)


def external(file: h5py.File, secret: Path) -> None:
    file.create_dataset("a/b/c", (4,), "f4", external=[(str(secret), 0, 16)])


def virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "values", (4,))
    file.create_virtual_dataset("a/b/c", layout)


def vast(file: h5py.File, secret: Path) -> None:
    file.create_dataset("a/b/c", (2**40,), "f4", chunks=(1024,), compression="gzip")


@pytest.mark.parametrize("hostile", [external, virtual, vast])
def test_values_that_are_not_in_the_file(
    hostile: Callable[[h5py.File, Path], None], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        hostile(file, tmp_path / "secret")
    started = time.monotonic()
    with pytest.raises(CheckpointError, match="are not in it"):
        read_headers(tmp_path)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("file", ["elsewhere.h5", "missing.h5"])
def test_links_are_not_followed(file: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "elsewhere.h5", "w") as elsewhere:
        elsewhere["a/b/c"] = np.ones(3, "f4")
    with h5py.File(tmp_path / "tf_model.h5", "w") as weights:
        weights["a"] = h5py.ExternalLink(file, "/a")
    assert read_headers(tmp_path) == []
