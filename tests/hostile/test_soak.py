"""Hours of mixed work: memory, descriptors and threads stay level.

SOAK_MINUTES is how long (by default as few rounds as can be judged), SOAK_SHARE how much of a
processor to use (1 by default).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.hostile import Row
from support.paths import ROOT
from support.pipelines import checkpoint
from support.soak import LEAKS, LEAST_ROUNDS, MOST_GROWTH_MB, Sample, complaints

import albert_edge

pytestmark = pytest.mark.slow

MINUTES = float(os.environ.get("SOAK_MINUTES", "0"))
SHARE = os.environ.get("SOAK_SHARE", "1")
HEADS = (
    "feature-extraction",
    "fill-mask",
    "multiple-choice",
    "pretraining",
    "question-answering",
    "text-classification",
    "token-classification",
)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each head, fp32 and int8, as a folder and packed; and the model that ships."""
    folder = tmp_path_factory.mktemp("soak")
    (folder / "bundles").mkdir()
    for head in HEADS:
        source = checkpoint(folder / "checkpoints" / head, head, "spiece.model")
        make_bundle(source, folder / "bundles" / head)
        albert_edge.pack(folder / "bundles" / head, folder / "bundles" / f"{head}.albert")
    make_bundle(ROOT / "models" / "langid-tiny", folder / "bundles" / "langid-tiny")
    return folder / "bundles"


def make_bundle(source: Path, out: Path) -> None:
    albert_edge.export(source, out)
    texts = ["good film", "a bad film"]
    albert_edge.quantize(out, precision="int8", texts=texts, min_agreement=0.0, min_cosine=0.0)


def soak(bundles: Path, minutes: float, *options: str) -> list[Sample]:
    """Work in a process of its own, with only what the runtime imports."""
    command = [sys.executable, "-m", "support.soak", str(bundles), "--minutes", str(minutes)]
    changes = {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)]),
        # Threads that come and go get an arena of malloc each, whose free pages stay in them: 30 MB
        # that move up and down by 6, in which a leak would not be seen for half an hour.
        "MALLOC_ARENA_MAX": "1",
    }
    done = subprocess.run(
        [*command, *options], stdout=subprocess.PIPE, env={**os.environ, **changes}, check=True
    )
    return [Sample(**sample) for sample in json.loads(done.stdout)]


def test_level_over_mixed_work(bundles: Path, report: Callable[[Row], None]) -> None:
    samples = soak(bundles, MINUTES, "--share", SHARE)
    found = complaints(samples)
    minutes = f"{samples[-1].seconds / 60:.0f}"
    promise = f"Memory, descriptors and threads stay level over {minutes} minutes of mixed work"
    report(Row(promise, len(samples), len(found)))
    assert found == []


def test_every_leak_is_caught_in_a_real_run(bundles: Path, tmp_path: Path) -> None:
    """One bundle is enough; each leak has its own complaint."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "model").symlink_to(bundles / "text-classification")
    samples = soak(tmp_path / "one", 0, *(f"--leak={leak}" for leak in LEAKS))
    assert len(samples) == LEAST_ROUNDS
    for what, complaint in zip(
        ("memory", "descriptors", "threads"), complaints(samples), strict=True
    ):
        assert complaint.startswith(what)


# The judge, on made-up runs


def run(rounds: int = 400, change: Callable[[int, Sample], Sample] | None = None) -> list[Sample]:
    """A level run with a noise of 4 MB and a warm-up that grows by 30 MB."""
    draw, samples = random.Random(1), []
    for at in range(rounds):
        warm = 30 * min(1.0, 8 * at / rounds)
        sample = Sample(float(at), 100 + warm + draw.uniform(0, 4), 6, 1)
        samples.append(change(at, sample) if change else sample)
    return samples


def test_a_level_run_has_no_complaint() -> None:
    assert complaints(run()) == []


def test_a_few_high_rounds_are_no_complaint() -> None:
    def spike(at: int, sample: Sample) -> Sample:
        return replace(sample, megabytes=sample.megabytes + 50 * (at % 10 == 0))

    assert complaints(run(change=spike)) == []


@pytest.mark.parametrize("rounds", [LEAST_ROUNDS, 100, 4_000])
def test_steady_growth_is_a_complaint(rounds: int) -> None:
    def grow(at: int, sample: Sample) -> Sample:
        return replace(sample, megabytes=sample.megabytes + 4 * MOST_GROWTH_MB * at / rounds)

    (complaint,) = complaints(run(rounds, grow))
    assert complaint.startswith("memory grew")


@pytest.mark.parametrize("what", ["descriptors", "threads"])
def test_one_more_at_the_end_is_a_complaint(what: str) -> None:
    def add(at: int, sample: Sample) -> Sample:
        return replace(sample, **{what: getattr(sample, what) + (at >= 399)})

    (complaint,) = complaints(run(change=add))
    assert complaint.startswith(f"{what} vary")


def test_too_few_rounds_are_a_complaint() -> None:
    assert complaints(run(LEAST_ROUNDS - 1))
