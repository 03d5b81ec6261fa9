"""Bundles on other CPUs, emulated: what the host's own CPU can do must not decide the answers.

`make emulate` prepares the emulators and runs these tests alone.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
from support.checkpoints import TINY, make_model
from support.paths import ROOT

import albert_edge
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.change import change
from albert_edge.check.parity import TOLERANCE, transformers_run
from albert_edge.runtime import adaptation
from albert_edge.runtime.session import Session

pytestmark = pytest.mark.emulation

EMULATION = ROOT / ".venv" / "emulation"
FORWARD = ROOT / "tests" / "emulation" / "forward.py"
PRECISIONS = {  # and the variant that is to be chosen for it
    "fp32": "model_optimized",
    "int8": "model_quantized",
    "int8-block": "model_int8_block",
    "int4": "model_q4",
}
LABELS = 4
# How alike transformers' logits and compressed ones must be, and a lead of the best label that no
# rounding to eight bits may turn. A row of 24 random weights loses more than one of 256; arithmetic
# that overflows gets below both by far.
COSINE = {
    "int8": {"tiny": 0.99, "wide": 0.999, "words": 0.998},
    "int8-block": {"tiny": 0.995, "wide": 0.999, "words": 0.998},
    "int4": {"tiny": 0.8, "wide": 0.9, "words": 0.95},
}
CLEAR = 0.2
# How alike those of the host and of another CPU must be. Float rounding turns few of int8's
# integers; in the others, activations are rounded where the CPU has instructions for it alone.
SAME = {"int8": 0.9999, "int8-block": 0.998, "int4": 0.998}
FORCED = "int8-forced"  # signed weights on a CPU that needs unsigned ones; see forward.py
TASKS = {"tiny": "text-classification", "wide": "text-classification", "words": "fill-mask"}
MODELS: dict[str, dict[str, Any]] = {
    "tiny": {},  # 2 groups of 2 layers, and sizes that are no multiple of a vector register
    "wide": {
        "embedding_size": 64,
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
    },
    "words": {},  # whose decoder multiplies with the table of the embeddings
}

Arrays = dict[str, npt.NDArray[Any]]


# The models whose manifests allow activations of 7 bits, for CPUs that need them.
NARROW = {"tiny", "wide"}


@dataclass(frozen=True, slots=True)
class Cpu:
    """An emulated CPU: the machine it is one of, and instructions it has and lacks.

    `exact` is whether it adds products of signed weights exactly: with AVX2, pairs overflow.
    """

    name: str
    machine: str
    has: frozenset[str]
    lacks: frozenset[str]
    exact: bool = True


CPUS = [
    Cpu(
        "Haswell",
        "x86_64",
        frozenset({"AVX2", "FMA3"}),
        frozenset({"AVX512F", "AVX512VNNI"}),
        False,
    ),
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


SHORT_AND_LONG = make_inputs(TINY["vocab_size"])
# A few do for 300 logits a token; and half, with all lengths, for what takes nearly all the time.
INPUTS = {"tiny": SHORT_AND_LONG, "wide": SHORT_AND_LONG[30:], "words": SHORT_AND_LONG[::5]}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle of each model, and what they are to be asked."""
    folder = tmp_path_factory.mktemp("emulation")
    arrays: Arrays = {}
    for name, config in MODELS.items():
        checkpoint = folder / f"{name}-checkpoint"
        make_model(TASKS[name], num_labels=LABELS, **config).save_pretrained(checkpoint)
        albert_edge.export(checkpoint, folder / name)
        albert_edge.optimize(folder / name)
        for precision in COSINE:
            # Small random weights round badly, and would be refused. Here they need not be good,
            # but as good on every CPU.
            choice: Any = precision
            albert_edge.quantize(folder / name, precision=choice, min_agreement=0, min_cosine=0)
        if name not in NARROW:
            forbid_narrow_activations(folder / name)
        for index, each in enumerate(INPUTS[name]):
            arrays |= {f"{name}/{index}/{key}": array for key, array in each.items()}
    np.savez(folder / "inputs.npz", allow_pickle=False, **arrays)
    return folder


def forbid_narrow_activations(bundle: Path) -> None:
    """As where the answers were not good enough with them."""
    with change(bundle) as pending:
        manifest = open_bundle(bundle).manifest
        variants = [replace(one, narrow_activations=False) for one in manifest.variants]
        pending.manifest = replace(manifest, variants=tuple(variants))


@pytest.fixture(scope="module")
def expected(bundles: Path) -> Arrays:
    """Logits of each model by transformers on the host."""
    logits = {}
    for name, task in TASKS.items():
        run = transformers_run(bundles / f"{name}-checkpoint", task)
        logits[name] = as_rows(name, [run(arrays)["logits"] for arrays in INPUTS[name]])
    return logits


