"""The main job on the model that ships: export, optimize, quantize, answer, score."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.checkpoint.recipes import models_folder
from albert_edge.runtime.load import pipeline
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.session import Session
from albert_edge.steps.export import export
from albert_edge.steps.optimize import optimize
from albert_edge.steps.quantize import quantize

MODEL = "langid-tiny"
SENTENCES = (
    "Where is the station?",
    "Wo ist der Bahnhof?",
    "Pouvez-vous m'aider à trouver la gare ?",
    "¿Dónde está la estación?",
    "车站在哪里?",
)


@dataclass(frozen=True, slots=True)
class DemoRow:
    """One variant: bytes of its file, milliseconds to load and per text, share of right answers."""

    variant: str
    bytes: int
    load_ms: float
    latency_ms: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo measured.

    Attributes:
        model: The model.
        texts: How many held-out lines it was scored on.
        threads: Threads inside one run.
        rows: One per variant.
    """

    model: str
    texts: int
    threads: int
    rows: list[DemoRow]


def run_demo(out: Path | None, say: Callable[[str], None]) -> DemoReport:
    """Export, optimize, quantize, run and score the model that ships.

    Args:
        out: Where to keep the bundle, which may hold that of an earlier demo; a temporary
            folder if None.
        say: Told about every step.
    """
    with _folder(out) as folder:
        report = export(MODEL, folder, force=_is_earlier_demo(folder))
        say(f"Exported {MODEL} ({report.task}, {report.weight_bytes} bytes of weights).")
        optimized = optimize(folder)
        say(
            f"Optimized: {optimized.nodes_before} operators became {optimized.nodes_after}, "
            f"answers within {optimized.largest_difference:.1e}."
        )
        quantized = quantize(folder)
        quality, int8 = quantized.quality, quantized.variant
        assert quality and int8  # a refusal would have been an error
        say(f"Quantized to int8: cosine {quality.cosine:.5f} beside fp32 on {quality.texts} texts.")
        with pipeline(model=folder) as classify:
            for sentence in SENTENCES:
                best = classify(sentence)[0]
                say(f"  {best['label']}  {best['score']:.3f}  {sentence}")
        lines = (models_folder() / MODEL / "test.tsv").read_text(encoding="utf-8").splitlines()
        examples = [tuple(line.split("\t")) for line in lines[1:]]
        names = ("model", optimized.variant.name, int8.name)
        rows = [_score(folder, name, examples) for name in names]
        return DemoReport(MODEL, len(examples), classify.session.threads, rows)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch) / MODEL


def _is_earlier_demo(folder: Path) -> bool:
    return (folder / MANIFEST).exists() and open_bundle(folder).manifest.source == MODEL


def _score(folder: Path, variant: str, examples: list[tuple[str, ...]]) -> DemoRow:
    start = perf_counter()
    session = Session(folder, variant=variant)
    load = perf_counter() - start
    classify = Pipeline("text-classification", session)
    seconds, right = [], 0
    for text, label in examples:
        start = perf_counter()
        answer = classify(text, truncation=True)
        seconds.append(perf_counter() - start)
        right += answer[0]["label"] == label
    return DemoRow(
        variant=variant,
        bytes=session.variant.bytes,
        load_ms=1e3 * load,
        latency_ms=1e3 * median(seconds),
        accuracy=right / len(examples),
    )
