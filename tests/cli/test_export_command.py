"""`albert-edge export`: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.command_line import (
    SHIPPED,
    Cli,
    assert_error,
    contents,
)

from albert_edge.bundle.bundle import open_bundle


@pytest.mark.parametrize("source", ["langid-tiny", "made/fine-tuned"])
def test_export_names_the_bundle_after_its_source(
    source: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SHIPPED, tmp_path / "made/fine-tuned")
    monkeypatch.chdir(tmp_path)
    done = cli("export", source)
    name = source.rpartition("/")[2]
    assert (done.code, done.out) == (0, f"{name}\n")
    assert open_bundle(tmp_path / name).manifest.source == name
    assert "text-classification" in done.err


def test_export_json(cli: Cli, tmp_path: Path) -> None:
    done = cli("export", SHIPPED, tmp_path / "out", "--json")
    document = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert document["schema_version"] == 1
    assert document["bundle"] == str(tmp_path / "out")
    assert document["head"] == "text-classification"
    assert document["exporter"] == "native"
    assert document["tokenizer"] is True
    assert document["largest_difference"] is None
    assert document["model_bytes"] == (tmp_path / "out/onnx/model.onnx").stat().st_size


def test_export_reports_what_the_tokenizer_does(cli: Cli, tmp_path: Path) -> None:
    done = cli("export", SHIPPED, tmp_path / "plain")
    assert "The tokenizer lower-cases, keeps accents." in done.err
    assert "WARNING" not in done.err
    done = cli("export", SHIPPED, tmp_path / "other", "--strip-accents", "--cased")
    assert done.code == 0
    assert "The tokenizer keeps case, strips accents." in done.err
    # Letters that it was trained with are lost.
    assert "WARNING: The tokenizer strips marks that" in done.err
    assert "export with --keep-accents." in done.err
    document = json.loads(
        cli("export", SHIPPED, tmp_path / "json", "--strip-accents", "--json").out
    )
    assert document["normalization"] == "lower-cases, strips accents"
    assert "--keep-accents" in document["warnings"][0]


def test_export_takes_the_task_it_is_told(
    cli: Cli, tmp_path: Path, checkpoint: Callable[..., Path]
) -> None:
    done = cli("export", checkpoint("text-classification"), tmp_path / "out", "--task=fill-mask")
    assert_error(done, 1, "predictions.")  # a classifier has no vocabulary head
    told = ["--task", "feature-extraction"]
    done = cli("export", checkpoint("text-classification"), tmp_path / "out", *told)
    assert done.code == 0
    assert open_bundle(tmp_path / "out").manifest.head == "feature-extraction"
    # What is left out, and that token ids are all it can take, is said.
    assert "classifier.weight" in done.err
    assert "no tokenizer" in done.err


def test_export_says_in_a_line_each_what_it_left_out(
    cli: Cli, tmp_path: Path, checkpoint: Callable[..., Path]
) -> None:
    folder = checkpoint("fill-mask")
    tensors = load_file(folder / "model.safetensors")
    leftovers = {f"loss.{index:02}": np.zeros(2, np.float32) for index in range(12)}
    wrapped = {f"module.{name}": values for name, values in (tensors | leftovers).items()}
    save_file(wrapped, folder / "model.safetensors")
    done = cli("export", folder, tmp_path / "out", "--task", "feature-extraction")
    assert done.code == 0
    shown = ", ".join(f"loss.{index:02}" for index in range(10))
    lines = " ".join(done.err.split())  # a line is wrapped where the terminal ends
    assert f"Ignored, since no ALBERT has them: {shown} and 2 more." in lines
    assert "Names of tensors began with module., which was taken off." in lines
    assert "The checkpoint has no pooler: the model outputs last_hidden_state only." in lines
    plain = cli("export", checkpoint("fill-mask", name="plain"), tmp_path / "plain-bundle")
    assert all(word not in plain.err for word in ("Ignored", "began with", "pooler"))


def test_export_verifies_when_asked(cli: Cli, tmp_path: Path) -> None:
    told = [SHIPPED, tmp_path / "out", "--verify", "--json"]
    difference = json.loads(cli("export", *told).out)["largest_difference"]
    assert 0 <= difference <= 1e-4


@pytest.mark.parametrize("held", ["bundle", "file", "notes"])
def test_export_refuses_to_overwrite(held: str, cli: Cli, own: Path) -> None:
    if held != "bundle":
        shutil.rmtree(own)
    if held == "file":
        own.write_text("mine")
    if held == "notes":
        own.mkdir()
        (own / "notes.txt").write_text("mine")
    before = own.read_bytes() if own.is_file() else contents(own)
    done = cli("export", SHIPPED, own)
    assert_error(done, 2, str(own))
    assert done.out == ""
    assert before == (own.read_bytes() if own.is_file() else contents(own))


def test_export_replaces_a_bundle_when_forced(cli: Cli, own: Path) -> None:
    assert (own / "onnx/model_optimized.onnx").exists()
    done = cli("export", SHIPPED, own, "--force")
    assert (done.code, done.out) == (0, f"{own}\n")
    assert not (own / "onnx/model_optimized.onnx").exists()
    assert cli("verify", own).code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["langid-tiny", "out", "--exporter", "bad"],
        ["langid-tiny", "out", "--task", "bad"],
        ["langid-tiny", "out", "--revision", "main", "too", "many"],
        ["langid-tiny", "out", "--no-such-option"],
        [],
    ],
    ids=["exporter", "task", "arguments", "option", "nothing"],
)
def test_export_usage(
    arguments: list[str], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("export", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err
    assert not list(tmp_path.iterdir())


def test_export_below_a_file_is_an_error(cli: Cli, tmp_path: Path) -> None:
    """An operating system's refusal is told as every other error is."""
    (tmp_path / "file").write_text("mine")
    done = cli("export", SHIPPED, tmp_path / "file" / "out")
    assert done.code in (1, 2)
    assert_error(done, done.code, str(tmp_path / "file"))
