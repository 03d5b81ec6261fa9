"""The model that ships, which is trained, on emulated CPUs: what programs other than ours compute
with its int8 files, and what our runtime computes beside the stored answers.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.paths import ROOT
from tokenizers import Tokenizer

import albert_edge
from albert_edge.compress.options import Compression, Int4, Int8, Int8Block
from albert_edge.runtime.session import Session

pytestmark = pytest.mark.emulation

EMULATION = ROOT / ".venv" / "emulation"
RAW, STORED = (ROOT / "tests" / "emulation" / name for name in ("raw.py", "stored_answers.py"))
SENTENCES = [
    "Where is the station?",
    "Wo ist der Bahnhof, bitte?",
    "¿Dónde está la estación de trenes?",
    "La bibliothèque ouvre à neuf heures.",
    "Il treno per Roma parte alle dieci.",
    "It rained for three days, so we stayed at home and read.",
]

Inputs = dict[str, npt.NDArray[np.int64]]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundles "signed", which has other precisions too, and "unsigned"."""
    folder = tmp_path_factory.mktemp("trained")
    ways: dict[str, tuple[Compression, ...]] = {
        "signed": (Int8(), Int8Block(), Int4()),
        "unsigned": (Int8(weights="unsigned"),),
    }
    for name, compressions in ways.items():
        albert_edge.export("langid-tiny", folder / name)
        for way in compressions:
            albert_edge.quantize(folder / name, way, texts=SENTENCES, min_cosine=0.99)
    return folder


def run_on(cpu: str, *arguments: str | Path) -> str:
    if not (EMULATION / "ready").exists():
        pytest.skip("`make emulate` makes the emulated CPUs")
    done = subprocess.run(
        [EMULATION / "bin" / cpu, *arguments],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def encoded(bundle: Path) -> list[Inputs]:
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    ids = [np.array([tokenizer.encode(text).ids]) for text in SENTENCES]
    return [
        {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": 0 * row}
        for row in ids
    ]


def test_in_other_programs_unsigned_weights_are_right_where_signed_ones_are_not(
    bundles: Path, tmp_path: Path
) -> None:
    runs = encoded(bundles / "signed")
    with Session(bundles / "signed", precision="int8") as session:  # whose sums are exact
        expected = [session.run(inputs)["logits"] for inputs in runs]
    arrays: dict[str, Any] = {
        f"{run}/{name}": values
        for run, inputs in enumerate(runs)
        for name, values in inputs.items()
    }
    np.savez(tmp_path / "inputs.npz", allow_pickle=False, **arrays)
    files = {name: bundles / name / "onnx/model_quantized.onnx" for name in ("signed", "unsigned")}
    run_on("Haswell", RAW, tmp_path / "inputs.npz", tmp_path / "out.npz", *files.values())
    with np.load(tmp_path / "out.npz") as outputs:
        errors = {
            name: max(
                np.abs(outputs[f"{file}/{run}/logits"] - logits).max()
                for run, logits in enumerate(expected)
            )
            for name, file in files.items()
        }
    assert errors["unsigned"] < 1e-3  # float rounding may turn an integer of an activation
    assert errors["signed"] > 0.1


def test_the_stored_answers_hold_on_another_cpu(bundles: Path) -> None:
    results = json.loads(run_on("cortex-a72", STORED, bundles / "signed"))
    assert set(results) == {"model", "model_quantized", "model_int8_block", "model_q4"}
    for variant, (difference, tolerance) in results.items():
        assert tolerance == (1e-4 if variant == "model" else 0.02)
        assert 0 <= difference <= tolerance, variant
