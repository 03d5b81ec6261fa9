"""int8 files opened by another program on a CPU whose sums of signed products saturate.

The model is the one that ships, which is trained; the program is onnxruntime, without anything of
this package.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.paths import ROOT

import albert_edge
from albert_edge.compress.options import Int8
from albert_edge.graph.plan import IntegerWeights
from albert_edge.runtime.session import Session

pytestmark = pytest.mark.emulation

EMULATION = ROOT / ".venv" / "emulation"
RAW = ROOT / "tests" / "emulation" / "raw.py"
CPUS = ("Haswell", "cortex-a72")
SATURATES = {"Haswell"}
WEIGHTS: tuple[IntegerWeights, ...] = ("signed", "unsigned")
SENTENCES = [
    "Where is the station?",
    "Wo ist der Bahnhof, bitte?",
    "¿Dónde está la estación de trenes?",
    "La bibliothèque ouvre à neuf heures.",
    "Il treno per Roma parte alle dieci.",
    "It rained for three days, so we stayed at home and read.",
]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("unsigned")
    for weights in WEIGHTS:
        albert_edge.export("langid-tiny", folder / weights)
        albert_edge.quantize(folder / weights, Int8(weights=weights), texts=SENTENCES)
    return {weights: folder / weights for weights in WEIGHTS}


@pytest.fixture(scope="module")
def expected(bundles: dict[str, Path]) -> list[Any]:
    """The logits of this machine, whose sums are exact: the runtime sees to that."""
    with Session(bundles["signed"], precision="int8") as session:
        return [session.run(inputs)["logits"] for inputs in encoded(bundles["signed"])]


def encoded(bundle: Path) -> list[dict[str, Any]]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    ids = [np.array([tokenizer.encode(text).ids]) for text in SENTENCES]
    return [
        {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": 0 * row}
        for row in ids
    ]


@pytest.mark.parametrize("cpu", CPUS)
def test_unsigned_weights_are_right_where_signed_ones_are_not(
    cpu: str, bundles: dict[str, Path], expected: list[Any], tmp_path: Path
) -> None:
    if not (EMULATION / "ready").exists():
        pytest.skip("`make emulate` makes the emulated CPUs")
    runs = enumerate(encoded(bundles["signed"]))
    arrays = {f"{run}/{name}": values for run, inputs in runs for name, values in inputs.items()}
    np.savez(tmp_path / "inputs.npz", allow_pickle=False, **arrays)
    files = {weights: str(bundles[weights] / "onnx/model_quantized.onnx") for weights in WEIGHTS}
    done = subprocess.run(
        [
            EMULATION / "bin" / cpu,
            RAW,
            tmp_path / "inputs.npz",
            tmp_path / "out.npz",
            *files.values(),
        ],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as outputs:
        errors = {
            weights: max(
                float(np.abs(outputs[f"{file}/{run}/logits"] - logits).max())
                for run, logits in enumerate(expected)
            )
            for weights, file in files.items()
        }

    assert errors["unsigned"] < 0.01  # float rounding turns a few integers of activations
    if cpu in SATURATES:
        assert errors["signed"] > 0.1
    else:
        assert errors["signed"] == errors["unsigned"]
