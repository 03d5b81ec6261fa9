"""Memory over many texts of mixed lengths, under each policy onnxruntime has for its memory.

    python benchmarks/soak.py [--texts 100000] [--others 10000] [--model langid-tiny] [--json FILE]
    python benchmarks/soak.py --model base --texts 1000 --others 200

A pipeline answers a generator of texts, workers included. `langid-tiny` is the model that ships;
`base` has albert-base geometry, random weights and the same tokenizer. Texts are 1 to 120 words of
the built-in sample, more of them short than long, no two alike. Every policy runs in a process of
its own; the first, which is the default of albert-edge, over all --texts, the others over --others.
RSS, which includes the model and the libraries, is read after every text, and its maximum in each
tenth of the texts is shown. Memory is flat if the last tenths are no higher than the second.

Policies:
    chosen           an arena that keeps what it allocated; no memory plan for each shape
    plans            the same with such plans (enable_mem_pattern), onnxruntime's default
    no arena         every buffer is allocated by malloc and freed
    shrinking arena  the arena is freed after every run
"""

from __future__ import annotations

import random
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import command

import models
from albert_edge.benchmark.memory import read_memory
from albert_edge.benchmark.process import Worker
from albert_edge.runtime.cpus import usable_cpus

CHOSEN = "chosen"
POLICIES = (CHOSEN, "plans", "no arena", "shrinking arena")
TENTHS = 10


def texts(count: int) -> Iterator[str]:
    """Texts of 1 to 120 words, the same each time."""
    words = [word for line in models.sample_lines() for word in line.split()]
    draw = random.Random(0)
    for _ in range(count):
        yield " ".join(draw.choices(words, k=round(120 ** draw.random())))


def apply(policy: str) -> None:
    """Have all sessions of this process that are loaded from now on follow a policy."""
    from albert_edge.runtime import engine, session
    from albert_edge.runtime.providers import load_onnxruntime

    default = engine.session_options

    def options(threads: int) -> Any:
        options = default(threads)
        options.enable_mem_pattern = policy == "plans"
        options.enable_cpu_mem_arena = policy != "no arena"
        return options

    def run_options() -> Any:
        options = load_onnxruntime().RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return options

    if policy != CHOSEN:
        engine.session_options = options
    if policy == "shrinking arena":
        runtime = SimpleNamespace(RunOptions=run_options)
        vars(session)["load_onnxruntime"] = lambda: runtime


def answer(bundle: Path, precision: str, policy: str, count: int) -> dict[str, Any]:
    """Answer texts, and read how much memory that takes; in a process of its own."""
    from albert_edge import pipeline

    apply(policy)
    classify = pipeline(model=bundle, precision=precision, device="cpu", truncation=True)
    loaded, start = read_memory()[0], perf_counter()
    most = [0.0] * TENTHS
    for index, _ in enumerate(classify.stream(texts(count))):
        tenth = index * TENTHS // count
        most[tenth] = max(most[tenth], read_memory()[0])
    seconds = perf_counter() - start
    return {"loaded_mb": loaded, "most_mb": most, "texts_per_second": count / seconds}


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """All policies, each in both precisions."""
    model = options.model
    if model in models.GEOMETRIES:
        model = models.make_checkpoint(folder / "model", model)
    bundle = models.make_bundle(model, folder / "bundle", "int8")
    rows = {}
    for policy in POLICIES:
        for precision in ("int8", "fp32"):
            first = policy == CHOSEN and precision == "int8"
            count = options.texts if first else options.others
            with Worker(folder / "log", usable_cpus(), []) as worker:
                row = worker.call(answer, bundle, precision, policy, count)
            rows[f"{policy}, {precision}"] = {"texts": count, **row}
            command.log(f"{policy}, {precision}: {row['most_mb'][-1]:.0f} MB")
    return {"model": options.model, "policies": rows}


BENCHMARK = command.Benchmark(measure, model="langid-tiny", texts=100_000, others=10_000)

if __name__ == "__main__":
    command.main("soak")
