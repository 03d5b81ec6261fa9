"""`albert-edge quantize`: what it prints, and refusals by its quality gate."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.checkpoints import make_model
from support.command_line import (
    SENTENCES,
    SHIPPED,
    Cli,
    assert_error,
    contents,
    logits,
    strict_json,
    write_records,
)
from support.script import on_a_terminal, running, wait_for

import albert_edge
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.runtime.self_test import SELF_TEST

pytestmark = pytest.mark.slow

LABELLED = [
    *zip(SENTENCES, ["en", "de", "es"], strict=True),
    ("Guten Tag", "fr"),
]  # the last: wrong
MATRICES = [
    *("embeddings", "projection", "query-key-value", "attention-output"),
    *("ffn", "ffn-output", "head"),
]


def test_quantize_prints_the_path_and_tells_the_rest(cli: Cli, own: Path) -> None:
    before = contents(own)
    done = cli("quantize", own)
    assert (done.code, done.out) == (0, f"{own / 'onnx/model_quantized.onnx'}\n")
    after = contents(own)
    added = after.pop("onnx/model_quantized.onnx")
    changed = {name for name in before if before[name] != after.pop(name)}
    assert (changed, after) == ({MANIFEST, SELF_TEST}, {})
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
    size = (own / "onnx/model_quantized.onnx").stat().st_size
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
    assert (variant["name"], variant["precision"]) == ("model_quantized", "int8")
    assert (variant["layout"], variant["activations"]) == ("loop", "per-token")
    assert [(file["file"], file["bytes"]) for file in variant["files"]["model"]] == [
        ("onnx/model_quantized.onnx", size)
    ]
    stored = json.loads((own / MANIFEST).read_text(encoding="utf-8"))["variants"][-1]
    assert variant == {**stored, "promised_max_drop": None}


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
        (["--texts", "in.docx"], "in.docx cannot be opened"),
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
        ("in.csv", "sentence,label\nGuten Tag,de\n", 'no column "text"'),
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
    assert (process.returncode, told, err) == (130, "", "Interrupted.\n")
    assert contents(own) == before
    assert not list(own.glob(".*"))


def test_quantize_shows_progress_on_a_terminal(own: Path) -> None:
    written = on_a_terminal("quantize", own, "--precision", "int8")
    assert "Answering in int8" in written or "Calibrating" in written
    assert "File size: " in written
