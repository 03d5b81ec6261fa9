"""Checkpoints that TensorFlow wrote (tests/data/tensorflow), and damaged and hostile ones."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from sentencepiece import sentencepiece_model_pb2
from support.paths import DATA

import albert_edge
from albert_edge.check.parity import TOLERANCE
from albert_edge.checkpoint.formats import read_headers
from albert_edge.errors import (
    AlbertEdgeError,
    CheckpointError,
    ConfigError,
    MissingExtraError,
    UsageError,
)
from albert_edge.onnx_format.wire_format import content_field, number_field

FIXTURES = DATA / "tensorflow"
HEADS = {
    "google": "pretraining",
    "hub": "feature-extraction",
    "classifier": "text-classification",
    "squad1": "question-answering",
    "brightmart": "pretraining",
    "saved-model": "feature-extraction",
}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """What TensorFlow computed."""
    with np.load(FIXTURES / "answers.npz") as arrays:
        return dict(arrays)


@pytest.mark.reference
@pytest.mark.parametrize("program", HEADS)
def test_answers_are_those_of_tensorflow(
    program: str, answers: dict[str, Any], tmp_path: Path
) -> None:
    """And of transformers on the same weights, which `verify` compares."""
    report = albert_edge.export(FIXTURES / program, tmp_path / "out", verify=True)
    assert report.head == HEADS[program]
    assert {name.split(".")[1] for name in report.unused} <= {"pooler"}
    arrays = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"}
    with albert_edge.Session(tmp_path / "out") as session:
        outputs = session.run({name: answers[array] for name, array in arrays.items()})
    real = answers["mask"].astype(bool)
    for name, values in outputs.items():
        expected = answers[f"{program}/{name}"]
        if values.shape[:2] == real.shape:
            values, expected = values[real], expected[real]
        np.testing.assert_allclose(values, expected, rtol=0, atol=TOLERANCE)


def copied(program: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / program, tmp_path / program))


def refused(folder: Path, error: type[AlbertEdgeError], **options: Any) -> AlbertEdgeError:
    with pytest.raises(error) as caught:
        albert_edge.export(folder, folder.parent / "out", **options)
    assert caught.value.tip
    shown = f"{caught.value} {caught.value.where}"
    assert "albert-edge-" not in shown, "a temporary folder"
    assert not (folder.parent / "out").exists()
    return caught.value


def test_beam_search_head_is_refused(tmp_path: Path) -> None:
    error = refused(copied("squad2", tmp_path), CheckpointError)
    assert "answer_class/dense_0/kernel" in str(error)
    assert "beam search" in str(error)


def test_a_head_that_was_not_trained(tmp_path: Path) -> None:
    folder = copied("google", tmp_path)
    error = refused(folder, CheckpointError, task="question-answering")
    assert f"{folder}: tensor qa_outputs" in str(error)


def test_a_configuration_of_another_model(tmp_path: Path) -> None:
    folder = copied("google", tmp_path)
    path = folder / "albert_config.json"
    config = json.loads(path.read_text("utf-8")) | {"intermediate_size": 24}
    path.write_text(json.dumps(config), encoding="utf-8")
    error = refused(folder, CheckpointError)
    assert str(error).startswith("model.ckpt-best.index: tensor albert.encoder")


def test_the_best_of_several(tmp_path: Path) -> None:
    folder = copied("google", tmp_path)
    for path in (FIXTURES / "classifier").glob("model.ckpt-10.*"):
        shutil.copy(path, folder)
    assert albert_edge.export(folder, tmp_path / "out").head == "pretraining"
    for path in folder.glob("model.ckpt-best*"):
        path.rename(path.with_name(path.name.replace("best", "20")))
    shutil.rmtree(tmp_path / "out")
    assert "model.ckpt-10.index, model.ckpt-20.index" in str(refused(folder, CheckpointError))


def test_safetensors_come_first(tmp_path: Path, checkpoint: Callable[..., Path]) -> None:
    folder = checkpoint("fill-mask")
    shutil.copytree(FIXTURES / "classifier", folder, dirs_exist_ok=True)
    assert albert_edge.export(folder, tmp_path / "out").head == "fill-mask"


def test_one_class_is_a_regression_or_a_choice(answers: dict[str, Any], tmp_path: Path) -> None:
    """STS-B's classifier has the names and shapes of RACE's, so the user decides."""
    folder = copied("race", tmp_path)
    error = refused(folder, UsageError)
    assert "multiple-choice" in str(error)
    assert error.where == str(folder)
    albert_edge.export(folder, tmp_path / "out", task="multiple-choice")
    arrays = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"}
    with albert_edge.Session(tmp_path / "out") as session:
        outputs = session.run({name: answers[array][None] for name, array in arrays.items()})
    np.testing.assert_allclose(outputs["logits"], answers["race/logits"], rtol=0, atol=TOLERANCE)
    report = albert_edge.export(folder, tmp_path / "regression", task="text-classification")
    assert json.loads((report.bundle / "config.json").read_text("utf-8"))["id2label"] == {
        "0": "LABEL_0"
    }


def test_config_json_comes_first(tmp_path: Path) -> None:
    """Whoever wrote one means transformers' names of activations."""
    folder = copied("classifier", tmp_path)
    config = json.loads((folder / "albert_config.json").read_text("utf-8"))
    (folder / "config.json").write_text(
        json.dumps(config | {"num_labels": 3, "model_type": "albert"}), encoding="utf-8"
    )
    albert_edge.export(folder, tmp_path / "out", task="text-classification")
    written = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert written["hidden_act"] == "gelu"


