"""Measure what specializing takes, on random weights of base size, where nothing can be gained.

    python benchmarks/specialize_random.py [--geometry base] [--texts 2000] [--measured 50]
        [--json FILE]

    pip install 'albert-edge[cpu,export]'

The texts are words of the built-in sample, about 30 tokens each. Time and peak memory are those of
the whole process, interpreter and imports included. What it wrote, if it did not refuse, is
measured beside the full model, as in specialize.py.
"""

from __future__ import annotations

import random
from argparse import Namespace
from pathlib import Path
from typing import Any

import command
from specialize import measure_model, specialize

import models
from albert_edge.benchmark.runtimes import CHECKPOINT

WORDS = 16  # in a text: 30 tokens of ALBERT's English vocabulary, the special ones included
CHUNKS = 5


def draw_texts(count: int) -> list[str]:
    """Draw words of the built-in sample, the same each time."""
    words = [word for line in models.sample_lines() for word in line.split()]
    draw = random.Random(0)
    return [" ".join(draw.choices(words, k=WORDS)) for _ in range(count)]


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """Measure one geometry."""
    checkpoint = models.make_checkpoint(folder / CHECKPOINT, options.geometry)
    models.use_english_vocabulary(checkpoint, folder / "scratch")
    texts = draw_texts(options.measured + options.texts)
    measured, sample = texts[: options.measured], texts[options.measured :]
    full = models.make_bundle(checkpoint, folder / "full", "int8", texts=sample[:32])
    way = "width and exits"
    specialized = specialize(full, [way], sample, options.min_agreement)
    fp32_bytes = (full / "onnx" / "model.onnx").stat().st_size
    specialized[way]["peak_files"] = specialized[way]["peak_mb"] * 1e6 / fp32_bytes
    settings = Namespace(no_peers=True, chunks=CHUNKS, starts=options.starts)
    figures = measure_model(full, measured, specialized, settings)
    return {"geometry": options.geometry, "sample": len(sample), **figures}


BENCHMARK = command.Benchmark(
    measure, geometry="base", texts=2000, measured=50, starts=3, min_agreement=0.99
)

if __name__ == "__main__":
    command.main("specialize_random")
