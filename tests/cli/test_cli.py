"""The command line: what it prints where, what it writes, and how it ends.

Most tests call `main` in this process, because a start costs half a second. Where the process
itself is what matters (exit status, pipes, signals, terminals) the installed script is started.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import typer
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from support.checkpoints import make_model
from support.command_line import (
    GOOD_RECORD,
    SENTENCES,
    SHIPPED,
    Cli,
    Outcome,
    assert_error,
    logits,
    predictions,
    read_table,
)
from support.paths import ROOT

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.cli.app import app

SCRIPT = Path(sys.executable).with_name("albert-edge")
ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[(\d+;)*(3[0-8]|4[0-8]|9[0-7]|10[0-7])(;\d+)*m")

# The contract: commands, and the options each has beside --help.
COMMANDS = {
    "export": {"--task", "--revision", "--exporter", "--verify", "--no-verify", "--force"},
    "optimize": {"--target", "--layout", "--logits"},
    "quantize": {
        *("--precision", "--min-agreement", "--min-cosine", "--max-drop", "--texts", "--data"),
        *("--prefer", "--activations", "--layout"),
    },
    "predict": {
        *("--input", "--output", "--task", "--device", "--precision", "--threads", "--top-k"),
        *("--truncate", "--parameter"),
    },
    "evaluate": {"--task", "--precision", "--device", "--threads", "--disagreements"},
    "inspect": {"--diff", "--variant", "--diff-variant"},
    "verify": {"--against"},
    "bench": {
        *("--shapes", "--precision", "--threads", "--against", "--rounds", "--plot", "--roofline"),
    },
    "doctor": set[str](),
    "models": set[str](),
    "demo": set[str](),
    "report": {"--output", "--bench", "--against", "--data"},
}


def environment(**changes: str) -> dict[str, str]:
    """That of a plain shell, whatever the one the tests run in asks for."""
    unwanted = {"NO_COLOR", "FORCE_COLOR", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "COLUMNS"}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "TERM": "xterm-256color", **changes}


def start(*arguments: object, **options: Any) -> Outcome:
    """Run the installed script to its end."""
    command = [str(SCRIPT), *map(str, arguments)]
    options = {"env": environment(), "timeout": 60, **options}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", **options)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def own(langid: Path, tmp_path: Path) -> Path:
    """A copy of `langid` to change."""
    return Path(shutil.copytree(langid, tmp_path / "own"))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# --- export ---------------------------------------------------------------------------------


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


# --- optimize -------------------------------------------------------------------------------


def test_optimize_lists_what_it_did(cli: Cli, own: Path) -> None:
    done = cli("optimize", own, "--layout", "unrolled")
    manifest = open_bundle(own).manifest
    variant = next(v for v in manifest.variants if v.name == "model_optimized")
    assert done.code == 0
    assert variant.layout == "unrolled"
    assert {"first-token", "fused-attention", "fused-gelu", "no-key-bias"} == set(
        variant.optimizations
    )
    for name, count in variant.optimizations.items():
        assert re.search(rf"^{name} +{count} +\w", done.out, re.MULTILINE)
    assert done.out.endswith(f"{own / 'onnx/model_optimized.onnx'}\n")
    assert re.search(
        r"Operators: \d+ before, \d+ after. Largest difference from fp32: \d", done.err
    )


def test_optimize_json(cli: Cli, own: Path) -> None:
    done = cli("optimize", own, "--target", "portable", "--json")
    document = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert document["schema_version"] == 1
    assert document["variant"]["name"] == "model_optimized_portable"
    assert document["variant"]["optimizations"] == {"first-token": 1}
    assert document["nodes_after"] < document["nodes_before"]
    assert 0 <= document["largest_difference"] <= 1e-4


@pytest.mark.parametrize(
    ("option", "code"),
    [("--target=gpu", 2), ("--layout=bad", 2), ("--logits=bad", 2), ("--logits=masked", 2)],
)
def test_optimize_usage(option: str, code: int, cli: Cli, own: Path) -> None:
    before = contents(own)
    done = cli("optimize", own, option)
    assert (done.code, done.out) == (code, "")
    assert contents(own) == before


# --- quantize -------------------------------------------------------------------------------

LABELLED = [
    *zip(SENTENCES, ["en", "de", "es"], strict=True),
    ("Guten Tag", "fr"),
]  # the last: wrong
MATRICES = [
    *("embeddings", "projection", "query-key-value", "attention-output"),
    *("ffn", "ffn-output", "head"),
]


def strict_json(text: str) -> Any:
    """One JSON document as every parser reads it: NaN is none of JSON's numbers."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def write_records(path: Path, fields: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Path:
    """Write records in the format a suffix names."""
    if path.suffix == ".txt":
        lines = [row[0] for row in rows]
    elif path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(fields, row, strict=True))) for row in rows]
    else:
        separator = {".csv": ",", ".tsv": "\t"}[path.suffix]
        lines = [separator.join(row) for row in (fields, *rows)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_quantize_prints_the_path_and_tells_the_rest(cli: Cli, own: Path) -> None:
    before = contents(own)
    done = cli("quantize", own)
    assert (done.code, done.out) == (0, f"{own / 'onnx/model_int8.onnx'}\n")
    after = contents(own)
    added = after.pop("onnx/model_int8.onnx")
    assert {name: before[name] for name in before if name != MANIFEST} == {
        name: after[name] for name in after if name != MANIFEST
    }
    portable = len(before["onnx/model.onnx"])
    size, words = done.err.splitlines()
    assert size == (
        f"File size: {portable / 1e6:.1f} MB in fp32, {len(added) / 1e6:.1f} MB now "
        f"({len(added) / portable:.1%})."
    )
    assert re.fullmatch(
        r"Compared with fp32 on the built-in sample: 160 texts, cosine [01]\.\d{5} "
        r"\(worst \d\.\d{4}\), agreement \d+\.\d\d%, largest difference \d\S*\.",
        words,
    )
    assert cli("verify", own).code == 0


def test_quantize_json(cli: Cli, own: Path) -> None:
    texts = write_records(own.parent / "in.txt", ("text",), [(text,) for text in SENTENCES])
    done = cli("quantize", own, "--texts", texts, "--json")
    assert (done.code, done.err) == (0, "")
    document = strict_json(done.out)
    size = (own / "onnx/model_int8.onnx").stat().st_size
    expected: dict[str, Any] = {
        "schema_version": 1,
        "bundle": str(own),
        "precision": "int8",
        "passed": True,
        "misses": [],
        "tip": "",
        "budget": {"min_agreement": 0.99, "min_cosine": 0.999, "max_drop": None},
        "sample": str(texts),
        "bytes": size,
        "reference_bytes": (own / "onnx/model.onnx").stat().st_size,
        "matrices": dict.fromkeys(MATRICES, "int8"),
        "costs": [],
    }
    assert {name: document[name] for name in expected} == expected
    variant = document["variant"]
    assert (variant["name"], variant["precision"]) == ("model_int8", "int8")
    assert (variant["layout"], variant["activations"]) == ("loop", "per-token")
    assert [(file["file"], file["bytes"]) for file in variant["files"]["model"]] == [
        ("onnx/model_int8.onnx", size)
    ]
    assert variant == json.loads((own / MANIFEST).read_text(encoding="utf-8"))["variants"][-1]


@pytest.mark.parametrize(
    ("precision", "variant"),
    [("int8-block", "model_int8_block"), ("int4", "model_q4"), ("fp16", "model_fp16_cuda")],
)
def test_the_quality_told_is_that_of_the_file(
    precision: str, variant: str, cli: Cli, own: Path, tmp_path: Path
) -> None:
    """Counted again, by formula, from what onnxruntime alone answers."""
    texts = write_records(tmp_path / "in.txt", ("text",), [(text,) for text in SENTENCES])
    told = ["quantize", own, "--precision", precision, "--texts", texts, "--min-cosine", "0.9"]
    quality = strict_json(cli(*told, "--json").out)["quality"]
    right, ours = (logits(own, name, SENTENCES) for name in ("model", variant))
    lengths = np.linalg.norm(right, axis=1) * np.linalg.norm(ours, axis=1)
    cosines = (right * ours).sum(axis=1) / lengths
    assert quality["texts"] == 3
    assert quality["cosine"] == pytest.approx(cosines.mean(), abs=1e-6)
    assert quality["worst_cosine"] == pytest.approx(cosines.min(), abs=1e-6)
    assert quality["largest_difference"] == pytest.approx(np.abs(right - ours).max(), abs=1e-3)
    assert 0 < quality["largest_difference"] < 1.5
    assert quality["agreement"] == (right.argmax(axis=1) == ours.argmax(axis=1)).mean() == 1


def test_quantize_lists_what_each_matrix_costs(cli: Cli, own: Path, tmp_path: Path) -> None:
    data = write_records(tmp_path / "in.csv", ("text", "label"), LABELLED)
    told = ["quantize", own, "--data", data, "--max-drop", "0.5", "--prefer", "smallest"]
    done = cli(*told)
    assert done.code == 0
    assert (done.out + done.err).count("saves, ms per text") == 1
    for matrix in MATRICES:
        for precision in ("int4", "int8", "int8-block"):
            figures = r"-?[\d.]+ k?M?B +[+-][\d.]+ +[\d.]+ +[\d.]+% +[+-][\d.]+"
            line = rf"^{matrix} +{precision} +{figures}$"
            assert re.search(line, done.out + done.err, re.MULTILINE), (matrix, precision)
    assert done.out.endswith(f"{own / 'onnx/model_mixed.onnx'}\n")
    assert re.search(r"^Chosen from \d+ plans: .*\bint4\b.*; the rest fp32\.$", done.err, re.M)
    assert re.search(r"accuracy \d+\.\d\d% \(fp32 75\.00%\)\.$", done.err, re.MULTILINE)
    document = strict_json(cli(*told, "--json").out)
    costs = document["costs"]
    assert {(cost["matrix"], cost["precision"]) for cost in costs} == {
        (matrix, precision) for matrix in MATRICES for precision in ("int4", "int8", "int8-block")
    }
    assert document["tried"] >= 1
    assert document["precision"] == document["variant"]["precision"] == "mixed"
    whole = {**dict.fromkeys(MATRICES, "fp32"), **document["matrices"]}
    assert document["variant"]["matrices"] == whole


@pytest.mark.parametrize("suffix", [".txt", ".tsv", ".csv", ".jsonl"])
def test_texts_to_judge_on(suffix: str, cli: Cli, own: Path, tmp_path: Path) -> None:
    rows = [(text, "x") for text in SENTENCES]
    path = write_records(tmp_path / f"texts{suffix}", ("text", "note"), rows)
    document = strict_json(cli("quantize", own, "--texts", path, "--json").out)
    assert document["sample"] == str(path)
    quality = document["quality"]
    assert quality["texts"] == 3
    assert quality["accuracy"] is quality["reference_accuracy"] is None


@pytest.mark.parametrize("numbers", [False, True], ids=["names", "numbers"])
@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
def test_labels_to_judge_on(
    suffix: str, numbers: bool, cli: Cli, own: Path, tmp_path: Path, classify: Callable[..., Any]
) -> None:
    known = ["en", "de", "fr", "es", "zh"]
    rows = [(text, str(known.index(label)) if numbers else label) for text, label in LABELLED]
    path = write_records(tmp_path / f"data{suffix}", ("text", "label"), rows)
    done = cli("quantize", own, "--data", path, "--precision", "int8", "--json")
    quality = strict_json(done.out)["quality"]
    found = [answer["label"] for answer in classify([text for text, _ in LABELLED])]
    right = [label == wanted for label, (_, wanted) in zip(found, LABELLED, strict=True)]
    assert quality["texts"] == 4
    assert quality["reference_accuracy"] == sum(right) / 4 == 0.75
    assert quality["accuracy"] == 0.75


def test_an_empty_pair_is_no_pair(cli: Cli, own: Path, tmp_path: Path) -> None:
    """As for predict: the table has the column, this record does not use it."""
    rows = [(text, "") for text in SENTENCES]
    single = write_records(tmp_path / "single.txt", ("text",), rows)
    pairs = write_records(tmp_path / "pairs.csv", ("text", "text_pair"), rows)
    told = ["quantize", own, "--json", "--texts"]
    qualities = [strict_json(cli(*told, path).out)["quality"] for path in (single, pairs)]
    assert qualities[0] == qualities[1]


def test_texts_to_judge_on_from_stdin(cli: Cli, own: Path) -> None:
    stdin = "\n".join(SENTENCES).encode()
    document = strict_json(cli("quantize", own, "--texts", "-", "--json", stdin=stdin).out)
    assert document["quality"]["texts"] == 3


REFUSED = ["--precision", "int4", "--min-cosine", "0.99999"]


def test_a_refusal_is_told_and_nothing_is_written(cli: Cli, own: Path) -> None:
    before = contents(own)
    done = cli("quantize", own, *REFUSED)
    assert (done.code, done.out) == (3, "")
    size, words, error, tip = done.err.splitlines()
    assert re.fullmatch(r"File size: 2\.0 MB in fp32, 0\.\d MB now \(\d+\.\d%\)\.", size)
    assert "cosine 0.99" in words
    assert re.fullmatch(r"ERROR int4 .*: cosine 0\.9\d+ is below 0\.99999\.", error)
    command, passes, _ = tip.removeprefix("TIP   ").partition(" passes: ")
    name, verb, bundle, *options = shlex.split(command)
    assert (name, verb, bundle, bool(passes)) == ("albert-edge", "quantize", str(own), True)
    pairs = dict(zip(options[::2], options[1::2], strict=True))
    assert pairs == {"--min-cosine": "0.99999", "--precision": "int8"}
    assert contents(own) == before
    assert cli("verify", own).code == 0


def test_a_refusal_is_one_json_document(cli: Cli, own: Path) -> None:
    before = contents(own)
    done = cli("quantize", own, *REFUSED, "--json")
    assert_error(done, 3, "int4", "cosine")
    document = strict_json(done.out)
    assert (document["schema_version"], document["passed"]) == (1, False)
    [miss] = document["misses"]
    assert re.fullmatch(r"cosine 0\.9\d+ is below 0\.99999", miss)
    assert done.err.splitlines()[1] == f"TIP   {document['tip']}"
    assert document["variant"] is None
    assert 0.9 < document["quality"]["cosine"] < 0.99999
    assert document["budget"]["min_cosine"] == 0.99999
    assert contents(own) == before


def test_what_the_tip_of_a_refusal_says_passes(cli: Cli, own: Path, tmp_path: Path) -> None:
    """Copied to a shell it does what it says, on what was judged on before."""
    folder = own.rename(tmp_path / "two words")
    lines = resources.files("albert_edge.check").joinpath("sample_texts.txt").read_text("utf-8")
    some = [(line,) for line in lines.splitlines()[::4]]
    texts = write_records(tmp_path / "in.txt", ("text",), some)
    told = ["quantize", folder, *REFUSED, "--texts", texts, "--layout", "unrolled", "--json"]
    tip = strict_json(cli(*told).out)["tip"]
    name, *arguments = shlex.split(tip.partition(" passes: ")[0])
    assert name == "albert-edge"
    done = cli(*arguments, "--json")
    assert done.code == 0
    document = strict_json(done.out)
    assert document["quality"]["cosine"] >= 0.99999
    assert document["bundle"] == str(folder)


def test_nothing_but_fp32_will_do(cli: Cli, own: Path, tmp_path: Path) -> None:
    before = contents(own)
    texts = write_records(tmp_path / "in.txt", ("text",), [(text,) for text in SENTENCES])
    done = cli("quantize", own, "--min-cosine", "1", "--texts", texts, "--json")
    assert_error(done, 3, "mixed")
    document = strict_json(done.out)
    assert document["passed"] is False
    assert document["misses"]
    assert document["quality"] is document["bytes"] is document["variant"] is None
    assert len(document["costs"]) == 21
    assert contents(own) == before


def test_numbers_too_large_for_fp16_are_refused(cli: Cli, tmp_path: Path) -> None:
    """Infinity and NaN come out: never within any budget, and no numbers of JSON."""
    model = make_model("feature-extraction", vocab_size=4000)
    with torch.no_grad():
        model.embeddings.LayerNorm.weight.mul_(1e5)
    model.save_pretrained(tmp_path / "checkpoint")
    for path in SHIPPED.glob("*token*.json"):
        shutil.copyfile(path, tmp_path / "checkpoint" / path.name)
    albert_edge.export(tmp_path / "checkpoint", tmp_path / "bundle")
    told = ["quantize", tmp_path / "bundle", "--precision", "fp16", "--min-cosine", "0", "--json"]
    done = cli(*told)
    assert_error(done, 3, "fp16")
    assert strict_json(done.out)["passed"] is False


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--max-drop", "1"], "--data"),
        (["--max-drop", "1", "--texts", "in.txt"], "--data"),
        (["--max-drop", "-1", "--data", "in.tsv"], "--max-drop is "),
        (["--max-drop", "nan", "--data", "in.tsv"], "--max-drop is "),
        (["--min-cosine", "2"], "--min-cosine is "),
        (["--min-cosine", "nan"], "--min-cosine is "),
        (["--min-agreement", "-0.5"], "--min-agreement is "),
        (["--texts", "in.txt", "--data", "in.tsv"], "texts"),
        (["--texts", "empty.txt"], "empty.txt"),
        (["--data", "empty.csv"], "empty.csv"),
        (["--texts", "missing.txt"], "missing.txt"),
        (["--texts", "in.docx"], ".jsonl"),
        (["--precision", "int3"], None),
        (["--layout", "round"], None),
        (["--activations", "none"], None),
        (["--prefer", "both"], None),
        (["--min-cosine", "high"], None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_quantize_usage(
    options: list[str],
    told: str | None,
    cli: Cli,
    own: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_records(tmp_path / "in.tsv", ("text", "label"), LABELLED)
    (tmp_path / "in.txt").write_text("Guten Tag\n")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "empty.csv").write_text("text,label\n")
    before = contents(own)
    done = cli("quantize", own, *options)
    if told:
        assert_error(done, 2, told)
    assert (done.code, done.out) == (2, "")
    assert done.err
    assert contents(own) == before


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("in.tsv", "text\tlabel\nGuten Tag\tde\nHej\tsv\n", "sv"),
        ("in.tsv", "text\tlabel\nGuten Tag\tde\nHej\t5\n", "5"),
        ("in.tsv", "text\tlabel\nGuten Tag\tde\nHej\t-1\n", "-1"),
        ("in.csv", "text\nGuten Tag\n", "label"),
        ("in.csv", "sentence,label\nGuten Tag,de\n", "record 1"),
        ("in.csv", "text,label\nJa, gerne,de\n", "record 1"),
        ("in.jsonl", '{"text": "Guten Tag", "label": "de"}\n{"text": 5}\n', "record 2"),
        ("in.jsonl", '{"text": "Guten Tag", "label": ["de"]}\n', "label"),
        ("in.jsonl", '{"text": "\\ud800", "label": "de"}\n', "Unicode"),
        ("in.txt", "Guten Tag\n", "label"),
    ],
)
def test_labels_that_cannot_be_used(
    name: str, text: str, told: str, cli: Cli, own: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    before = contents(own)
    done = cli("quantize", own, "--data", tmp_path / name)
    assert_error(done, 1, str(tmp_path / name), told)
    assert done.out == ""
    assert contents(own) == before


@pytest.mark.parametrize(
    ("task", "config"),
    [
        ("feature-extraction", {}),
        ("fill-mask", {}),
        ("token-classification", {}),
        ("text-classification", {"num_labels": 1}),
        ("text-classification", {"problem_type": "multi_label_classification"}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else value,
)
def test_labels_a_task_cannot_use(
    task: str, config: dict[str, Any], cli: Cli, tmp_path: Path, checkpoint: Callable[..., Path]
) -> None:
    """One class a text is what accuracy is counted from; other tasks have none."""
    source = checkpoint(task, vocab_size=4000, **config)
    for path in SHIPPED.glob("*token*.json"):
        shutil.copyfile(path, source / path.name)
    albert_edge.export(source, tmp_path / "bundle")
    before = contents(tmp_path / "bundle")
    data = write_records(tmp_path / "in.csv", ("text", "label"), [(s, "0") for s in SENTENCES])
    done = cli("quantize", tmp_path / "bundle", "--data", data, "--precision", "int8")
    assert_error(done, 2, "--texts")
    assert contents(tmp_path / "bundle") == before


def test_texts_without_a_tokenizer(
    cli: Cli, tmp_path: Path, checkpoint: Callable[..., Path]
) -> None:
    bundle = tmp_path / "bundle"
    albert_edge.export(checkpoint("text-classification"), bundle)
    texts = write_records(tmp_path / "in.txt", ("text",), [("a",)])
    assert_error(cli("quantize", bundle, "--texts", texts), 1, "tokenizer")
    told = ["quantize", bundle, "--min-cosine", "0.9", "--min-agreement", "0.9", "--json"]
    document = strict_json(cli(*told, "--precision", "int8").out)
    assert document["sample"] == "random ids"


def test_quantize_interrupted(own: Path) -> None:
    before = contents(own)
    with running("quantize", own, "--precision", "mixed") as process:
        wait_for(lambda: bool(list(own.glob(".*"))))
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        told, err = process.communicate(timeout=30)
    assert (process.returncode, told, err) == (130, "", "")
    assert contents(own) == before
    assert not list(own.glob(".*"))


def test_quantize_shows_progress_on_a_terminal(own: Path) -> None:
    written = on_a_terminal("quantize", own, "--precision", "int8")
    assert "Answering in int8" in written or "Calibrating" in written
    assert "File size: " in written


# --- inspect --------------------------------------------------------------------------------


def sizes(checkpoint: Path) -> dict[str, int]:
    """Values of every tensor, read by safetensors."""
    with safe_open(checkpoint / "model.safetensors", "numpy") as file:
        return {name: prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def operators(graph: onnx.GraphProto) -> Counter[str]:
    """Operators of a graph and of the graphs inside it."""
    found: Counter[str] = Counter()
    for node in graph.node:
        found[f"{node.domain}.{node.op_type}".lstrip(".")] += 1
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                found += operators(inner)
    return found


@pytest.mark.parametrize("task", ["text-classification", "fill-mask", "pretraining"])
def test_inspect_agrees_with_the_files(
    task: str, cli: Cli, tmp_path: Path, checkpoint: Callable[..., Path]
) -> None:
    source, bundle = checkpoint(task), tmp_path / "bundle"
    albert_edge.export(source, bundle)
    albert_edge.optimize(bundle)
    found = json.loads(cli("inspect", bundle, "--json").out)
    expected = sizes(source)
    assert found["schema_version"] == 1
    assert found["head"] == task
    assert found["parameters"] == sum(expected.values())
    groups: Counter[str] = Counter()
    for name, size in expected.items():
        groups[name.rpartition(".")[0]] += size
    assert {group["name"]: group["parameters"] for group in found["groups"]} == groups
    assert all(group["bytes"] == 4 * group["parameters"] for group in found["groups"])
    geometry = json.loads((source / "config.json").read_text())
    assert found["geometry"]["hidden_size"] == geometry["hidden_size"] == 24
    assert [variant["name"] for variant in found["variants"]] == ["model", "model_optimized"]
    for variant in found["variants"]:
        path = bundle / "onnx" / f"{variant['name']}.onnx"
        assert variant["bytes"] == path.stat().st_size
        assert variant["operators"] == operators(onnx.load(path).graph)


def test_inspect_for_people(cli: Cli, langid: Path) -> None:
    done = cli("inspect", langid)
    total = sum(sizes(SHIPPED).values())
    assert (done.code, done.err) == (0, "")
    assert re.search(rf"^total +{total:,} +2\.0 MB$", done.out, re.MULTILINE)
    assert re.search(r"^hidden_size +128$", done.out, re.MULTILINE)
    assert "en, de, fr, es, zh" in done.out
    assert "model_optimized: fp32, cpu, loop" in done.out


# --- verify ---------------------------------------------------------------------------------


def test_verify_counts_what_the_manifest_lists(cli: Cli, langid: Path) -> None:
    files = set(contents(langid)) - {MANIFEST}
    done = cli("verify", langid)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{len(files)} files match the manifest.\n"
    document = json.loads(cli("verify", langid, "--json").out)
    assert (document["schema_version"], document["files"]) == (1, len(files))


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
    (own / "onnx/model_int8.onnx").write_bytes(b"not ours")
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


# --- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["inspect", "missing"], 1, "missing"),
        (["verify", "missing"], 1, "missing"),
        (["optimize", "missing"], 1, "missing"),
        (["quantize", "missing"], 1, "missing"),
        (["predict", "missing", "a"], 1, "missing"),
        (["inspect", "notes.txt"], 1, "notes.txt"),
        (["export", "./missing", "out"], 1, "./missing"),
        (["export", ".", "out"], 1, "config.json"),
        (["export", "owner/missing", "out"], 5, "owner/missing"),
        (["export", "albert-base-v2", "out"], 5, "albert-base-v2"),
        (["export", "owner/missing", "out", "--revision", "v1"], 5, "v1"),
        (["export", "not a/hub/id", "out"], 1, "not a/hub/id"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_errors(
    arguments: list[str],
    code: int,
    told: str,
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    done = cli(*arguments)
    assert_error(done, code, told)
    assert done.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


WITHOUT = """
import sys
sys.modules[sys.argv.pop(1)] = None
from albert_edge.cli.app import main
main()
"""


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("onnx", "export", ["export", "langid-tiny", "out"]),
        ("onnxscript", "export", ["export", "langid-tiny", "out"]),
        ("onnx", "export", ["optimize", "BUNDLE"]),
        ("onnx", "export", ["quantize", "BUNDLE"]),
        ("onnxscript", "export", ["quantize", "BUNDLE"]),
        ("onnxruntime", "cpu", ["quantize", "BUNDLE"]),
        ("huggingface_hub", "export", ["export", "owner/name", "out"]),
        ("optimum", "optimum", ["export", "langid-tiny", "out", "--exporter=optimum"]),
        ("torch", "reference", ["export", "langid-tiny", "out", "--verify"]),
        ("transformers", "reference", ["verify", "BUNDLE", "--against=langid-tiny"]),
        ("onnxruntime", "cpu", ["predict", "BUNDLE", "Guten Tag"]),
    ],
)
def test_a_missing_extra_is_named_with_the_line_that_installs_it(
    package: str, extra: str, arguments: list[str], langid: Path, tmp_path: Path
) -> None:
    told = [str(langid) if argument == "BUNDLE" else argument for argument in arguments]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package, *told],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    assert_error(outcome, 4, package, f"pip install 'albert-edge[{extra}]'")
    assert outcome.out == ""
    assert not list(tmp_path.iterdir())


# --- the process ----------------------------------------------------------------------------


def test_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    done = start("--version")
    assert done == Outcome(0, f"albert-edge {project['version']}\n", "")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_a_first_look_loads_nothing_it_does_not_show(option: str) -> None:
    done = start(option, env={**environment(), "PYTHONPROFILEIMPORTTIME": "1"})
    loaded = set(re.findall(r"\| +(\w+)$", done.err, re.MULTILINE))
    assert (done.code, "typer" in loaded) == (0, True)
    assert loaded.isdisjoint({"numpy", "onnxruntime", "tokenizers", "onnx", "onnxscript", "torch"})


def test_help_lists_exactly_the_commands(cli: Cli) -> None:
    done = cli("--help")
    assert (done.code, done.err) == (0, "")
    assert re.findall(r"^│ (\w+) ", done.out, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name: str, cli: Cli) -> None:
    command: Any = typer.main.get_command(app)
    parameters = command.commands[name].params
    options = {option for one in parameters for option in (*one.opts, *one.secondary_opts)}
    assert COMMANDS[name] | {"--json"} <= options
    # None is left without a word on what it does.
    assert all(one.help for one in parameters if one.opts[0].startswith("--"))
    done = cli(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"albert-edge {name}" in done.out


def test_an_error_ends_the_process_with_its_code(tmp_path: Path) -> None:
    done = start("export", "owner/missing", cwd=tmp_path)
    assert_error(done, 5, "owner/missing")
    assert done.out == ""


def test_output_that_is_no_terminal_is_plain(langid: Path) -> None:
    for arguments in (["--help"], ["inspect", langid], ["predict", langid, "a"], ["no-command"]):
        done = start(*arguments)
        assert ESCAPE not in done.out + done.err
        assert done.out + done.err


def on_a_terminal(*arguments: object, **changes: str) -> str:
    """Run the script with a terminal for its output, and return all it wrote there."""
    ours, theirs = pty.openpty()
    command = [str(SCRIPT), *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**changes)
    ) as process:
        os.close(theirs)
        written = b""
        # Linux ends a terminal whose other side was closed with an error.
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 4096):
                written += piece
    os.close(ours)
    assert process.returncode == 0
    return written.decode()


def test_progress_is_shown_on_a_terminal_and_colour_can_be_refused(
    langid: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("Guten Tag\n" * 300)
    told = ["predict", langid, "--input", texts, "--output", tmp_path / "out.jsonl"]
    coloured = on_a_terminal(*told)
    plain = on_a_terminal(*told, NO_COLOR="1")
    assert "Texts" in coloured
    assert "Texts" in plain
    assert COLOUR.search(coloured)
    assert not COLOUR.search(plain)
    assert not COLOUR.search(on_a_terminal("inspect", langid, NO_COLOR="1"))


def test_texts_the_terminals_encoding_lacks(langid: Path) -> None:
    """Windows gives pipes an encoding of its own; files and pipes here are UTF-8 everywhere."""
    done = start("predict", langid, "车站在哪里?", env=environment(PYTHONIOENCODING="cp1252"))
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("\t车站在哪里?\n")
    done = start(
        *["predict", langid, "--input", "-", "--json"],
        env=environment(PYTHONIOENCODING="cp1252"),
        input="车站在哪里?\n",
    )
    assert predictions(done)[0]["text"] == "车站在哪里?"


def first_line(process: subprocess.Popen[str]) -> str:
    """The first line of stdout, or "" if none comes for a long time."""
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: lines.append(process.stdout.readline()), daemon=True)  # type: ignore[union-attr]
    reader.start()
    reader.join(5)
    return lines[0] if lines else ""


@contextlib.contextmanager
def running(*arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The script, started with pipes; killed in the end if it still runs."""
    command = [str(SCRIPT), *map(str, arguments)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process = subprocess.Popen(command, env=environment(), encoding="utf-8", **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv"])
def test_an_answer_comes_before_the_next_text_is_there(
    suffix: str, langid: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / f"pipe{suffix}"
    os.mkfifo(pipe)
    head = "text,id\n" if suffix == ".csv" else ""
    line = GOOD_RECORD[suffix].decode() + "\n"
    with running("predict", langid, "--input", pipe) as process:
        with pipe.open("w") as texts:
            texts.write(head + line)
            texts.flush()
            assert first_line(process).endswith("\tGuten Tag\n")
            texts.write(line)
        rest, err = process.communicate(timeout=15)
    assert (process.returncode, err) == (0, "")
    assert rest.endswith("\tGuten Tag\n")


def test_texts_of_stdin_are_answered_as_they_come(langid: Path) -> None:
    with running("predict", langid, "--input", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("Wo ist der Bahnhof?\n")
        process.stdin.flush()
        assert first_line(process).startswith("de ")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_interrupt(suffix: str, langid: Path, tmp_path: Path) -> None:
    texts, out = tmp_path / "texts.txt", tmp_path / f"out{suffix}"
    texts.write_text("Wo ist der Bahnhof?\n" * 200_000)
    with running("predict", langid, "--input", texts, "--output", out) as process:
        wait_for(lambda: out.exists() and out.stat().st_size > 0)
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        told, err = process.communicate(timeout=30)
        assert time.monotonic() - begin < 2
    assert (process.returncode, told) == (130, "")
    assert "Traceback" not in err
    written = out.read_text(encoding="utf-8")
    assert written.endswith("\n")
    if suffix == ".jsonl":
        labels = [json.loads(line)["prediction"]["label"] for line in written.splitlines()]
    else:
        labels = [row["label"] for row in read_table(out)]
    assert set(labels) == {"de"}
    assert len(labels) < 200_000


def test_interrupt_while_waiting_for_a_text(langid: Path) -> None:
    with running("predict", langid, "--input", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("Wo ist der Bahnhof?\n" * 500)
        process.stdin.flush()
        assert first_line(process).startswith("de ")
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        assert process.wait(timeout=30) == 130
        assert time.monotonic() - begin < 2
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("arguments", "reader", "expected"),
    [
        ("predict langid --input texts.txt", "head -n 1", r"de \d\.\d+\tGuten Tag\n"),
        ("predict langid --input texts.txt --json", "head -n 1", r"\{\n"),
        ("predict langid hello", "true", ""),
        ("inspect langid", "true", ""),
        ("--version", "true", ""),
        ("--help", "true", ""),
    ],
)
def test_a_reader_that_goes_away(
    arguments: str, reader: str, expected: str, langid: Path, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("Guten Tag\n" * 2000)
    (tmp_path / "langid").symlink_to(langid)
    # The reader of the last cases is gone before anything is written.
    command = f"(sleep 0.2; exec '{SCRIPT}' {arguments}) | {reader}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert re.fullmatch(expected, done.stdout)
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("output", ["stdout", "file"])
def test_a_full_disk_is_an_error(output: str, langid: Path, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").symlink_to("/dev/full")
    told: list[object] = [] if output == "stdout" else ["--output", tmp_path / "out.jsonl"]
    command = list(map(str, [SCRIPT, "predict", langid, "Guten Tag", *told]))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, encoding="utf-8", env=environment()
        )
    assert_error(Outcome(done.returncode, "", done.stderr), 1, "No space left")