@pytest.mark.parametrize(
    ("fields", "named"), [({}, "ln_type is missing"), ({"ln_type": "preln"}, "normalizes after")]
)
def test_xlarge_of_brightmart(fields: dict[str, str], named: str, tmp_path: Path) -> None:
    folder = copied("brightmart", tmp_path)
    path = folder / "albert_config_tiny.json"
    config = json.loads(path.read_text("utf-8")) | {"hidden_size": 2048, "num_attention_heads": 32}
    del config["ln_type"]
    path.write_text(json.dumps(config | fields), encoding="utf-8")
    assert named in str(refused(folder, ConfigError))


def test_no_configuration(tmp_path: Path) -> None:
    folder = copied("google", tmp_path)
    (folder / "albert_config.json").unlink()
    assert "albert_config.json" in str(refused(folder, ConfigError))


def test_tokenizer_under_its_original_name(tmp_path: Path) -> None:
    folder = copied("hub", tmp_path)
    path = folder / "assets" / "30k-clean.model"
    real = (DATA / "tokenizers" / "spiece.model").read_bytes()
    path.write_bytes(real)
    assert "at most 40 pieces" in str(refused(folder, CheckpointError))
    model = sentencepiece_model_pb2.ModelProto.FromString(real)
    del model.pieces[40:]  # as many as the model has embeddings
    path.write_bytes(model.SerializeToString())
    assert albert_edge.export(folder, tmp_path / "out").tokenizer


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    error = refused(copied("google", tmp_path), MissingExtraError)
    assert "albert-edge[formats]" in error.tip


# Damaged and hostile files: an error, or what the whole file holds


INDEX, DATA_FILE = "albert_model.ckpt.index", "albert_model.ckpt.data-00000-of-00001"


def tensors_of(folder: Path) -> dict[str, bytes]:
    return {tensor.name: tensor.read().tobytes() for tensor in read_headers(folder)}


@pytest.fixture(scope="module")
def whole() -> dict[str, bytes]:
    return tensors_of(FIXTURES / "brightmart")


@pytest.mark.parametrize("file", [INDEX, DATA_FILE])
def test_flipped_bits_are_noticed(file: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    path = copied("brightmart", tmp_path) / file
    content = path.read_bytes()
    random = np.random.default_rng(0)
    noticed = 0
    for at in random.permutation(len(content))[:300]:
        path.write_bytes(
            content[:at] + bytes([content[at] ^ 1 << random.integers(8)]) + content[at + 1 :]
        )
        try:
            assert tensors_of(path.parent) == whole
        except CheckpointError:
            noticed += 1
    assert noticed > 250  # the rest is a state of the optimizer, or says nothing


@pytest.mark.parametrize("file", [INDEX, DATA_FILE])
def test_truncated_files_are_noticed(file: str, tmp_path: Path) -> None:
    path = copied("brightmart", tmp_path) / file
    content = path.read_bytes()
    for length in {0, 1, 47, 48, *range(0, len(content), 97)}:
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="damaged"):
            tensors_of(path.parent)


def test_missing_data_file(tmp_path: Path) -> None:
    folder = copied("brightmart", tmp_path)
    (folder / DATA_FILE).unlink()
    assert f"{DATA_FILE} is missing" in str(refused(folder, CheckpointError))


def block(*entries: tuple[bytes, bytes], kind: int = 0) -> bytes:
    """A block of a table of LevelDB with its trailer; keys are written whole."""
    content = b"".join(
        varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries
    )
    content += bytes(4) + (1).to_bytes(4, "little") + bytes([kind])
    return content + masked(content).to_bytes(4, "little")


def masked(content: bytes) -> int:
    checksum = int(google_crc32c.value(content))
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) % 2**32


def varint(value: int) -> bytes:
    return number_field(1, value)[1:]


def table(*blocks: bytes, handles: list[tuple[int, int]] | None = None) -> bytes:
    """A table of blocks, which may claim to be elsewhere."""
    content, found = b"", []
    for each in blocks:
        found.append((len(content), len(each) - 5))
        content += each
    index = block(*((bytes([at]), handle(*each)) for at, each in enumerate(handles or found)))
    footer = handle(0, 0) + handle(len(content), len(index) - 5)
    return content + index + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def handle(start: int, size: int) -> bytes:
    return varint(start) + varint(size)


HEADER = (b"", number_field(1, 1))