@pytest.fixture(scope="module")
def host(bundles: Path) -> dict[tuple[str, str], npt.NDArray[Any]]:
    """Logits of each precision and model as this machine's own CPU computes them."""
    logits = {}
    for precision in PRECISIONS:
        for name in MODELS:
            with Session(bundles / name, precision=precision, threads=1) as session:
                found = [session.run(arrays)["logits"] for arrays in INPUTS[name]]
            logits[precision, name] = as_rows(name, found)
    for name in NARROW:
        with mock.patch.object(adaptation, "adds_signed_weights_exactly", lambda: False):
            session = Session(bundles / name, precision="int8", threads=1)
        found = [session.run(arrays)["logits"] for arrays in INPUTS[name]]
        logits["narrow", name] = as_rows(name, found)
    return logits


def as_rows(model: str, logits: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """One row for each text or, of a fill-mask model, for each token that is not padding."""
    if TASKS[model] == "fill-mask":
        pairs = zip(logits, INPUTS[model], strict=True)
        logits = [values[arrays["attention_mask"] == 1] for values, arrays in pairs]
    return np.concatenate(logits)


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
    precisions = [*PRECISIONS] if cpu.exact else [*PRECISIONS, FORCED]
    done = subprocess.run(
        [EMULATION / "bin" / cpu.name, FORWARD, bundles, bundles / "inputs.npz", path, *precisions],
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
    count = len(INPUTS[model])
    return as_rows(model, [outputs[f"{precision}/{model}/{i}/logits"] for i in range(count)])


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
    assert found.shape == expected[model].shape
    rows = {"tiny": (63, LABELS), "wide": (33, LABELS), "words": (102, TINY["vocab_size"])}
    assert found.shape == rows[model]
    if precision == "fp32":
        assert np.abs(found - expected[model]).max() <= TOLERANCE
    else:
        assert cosine(found, expected[model]) >= COSINE[precision][model]
    if precision in ("int8", "int8-block"):
        clear = lead(expected[model]) > CLEAR
        assert clear.sum() >= min(32, len(clear) // 2)
        assert (found.argmax(axis=1) == expected[model].argmax(axis=1))[clear].all()


@every_model
@every_precision
def test_the_answers_are_those_of_this_machine(
    precision: str,
    model: str,
    cpu: Cpu,
    outputs: Arrays,
    host: dict[tuple[str, str], npt.NDArray[Any]],
) -> None:
    """What a bundle was judged by where it was made holds where it runs."""
    is_narrow = adaptation_on(cpu, precision, model) == "narrow-activations"
    found, ours = logits_of(outputs, precision, model), host[precision, model]
    if is_narrow:
        assert cosine(found, ours) < SAME["int8"]  # it is not 8 bits
        ours = host["narrow", model]
    if precision == "fp32":
        assert np.abs(found - ours).max() <= TOLERANCE
    else:
        assert cosine(found, ours) >= SAME[precision]


@every_precision
def test_models_are_changed_to_what_the_cpu_is_right_with(
    precision: str, cpu: Cpu, outputs: Arrays
) -> None:
    for model in MODELS:
        changed = adaptation_on(cpu, precision, model)
        assert outputs[f"{precision}/{model}/adaptation"] == str(changed)


def adaptation_on(cpu: Cpu, precision: str, model: str) -> str | None:
    if cpu.exact or precision not in ("int8", "int8-block"):
        return None
    is_narrow = precision == "int8" and model in NARROW
    return "narrow-activations" if is_narrow else "unsigned-weights"


@every_model
def test_with_signed_weights_a_cpu_that_needs_unsigned_ones_is_wrong(
    model: str, cpu: Cpu, outputs: Arrays, expected: Arrays
) -> None:
    """That the tests above would notice."""
    if cpu.exact:
        pytest.skip("adds products of signed weights exactly")
    assert outputs[f"{FORCED}/{model}/adaptation"] == "None"
    right = cosine(logits_of(outputs, "int8", model), expected[model])
    wrong = cosine(logits_of(outputs, FORCED, model), expected[model])
    assert wrong < COSINE["int8"][model]
    assert 1 - wrong > 10 * (1 - right)


def test_products_of_bytes_are_exact_integers(cpu: Cpu, outputs: Arrays) -> None:
    """Where sums of signed products do not overflow, no bit depends on the CPU."""
    x, weights = (outputs[f"integers/{name}"].astype(np.int64) for name in ("x", "weights"))
    assert np.array_equal(outputs["integers/product"], x @ weights) == cpu.exact


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
