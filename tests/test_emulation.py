"""Bundles on other CPUs, emulated: what the host's own CPU can do must not decide the answers.

`make emulate` prepares the emulators and runs these tests alone.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import TINY, make_model

import albert_edge
from albert_edge.measure.parity import TOLERANCE, transformers_run

pytestmark = pytest.mark.emulation

ROOT = Path(__file__).parents[1]
EMULATION = ROOT / ".venv" / "emulation"
FORWARD = ROOT / "tests" / "emulation" / "forward.py"
TASK = "text-classification"
PRECISIONS = {"fp32": "model_optimized"}  # and the variant that is to be chosen for it
LABELS = 4
# int8: how alike the logits must be, and a lead of the best label that no rounding may turn. A row
# of 24 random weights loses more than one of 256; arithmetic that overflows gets below both by far.
COSINE = {"tiny": 0.995, "wide": 0.999}
CLEAR = 0.2
MODELS: dict[str, dict[str, Any]] = {
    "tiny": {},  # 2 groups of 2 layers, and sizes that are no multiple of a vector register
    "wide": {
        "embedding_size": 64,
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_attention_heads": 4,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
    },
}

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Cpu:
    """An emulated CPU: the machine it is one of, and instructions it has and lacks."""

    name: str
    machine: str
    has: frozenset[str]
    lacks: frozenset[str]


CPUS = [
    Cpu("Haswell", "x86_64", frozenset({"AVX2", "FMA3"}), frozenset({"AVX512F", "AVX512VNNI"})),
    Cpu("Nehalem", "x86_64", frozenset({"SSE42"}), frozenset({"AVX", "AVX2", "FMA3"})),
    Cpu("cortex-a72", "aarch64", frozenset({"ASIMD"}), frozenset({"ASIMDDP", "ASIMDHP"})),
    Cpu("cortex-a76", "aarch64", frozenset({"ASIMD", "ASIMDDP"}), frozenset({"SVE"})),
]

every_precision = pytest.mark.parametrize("precision", PRECISIONS)
every_model = pytest.mark.parametrize("model", MODELS)


def make_inputs(vocabulary: Any) -> list[Arrays]:
    """Sixty single texts of all lengths up to 12, and a longer batch with padding."""
    random = np.random.default_rng(0)
    inputs = []
    for lengths in (*([1 + index % 12] for index in range(60)), [17, 1, 6]):
        shape = (len(lengths), max(lengths))
        inputs.append(
            {
                "input_ids": random.integers(0, vocabulary, shape),
                "attention_mask": (np.arange(shape[1]) < np.c_[lengths]).astype(np.int64),
                "token_type_ids": random.integers(0, 2, shape),
            }
        )
    return inputs


INPUTS = make_inputs(TINY["vocab_size"])


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle of each model, and what they are to be asked."""
    folder = tmp_path_factory.mktemp("emulation")
    arrays: Arrays = {}
    for name, config in MODELS.items():
        checkpoint = folder / f"{name}-checkpoint"
        make_model(TASK, num_labels=LABELS, **config).save_pretrained(checkpoint)
        albert_edge.export(checkpoint, folder / name)
        albert_edge.optimize(folder / name)
        for index, each in enumerate(INPUTS):
            arrays |= {f"{name}/{index}/{key}": array for key, array in each.items()}
    np.savez(folder / "inputs.npz", allow_pickle=False, **arrays)
    return folder


@pytest.fixture(scope="module")
def expected(bundles: Path) -> Arrays:
    """Logits of each model by transformers on the host, one row for each text."""
    logits = {}
    for name in MODELS:
        run = transformers_run(bundles / f"{name}-checkpoint", TASK)
        logits[name] = np.concatenate([run(arrays)["logits"] for arrays in INPUTS])
    return logits


@pytest.fixture(scope="module", params=CPUS, ids=lambda cpu: cpu.name)
def cpu(request: pytest.FixtureRequest) -> Cpu:
    cpu: Cpu = request.param
    if not (EMULATION / "ready").exists():
        pytest.skip(
            "`make emulate` makes the emulated CPUs, on an x86-64 machine with apt-get and dpkg, "
            "of Debian's packages qemu-user-static and, for arm64, python3"
        )
    return cpu


@pytest.fixture(scope="module")
def outputs(cpu: Cpu, bundles: Path) -> Arrays:
    """What one process on a CPU gave for every input, model and precision."""
    path = bundles / f"{cpu.name}.npz"
    done = subprocess.run(
        [EMULATION / "bin" / cpu.name, FORWARD, bundles, bundles / "inputs.npz", path, *PRECISIONS],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"exit status {done.returncode} on {cpu.name}\n{done.stderr}"
    with np.load(path) as arrays:
        return dict(arrays)


def logits_of(outputs: Arrays, precision: str, model: str) -> npt.NDArray[Any]:
    return np.concatenate(
        [outputs[f"{precision}/{model}/{index}/logits"] for index in range(len(INPUTS))]
    )


# --- that it is another CPU -----------------------------------------------------------------


def test_the_cpu_is_what_it_is_called(cpu: Cpu, outputs: Arrays) -> None:
    assert outputs["cpu/machine"] == cpu.machine
    assert cpu.has | cpu.lacks <= set(outputs["cpu/known"])  # else lacking it would say nothing
    found = set(outputs["cpu/has"])
    assert cpu.has <= found
    assert not cpu.lacks & found


# --- the answers ----------------------------------------------------------------------------


@every_model
@every_precision
def test_the_answers_are_those_of_transformers(
    precision: str, model: str, outputs: Arrays, expected: Arrays
) -> None:
    found = logits_of(outputs, precision, model)
    assert found.shape == expected[model].shape == (63, LABELS)
    if precision == "fp32":
        assert np.abs(found - expected[model]).max() <= TOLERANCE
    else:
        assert cosine(found, expected[model]) >= COSINE[model]
        clear = lead(expected[model]) > CLEAR
        assert clear.sum() >= 32
        assert (found.argmax(axis=1) == expected[model].argmax(axis=1))[clear].all()


@every_precision
def test_the_variant_of_that_precision_was_run(precision: str, outputs: Arrays) -> None:
    for model in MODELS:
        assert outputs[f"{precision}/{model}/variant"] == PRECISIONS[precision]


def cosine(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> float:
    return float((left * right).sum() / np.linalg.norm(left) / np.linalg.norm(right))


def lead(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """How far the best label of each row is ahead of the second."""
    ranked = np.sort(logits, axis=1)
    lead: npt.NDArray[Any] = ranked[:, -1] - ranked[:, -2]
    return lead
