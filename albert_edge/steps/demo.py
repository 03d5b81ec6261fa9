"""All steps on the included model: export, optimize, quantize, predict, evaluate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.checkpoint.recipes import models_folder
from albert_edge.disk.writing import scratch_folder
from albert_edge.runtime.load import pipeline
from albert_edge.runtime.session import Session
from albert_edge.runtime.tasks.text_classification import Label, TextClassificationPipeline
from albert_edge.steps.export import export
from albert_edge.steps.optimize import optimize
from albert_edge.steps.quantize import quantize

T = TypeVar("T")

MODEL = "langid-tiny"
LOADS = 3
SENTENCES = (
    "Where is the station?",
    "Wo ist der Bahnhof?",
    "Pouvez-vous m'aider à trouver la gare ?",
    "¿Dónde está la estación?",
    "车站在哪里?",
)


@dataclass(frozen=True, slots=True)
class DemoRow:
    """One variant: size of its file, median times to load and to answer a text, accuracy."""

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
        texts: How many held-out texts it was evaluated on.
        threads: Threads per run.
        rows: One per variant.
    """

    model: str
    texts: int
    threads: int
    rows: list[DemoRow]


def run_demo(out: Path | None, say: Callable[[str], None]) -> DemoReport:
    """Export, optimize, quantize, run and evaluate the included model.

    Args:
        out: Where to keep the bundle, which may hold that of an earlier demo; a temporary
            folder if None.
        say: Called with lines of text about the progress.
    """
    with _folder(out) as folder:
        say(f"Exporting {MODEL} ...")
        exported = export(MODEL, folder, force=_is_earlier_demo(folder))
        say(f"  {exported.model_bytes / 1e6:.1f} MB, for {exported.head}")
        say("Optimizing for this CPU ...")
        optimized = optimize(folder)
        say(
            f"  {optimized.nodes_before} operators before, {optimized.nodes_after} after; "
            f"largest difference {optimized.largest_difference:.1e}"
        )
        say("Quantizing to int8, and comparing its answers with those of fp32 ...")
        quantized = quantize(folder)
        quality, int8 = quantized.quality, quantized.variant
        assert quality and int8  # a refusal would have been an error
        say(f"  cosine {quality.cosine:.5f} on {quality.texts} texts")
        say(f"Answering {len(SENTENCES)} texts in int8 ...")
        with pipeline(model=folder) as classify:
            for text in SENTENCES:
                best = classify(text)[0]
                say(f"  {best['label']}  {best['score']:.3f}  {text}")
        lines = (models_folder() / MODEL / "test.tsv").read_text(encoding="utf-8").splitlines()
        examples = [tuple(line.split("\t")) for line in lines[1:]]
        names = ("model", optimized.variant.name, int8.name)
        say(f"Measuring {len(names)} variants in turns on {len(examples):,} held-out texts ...")
        rows = _measure(folder, names, examples)
        return DemoReport(MODEL, len(examples), classify.session.threads, rows)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield out
        return
    with scratch_folder() as scratch:
        yield scratch / MODEL


def _is_earlier_demo(folder: Path) -> bool:
    return (folder / MANIFEST).exists() and open_bundle(folder).manifest.source == MODEL


def _measure(
    folder: Path, names: tuple[str, ...], examples: list[tuple[str, ...]]
) -> list[DemoRow]:
    """Measure the variants in turns, so that other load on the machine slows all of them."""
    loads = [[_timed(Session, folder, variant=name) for name in names] for _ in range(LOADS)]
    sessions = [session for session, _ in loads[-1]]
    pipelines = [TextClassificationPipeline[Label](session) for session in sessions]
    latencies: list[list[float]] = [[] for _ in names]
    correct = [0] * len(names)
    for number, (text, label) in enumerate(examples):
        for turn in range(len(names)):
            index = (number + turn) % len(names)
            answer, seconds = _timed(pipelines[index], text, truncation=True)
            latencies[index].append(seconds)
            correct[index] += answer[0]["label"] == label
    return [
        DemoRow(
            variant=name,
            bytes=sessions[index].variant.bytes,
            load_ms=1e3 * median(in_turn[index][1] for in_turn in loads),
            latency_ms=1e3 * median(latencies[index]),
            accuracy=correct[index] / len(examples),
        )
        for index, name in enumerate(names)
    ]


def _timed(work: Callable[..., T], *arguments: Any, **options: Any) -> tuple[T, float]:
    """Return the result of a call, and the seconds it took."""
    start = perf_counter()
    result = work(*arguments, **options)
    return result, perf_counter() - start
