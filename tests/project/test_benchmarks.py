"""Every benchmark runs, with a tiny model and one round, through the recorder and its tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.paths import ROOT
from support.quantizing import make_bundle

sys.path.insert(0, str(ROOT / "benchmarks"))

import command
import record
import specialize
from renderers import TABLES

import models
from albert_edge.benchmark import turns
from albert_edge.bundle.bundle import open_bundle

pytestmark = pytest.mark.slow

TINY = ["--geometry", "tiny", "--rounds", "1"]
OPTIONS = {
    "bench": [*TINY, "--shapes", "1x8,2x16", "--against", "openvino"],
    "fp32": TINY,
    "geometries": TINY,
    "hostile": ["--part", "--tests", "tests/hostile/test_signatures.py"],
    "int8": [
        *(*TINY, "--texts", "3", "--shapes", "1x128", "--models", "outliers pooled"),
        *("--contender", "albert-edge fp32", "albert-edge int8"),
        *("ORT O2+dynamic int8", "OpenVINO int8 static, bf16"),
    ],
    "quantize": TINY,
    "soak": ["--model", "tiny", "--texts", "20", "--others", "10"],
    "specialize": [
        *("--model", "langid-tiny", "--way", "exits", "--texts", "60", "--measured", "8"),
        *("--chunks", "2", "--starts", "1", "--min-agreement", "0.5", "--no-peers"),
    ],
    "specialize_random": [
        *("--geometry", "tiny", "--texts", "60", "--measured", "4", "--starts", "1"),
        *("--min-agreement", "0.5"),
    ],
    "start": [*TINY, "--no-install"],
    "throughput": [
        *("--geometry", "tiny", "--texts", "4", "--chunks", "2", "--batch-size", "1"),
        *("--contender", "albert-edge int8", "transformers fp32", "OpenVINO int8"),
    ],
}


def test_every_benchmark_has_a_tiny_plan() -> None:
    assert {*OPTIONS} == {*command.names()} - {"gpu"}  # tests/runtime/test_gpu.py rehearses it


@pytest.mark.parametrize("name", OPTIONS)
def test_a_tiny_plan_is_measured_kept_and_shown(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "MEASURED", tmp_path)
    monkeypatch.setattr(record, "SECONDS", 0.1)
    monkeypatch.setattr(turns, "TURN", 0.05)
    monkeypatch.setattr(models, "SHAPES", "1x8,1x32,2x16")
    monkeypatch.setattr(sys, "argv", ["record.py", name, *OPTIONS[name]])
    record.main()
    [path] = tmp_path.iterdir()
    [kept] = record.read_records(path).values()
    assert kept["command"].startswith(f"python benchmarks/record.py {name} ")
    rendered = [table for table in TABLES.values() if table.source == name]
    assert rendered
    for table in rendered:
        text = table.render(kept["figures"])
        assert len(text.splitlines()) > 2, text
        assert "albert-edge" in text or "int8" in text or "failures" in text


def test_tokens_that_are_no_answers_do_not_count_and_exits_are_compared_with_none(
    tmp_path: Path,
) -> None:
    bundle = open_bundle(make_bundle(tmp_path, "token-classification"))
    every = bundle.read_config().num_hidden_layers

    def answer(classes: list[int], layers: int = every) -> dict[str, Any]:
        return {"logits": np.eye(2)[[classes]], "layers": np.array([layers])}

    inputs = [{"input_ids": np.ones((1, 4), int)}] * 3
    full = [(2.0, answer([0, 1, 1, 0]))] * 3
    texts = [
        (0.5, answer([1, 1, 1, 1])),
        (0.6, answer([0, 0, 1, 0])),
        (9.0, answer([0, 1, 1, 0], layers=1)),
    ]
    figures = specialize.compare_with_full(bundle, inputs, texts, full, [(0.5, {})] * 3)
    assert figures["agreement"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert (figures["at_the_end"], figures["time_over_no_exits"]) == (2, pytest.approx(1.1))
    assert figures["mean_layers"] == pytest.approx((2 * every + 1) / 3)


def test_a_benchmark_is_a_script_too(tmp_path: Path) -> None:
    script = ROOT / "benchmarks/start.py"
    options = [*OPTIONS["start"], "--json", str(tmp_path / "figures.json")]
    done = subprocess.run([sys.executable, str(script), *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("| | time, s (median) |")
    assert (tmp_path / "figures.json").stat().st_size > 0