def entry(name: bytes = b"output_bias", **fields: Any) -> tuple[bytes, bytes]:
    """A variable of two floats, with other fields if given."""
    facts: dict[str, Any] = {"type": 1, "shape": (2,), "shard": 0, "offset": 0, "size": 8} | fields
    sizes = b"".join(content_field(2, number_field(1, size)) for size in facts["shape"])
    message = number_field(1, facts["type"]) + content_field(2, sizes)
    for field, fact in ((3, "shard"), (4, "offset"), (5, "size")):
        message += number_field(field, facts[fact])
    message += b"\x35" + masked(bytes(8)).to_bytes(4, "little")
    return name, message + facts.get("more", b"")


MANY = [entry(b"a%06d" % at) for at in range(2_000)]


@pytest.mark.parametrize(
    "index",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>404</html>" * 9, id="web-page"),
        pytest.param(table(block()), id="no-entries"),
        pytest.param(table(block(entry())), id="no-header"),
        pytest.param(table(block((b"", b"\x08"))), id="header-cut-short"),
        pytest.param(table(block((b"", number_field(2, 1)))), id="big-endian"),
        pytest.param(table(block(HEADER, entry(), kind=1)), id="snappy"),
        pytest.param(table(block(HEADER, entry(shard=1))), id="shard-beyond"),
        pytest.param(table(block(HEADER, entry(shard=2**31))), id="shard-of-2**31"),
        pytest.param(table(block(HEADER, entry(offset=1))), id="beyond-the-data"),
        pytest.param(table(block(HEADER, entry(offset=2**63))), id="offset-of-2**63"),
        pytest.param(table(block(HEADER, entry(size=2**62))), id="size-of-2**62"),
        pytest.param(table(block(HEADER, entry(shape=(2**31, 2**31)))), id="shape-of-2**62"),
        pytest.param(table(block(HEADER, entry(shape=(2**64 - 1,)))), id="unknown-size"),
        pytest.param(table(block(HEADER, entry(shape=(3,)))), id="shape-of-more"),
        pytest.param(table(block(HEADER, entry(more=content_field(7, b"")))), id="partitioned"),
        pytest.param(table(block(HEADER, (b"\xff\xfe", entry()[1]))), id="name-not-utf-8"),
        pytest.param(table(block(HEADER, (b"a" * 5_000, entry()[1]))), id="name-of-5000"),
        pytest.param(table(block(HEADER), handles=[(2**40, 8)]), id="block-beyond"),
        pytest.param(table(block(HEADER), handles=[(0, 2**63)]), id="block-of-2**63"),
        pytest.param(table(block(HEADER), handles=[(0, 3)]), id="block-too-short"),
        pytest.param(
            table(block(HEADER, *MANY), handles=[(0, len(block(HEADER, *MANY)) - 5)] * 200),
            id="a-block-200-times",
        ),
    ],
)
def test_hostile_index(index: bytes, tmp_path: Path) -> None:
    folder = copied("classifier", tmp_path)
    for path in folder.glob("model.*"):
        path.unlink()
    (folder / "model.ckpt.index").write_bytes(index)
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(bytes(8))
    started = time.monotonic()
    assert "model.ckpt.index is damaged" in str(refused(folder, CheckpointError))
    assert time.monotonic() - started < 2


def test_the_index_that_hostile_ones_are_made_from_is_read(tmp_path: Path) -> None:
    """So that those are refused for their fault."""
    (tmp_path / "model.ckpt.index").write_bytes(table(block(HEADER), block(entry())))
    (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(bytes(8))
    assert tensors_of(tmp_path) == {"classifier.bias": bytes(8)}


@pytest.mark.parametrize("words", [(), (8,), (2, 2, 2)])
@pytest.mark.parametrize("query", [(), (8,), (2, 2, 2)])
def test_shapes_of_no_matrix(
    words: tuple[int, ...], query: tuple[int, ...], tmp_path: Path
) -> None:
    folder = copied("brightmart", tmp_path)
    for path in folder.glob("albert_model.*"):
        path.unlink()
    layer = b"bert/encoder/layer_shared/attention/self/query/kernel"
    rows = [
        entry(name, shape=shape, size=4 * int(np.prod(shape)))
        for name, shape in (
            (b"bert/embeddings/word_embeddings", words),
            (b"bert/embeddings/word_embeddings_2", (8, 12)),
            (layer, query),
            (b"output_bias", words),
        )
    ]
    (folder / "model.ckpt.index").write_bytes(table(block(HEADER, *rows)))
    data = bytes(384)
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(data)
    refused(folder, CheckpointError, task="fill-mask")


@pytest.mark.parametrize("factor", [(8, 11), (7, 12), (8,)])
def test_factors_without_a_product(factor: tuple[int, ...], tmp_path: Path) -> None:
    size = 4 * int(np.prod(factor))
    layer = b"bert/encoder/layer_shared/attention/self/query/kernel"
    rows = [
        entry(b"bert/embeddings/word_embeddings", shape=(40, 8), size=1280),
        entry(b"bert/embeddings/word_embeddings_2", shape=factor, size=size),
        entry(layer, shape=(12, 12), size=576),
    ]
    (tmp_path / "model.ckpt.index").write_bytes(table(block(HEADER, *rows)))
    (tmp_path / "model.ckpt.data-00000-of-00001").write_bytes(bytes(1280))
    with pytest.raises(CheckpointError, match="word_embeddings_2"):
        read_headers(tmp_path)
