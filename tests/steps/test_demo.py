"""The demo and the model that ships: what it claims, counted again by other means."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import transformers

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.checkpoint.recipes import models_folder
from albert_edge.errors import UsageError
from albert_edge.steps.demo import SENTENCES, DemoReport, run_demo

pytestmark = pytest.mark.slow

SHIPPED = models_folder() / "langid-tiny"
LABELS = ("en", "de", "fr", "es", "zh")
VARIANTS = ["model", "model_optimized", "model_quantized"]

HEADER, *LINES = (SHIPPED / "test.tsv").read_text(encoding="utf-8").splitlines()
EXAMPLES = [tuple(line.split("\t")) for line in LINES]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoReport, Path, list[str]]:
    """A demo whose bundle was kept, and what it told."""
    told: list[str] = []
    folder = tmp_path_factory.mktemp("demo") / "bundle"
    return run_demo(folder, told.append), folder, told


def accuracy_of_the_card() -> float:
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    found = re.search(r"whole lines, held out \| (\d+) of (\d+) \|", card)
    assert found
    return int(found[1]) / int(found[2])


# --- the report -----------------------------------------------------------------------------


def test_accuracy_of_every_variant(kept: tuple[DemoReport, Path, list[str]]) -> None:
    report, _, _ = kept
    assert report.texts == len(EXAMPLES) == 1000
    assert [row.variant for row in report.rows] == VARIANTS
    assert all(row.accuracy >= 0.97 for row in report.rows)
    # As the model card says, but for texts that stand between two labels.
    assert all(abs(row.accuracy - accuracy_of_the_card()) <= 0.002 for row in report.rows)


def test_sizes_and_times_are_those_of_real_files(
    kept: tuple[DemoReport, Path, list[str]],
) -> None:
    report, folder, _ = kept
    for row in report.rows:
        assert row.bytes == (folder / f"onnx/{row.variant}.onnx").stat().st_size
        assert 0 < row.latency_ms < 1000
        assert 0 < row.load_ms < 10_000
    assert report.threads >= 1


def test_demo_tells_what_it_does(kept: tuple[DemoReport, Path, list[str]]) -> None:
    told = "\n".join(kept[2])
    phases = [line.split()[0] for line in kept[2] if not line.startswith(" ")]
    assert phases == ["Exporting", "Optimizing", "Quantizing", "Answering", "Measuring"]
    assert "3 variants in turns on 1,000 held-out texts" in told
    assert re.search(r"^  cosine (1\.0|0\.999)\d+ on 160 texts", told, re.MULTILINE)
    for label, sentence in zip(LABELS, SENTENCES, strict=True):
        assert re.search(rf"\b{label} +[01]\.\d+ +{re.escape(sentence)}", told)


def test_labels_are_those_of_transformers(kept: tuple[DemoReport, Path, list[str]]) -> None:
    """The accuracy counted again, on every tenth line, through torch."""
    sample = EXAMPLES[::10]
    texts = [text for text, _ in sample]
    reference = transformers.pipeline("text-classification", model=str(SHIPPED), device="cpu")
    expected = reference(texts, truncation=True)
    with albert_edge.pipeline(model=kept[1], truncation=True) as classify:
        found = classify(texts)
    right = 0
    for (_, label), answer, best in zip(sample, found, expected, strict=True):
        assert answer["label"] == best["label"]
        assert answer["score"] == pytest.approx(best["score"], abs=1e-2)  # int8, as by default
        right += best["label"] == label
    assert right >= 0.97 * len(sample)


# --- what it leaves behind ------------------------------------------------------------------


def start(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    scratch = cwd.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "albert_edge", "demo", *arguments],
        cwd=cwd,
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def test_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    before = {path: path.stat().st_mtime_ns for path in SHIPPED.iterdir()}
    done = start(here, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["schema_version"] == 1
    assert document["texts"] == 1000
    assert [row["variant"] for row in document["rows"]] == VARIANTS
    assert all(row["accuracy"] >= 0.97 for row in document["rows"])
    assert not list(here.iterdir())
    assert not list((tmp_path / "scratch").iterdir())
    assert {path: path.stat().st_mtime_ns for path in SHIPPED.iterdir()} == before


def test_demo_prints_a_table_and_keeps_a_bundle_when_asked(
    kept: tuple[DemoReport, Path, list[str]], tmp_path: Path
) -> None:
    """Also in a place that holds an earlier one."""
    _, folder, _ = kept
    here = tmp_path / "here"
    here.mkdir()
    earlier = (folder / MANIFEST).stat().st_mtime_ns
    done = start(here, str(folder))
    assert done.returncode == 0
    assert "langid-tiny, 1000 held-out texts" in done.stdout
    for variant in VARIANTS:
        figures = r"\d.* MB +\d+ +\d+\.\d\d +\d+\.\d +9[789]\.\d%"
        assert re.search(rf"^{variant} +{figures}$", done.stdout, re.MULTILINE)
    assert re.search(r"load, ms +latency, ms \(median\) +speed-up over model +", done.stdout)
    assert not list(here.iterdir())
    assert not list((tmp_path / "scratch").iterdir())
    assert (folder / MANIFEST).stat().st_mtime_ns > earlier
    bundle = open_bundle(folder)
    assert [variant.name for variant in bundle.manifest.variants] == VARIANTS
    assert bundle.check_all()


def test_demo_does_not_write_over_what_is_not_a_bundle(tmp_path: Path) -> None:
    """OUT may be mistaken for something dear, and there is no --force to ask for this."""
    (tmp_path / "config.json").write_text("mine")
    with pytest.raises(UsageError):
        run_demo(tmp_path, lambda message: None)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


# --- the model that ships -------------------------------------------------------------------


def test_test_lines() -> None:
    assert HEADER == "text\tlabel"
    assert all(len(example) == 2 for example in EXAMPLES)
    assert Counter(label for _, label in EXAMPLES) == dict.fromkeys(LABELS, 200)
    texts = [text for text, _ in EXAMPLES]
    assert len(set(texts)) == len(texts)
    assert all(text == text.strip() and len(text) >= 2 for text in texts)


def test_everyday_lines_are_others() -> None:
    lines = (SHIPPED / "everyday.tsv").read_text(encoding="utf-8").splitlines()
    examples = [line.split("\t") for line in lines if line != HEADER]
    assert Counter(label for _, label in examples) == dict.fromkeys(LABELS, 20)
    assert not {text for text, _ in examples} & {text for text, _ in EXAMPLES}


def test_the_model_is_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) <= 3_000_000


def test_the_card_lists_every_file_with_its_size() -> None:
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    listed = {
        name: int(size.replace(",", ""))
        for name, size in re.findall(r"^\| `([\w.]+)` \| ([\d,]+) \|", card, re.MULTILINE)
    }
    there = {path.name: path.stat().st_size for path in SHIPPED.iterdir() if path.is_file()}
    # The card cannot hold its own size, and its licence it links to.
    for name in ("README.md", "LICENSE"):
        del there[name]
    assert listed == there
