"""export: which head and task a bundle is for, and what its reports look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import make_model
from support.paths import DATA

import albert_edge
from albert_edge.architecture.heads import HEAD_OF_TASK, HEADS
from albert_edge.bundle.bundle import open_bundle
from albert_edge.errors import UsageError
from albert_edge.inspection.inspect import inspect
from albert_edge.inspection.verify import verify

KEPT = DATA / "bundles" / "schema2"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder; config.json names its architecture."""
    folder = tmp_path_factory.mktemp("encoder") / "checkpoint"
    make_model("feature-extraction").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of texts."""
    folder = tmp_path_factory.mktemp("classifier") / "checkpoint"
    make_model("text-classification").save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("task", "head", "default"),
    [
        ("auto", "feature-extraction", None),
        ("feature-extraction", "feature-extraction", None),
        ("sentence-embeddings", "feature-extraction", "sentence-embeddings"),
    ],
)
def test_a_task_of_an_encoder(
    task: str, head: str, default: str | None, checkpoint: Path, tmp_path: Path
) -> None:
    report = albert_edge.export(checkpoint, tmp_path / "bundle", task=task)
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert (report.head, report.task) == (manifest.head, manifest.task) == (head, default)
    found = inspect(tmp_path / "bundle")
    assert (found.head, found.task) == (head, default)


@pytest.mark.parametrize(
    ("task", "default"),
    [
        ("sentiment-analysis", None),
        ("zero-shot-classification", "zero-shot-classification"),
        ("text-ranking", "text-ranking"),
    ],
)
def test_a_task_of_a_classifier(
    task: str, default: str | None, classifier: Path, tmp_path: Path
) -> None:
    report = albert_edge.export(classifier, tmp_path / "bundle", task=task)
    assert (report.head, report.task) == ("text-classification", default)


def test_a_variant_keeps_the_task_of_its_bundle(checkpoint: Path, tmp_path: Path) -> None:
    albert_edge.export(checkpoint, tmp_path / "bundle", task="sentence-embeddings")
    albert_edge.optimize(tmp_path / "bundle")
    assert open_bundle(tmp_path / "bundle").manifest.task == "sentence-embeddings"


def test_a_bundle_answers_its_task_by_default(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    albert_edge.export("langid-tiny", bundle, task="text-ranking")
    assert albert_edge.pipeline(model=bundle).task == "text-ranking"
    assert albert_edge.pipeline("text-classification", model=bundle).task == "text-classification"


def test_an_unknown_task_names_heads_and_tasks(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="task 'sentence-embedding' is unsupported") as caught:
        albert_edge.export(checkpoint, tmp_path / "bundle", task="sentence-embedding")
    assert all(name in caught.value.tip for name in {**HEADS, **HEAD_OF_TASK})
    assert caught.value.tip.endswith("Did you mean 'sentence-embeddings'?")
    assert not (tmp_path / "bundle").exists()


def test_progress_is_reported_alike(checkpoint: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int | None]] = []
    collect: Any = lambda *state: calls.append(state)  # noqa: E731
    folder = tmp_path / "bundle"
    exported = albert_edge.export(checkpoint, folder, progress=collect)
    assert {what for what, _, _ in calls} == {"writing weights"}
    assert calls[-1][1:] == (exported.weight_bytes, exported.weight_bytes)
    calls.clear()
    albert_edge.optimize(folder, progress=collect)
    assert calls[-1][0] == "writing weights" and calls[-1][1] == calls[-1][2]
    calls.clear()
    verify(folder, progress=collect)
    files = [("checking files", done, 4) for done in (1, 2, 3, 4)]
    answers = [("comparing with stored answers", done, 2) for done in (1, 2)]
    assert calls == [*files, *answers]


def test_progress_may_be_a_flag(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for progress in (True, False):
        folder = tmp_path / str(progress)
        albert_edge.export(checkpoint, folder, progress=progress)
        albert_edge.optimize(folder, progress=progress)
        albert_edge.quantize(folder, progress=progress, min_cosine=0, min_agreement=0)
    assert capsys.readouterr() == ("", "")  # stderr is not a terminal here


def test_reports_are_short_texts(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    exported = albert_edge.export(checkpoint, folder)
    assert repr(exported) == f"ExportReport('{folder}': feature-extraction, 0.2 MB)"
    optimized = albert_edge.optimize(folder)
    assert repr(optimized).startswith(f"OptimizeReport('{folder}': Variant('model_optimized': ")
    assert repr(verify(folder)) == f"VerifyReport('{folder}': 4 files, answers of 2 variants)"
    assert repr(inspect(KEPT)).startswith("Inspection(text-classification, ")
    texts = (repr(report) for report in (exported, optimized, inspect(KEPT), open_bundle(folder)))
    assert all(len(text) < 250 for text in texts)


def test_an_unknown_option_is_refused_with_the_nearest(tmp_path: Path) -> None:
    options: Any = {"keep_acents": True}
    with pytest.raises(TypeError, match=r"no parameter keep_acents\. Did you mean keep_accents\?"):
        albert_edge.export("langid-tiny", tmp_path / "bundle", **options)
    assert not (tmp_path / "bundle").exists()
