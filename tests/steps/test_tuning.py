"""`quantize --tune`: what is chosen by times that the tests make up, and what the gate refuses."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import Cli, assert_error
from support.quantizing import ANYTHING, TEXTS

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.compress import tuning
from albert_edge.compress.compressor import Compressor, Trial
from albert_edge.compress.options import Int8
from albert_edge.errors import UsageError
from albert_edge.graph.plan import Plan

# In the order in which candidates are measured: the default first.
CANDIDATES = [
    ("per-token", "loop"),
    ("per-token", "unrolled"),
    ("per-tensor", "unrolled"),
    ("per-tensor", "loop"),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuning") / "langid"
    albert_edge.export("langid-tiny", folder)
    return folder


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [((4, 3, 2, 5), 2), ((4, 3.9, 4.1, 4), 0), ((4, 3, 3.5, 5), 1)],
    ids=["fastest", "default", "unrolled"],
)
def test_the_fastest_is_written(
    seconds: Sequence[float],
    chosen: int,
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengths: list[int] = []

    def times(runs: Sequence[Any], texts: Sequence[Any]) -> list[float]:
        lengths.extend(text["input_ids"].shape[-1] for text in texts)
        answers = [run(texts[0])["logits"] for run in runs]
        assert all(np.allclose(answer, answers[0], atol=0.5) for answer in answers)
        return [1e-3 * value for value in seconds]

    monkeypatch.setattr(tuning, "time_in_turns", times)
    own = Path(shutil.copytree(exported, tmp_path / "own"))
    report = albert_edge.quantize(own, Int8(tune=True), texts=TEXTS, **ANYTHING)
    variant = open_bundle(own).variant("model_quantized")
    assert (variant.activations, variant.layout) == CANDIDATES[chosen]
    assert lengths == sorted(lengths) and len(lengths) == len(TEXTS)
    kept = variant.measured["tuning"]
    assert [(one["activations"], one["layout"]) for one in kept] == CANDIDATES
    assert [one["ms"] for one in kept] == pytest.approx(list(seconds))
    assert [one["is_chosen"] for one in kept] == [at == chosen for at in range(4)]
    assert [timing.ms for timing in report.tuning] == pytest.approx(list(seconds))


def test_per_tensor_is_not_measured_where_the_gate_refuses_it(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_out = Compressor.try_out

    def worse_per_tensor(compressor: Compressor, plan: Plan, **options: Any) -> Trial:
        trial = try_out(compressor, plan, **options)
        if plan.activations == "per-token":
            return trial
        return replace(trial, quality=replace(trial.quality, cosine=0.998))

    monkeypatch.setattr(Compressor, "try_out", worse_per_tensor)
    measured: list[int] = []

    def times(runs: Sequence[Any], texts: Sequence[Any]) -> list[float]:
        measured.append(len(runs))
        return [float(len(runs) - at) for at in range(len(runs))]

    monkeypatch.setattr(tuning, "time_in_turns", times)
    own = Path(shutil.copytree(exported, tmp_path / "own"))
    report = albert_edge.quantize(own, Int8(tune=True), texts=TEXTS)
    refused = [timing for timing in report.tuning if timing.activations == "per-tensor"]
    assert [timing.ms for timing in refused] == [None, None]
    assert [timing.misses for timing in refused] == [["cosine 0.99800 is below 0.999"]] * 2
    assert report.variant is not None and report.variant.layout == "unrolled"


def test_options_that_exclude_each_other(cli: Cli, exported: Path) -> None:
    with pytest.raises(UsageError, match="chooses activations itself"):
        Int8(tune=True, activations="per-tensor")
    done = cli("quantize", exported, "--tune", "--layout", "unrolled")
    assert_error(done, 2, "--tune", "--layout")
    done = cli("quantize", exported, "--precision", "int4", "--tune")
    assert_error(done, 2, "int4 does not take --tune", "int8")


def test_real_times_are_of_each_model(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []
    texts = [{"input_ids": np.zeros((1, length))} for length in (3, 9)]

    def run(name: str) -> Any:
        return lambda text: calls.append((name, text["input_ids"].shape[-1]))

    clock = iter(range(1000))
    monkeypatch.setattr(tuning, "perf_counter", lambda: float(next(clock)))
    assert tuning.time_in_turns([run("a"), run("b")], texts)[0] > 0
    assert calls[:4] == [("a", 3), ("b", 3), ("a", 3), ("b", 3)]
    assert calls.count(("a", 9)) == calls.count(("b", 3)) == 8
