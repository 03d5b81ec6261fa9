"""`albert-edge verify`: changed files, and answers of another checkpoint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file
from support.command_line import SHIPPED, Cli, assert_error, contents
from support.stored_answers import change_stored_answers

import albert_edge
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.errors import MissingExtraError
from albert_edge.inspection import verify as verify_module


def test_verify_counts_what_the_manifest_lists(cli: Cli, langid: Path) -> None:
    files = set(contents(langid)) - {MANIFEST}
    done = cli("verify", langid)
    assert done.code == 0
    assert done.out == f"{len(files)} files match the manifest.\n"
    document = json.loads(cli("verify", langid, "--json").out)
    assert (document["schema_version"], document["files"]) == (1, len(files))


def test_verify_compares_answers_with_the_stored_ones(cli: Cli, langid: Path, own: Path) -> None:
    done = cli("verify", langid)
    lines = done.err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["model", "model_optimized"]
    assert all("largest difference from its stored answers 0.0e+00." in line for line in lines)
    answers = json.loads(cli("verify", langid, "--json").out)["answers"]
    same = {"difference": 0.0, "tolerance": 1e-4}
    assert answers == {"model": same, "model_optimized": same}

    def change(stored: Any) -> None:
        stored["outputs"]["model_optimized"][2]["logits"][0][1] += 0.1

    change_stored_answers(own, change)
    done = cli("verify", own)
    assert_error(done, 3, str(own), "model_optimized differs by 0.0", "Update onnxruntime")
    assert "model differs" not in done.err
    assert done.out == ""


def test_verify_says_where_nothing_is_stored(cli: Cli, tmp_path: Path) -> None:
    albert_edge.export(SHIPPED, tmp_path / "bundle")
    done = cli("verify", tmp_path / "bundle")
    assert done.err == "model: answers not checked. The bundle has none stored for it.\n"
    document = json.loads(cli("verify", tmp_path / "bundle", "--json").out)
    assert (document["answers"], set(document["unanswered"])) == ({}, {"model"})


def test_verify_without_onnxruntime_checks_the_files(
    cli: Cli, langid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*args: object, **options: object) -> None:
        raise MissingExtraError("onnxruntime", extra="cpu", purpose="Running a model")

    monkeypatch.setattr(verify_module, "Session", missing)
    done = cli("verify", langid)
    assert done.code == 0
    assert done.err.count("answers not checked. Running a model needs onnxruntime") == 2


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "onnx/model_optimized.onnx"])
def test_verify_names_a_changed_file(file: str, cli: Cli, own: Path) -> None:
    content = bytearray((own / file).read_bytes())
    content[len(content) // 2] ^= 1
    (own / file).write_bytes(content)
    done = cli("verify", own)
    assert_error(done, 1, str(own / file))
    assert done.out == ""


def test_verify_names_a_missing_file(cli: Cli, own: Path) -> None:
    (own / "onnx/model.onnx").unlink()
    assert_error(cli("verify", own), 1, str(own / "onnx/model.onnx"))


def test_verify_ignores_a_file_the_manifest_does_not_list(cli: Cli, own: Path) -> None:
    (own / "onnx/model_quantized.onnx").write_bytes(b"not ours")
    assert cli("verify", own).code == 0


def test_verify_against_the_right_checkpoint(cli: Cli, langid: Path) -> None:
    done = cli("verify", langid, "--against", "langid-tiny", "--json")
    differences = json.loads(done.out)["differences"]
    assert (done.code, set(differences)) == (0, {"model", "model_optimized"})
    assert all(0 <= difference <= 1e-4 for difference in differences.values())


@pytest.mark.parametrize("changed", ["classifier.bias", "albert.embeddings.LayerNorm.weight"])
def test_verify_against_a_checkpoint_trained_further(
    changed: str, cli: Cli, langid: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(SHIPPED, tmp_path / "other"))
    tensors = load_file(other / "model.safetensors")
    tensors[changed] = tensors[changed] + 0.01
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    done = cli("verify", langid, "--against", other)
    assert_error(done, 3, str(other))
    assert done.out == ""


@pytest.mark.parametrize(
    "geometry",
    [{}, {"vocab_size": 4000, "num_labels": 3}, {"vocab_size": 4000, "num_labels": 1}],
    ids=["vocabulary", "labels", "regression"],
)
def test_verify_against_a_checkpoint_of_another_shape(
    geometry: dict[str, int], cli: Cli, langid: Path, checkpoint: Callable[..., Path]
) -> None:
    other = checkpoint("text-classification", **geometry)
    assert_error(cli("verify", langid, "--against", other), 3, str(other))
