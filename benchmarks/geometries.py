"""How size, memory and time grow from base to xxlarge, in every precision.

    python benchmarks/geometries.py [--geometry NAME ...] [--rounds 3] [--json FILE]

    pip install 'albert-edge[cpu,export]'

By default base and large; xxlarge writes an fp32 file of 0.9 GB into the temporary folder and takes
about four times that of memory. For hidden size h and L layers (the feed-forward part is 4 h wide):

    parameters  12 h^2 of the one layer that is stored, 3.9 million of the embeddings, and little
                else: L is not in it, because all layers are the same one
    file        4 bytes a parameter in fp32, about 1 in int8, 0.6 in int4
    memory      the file and the copy that onnxruntime packs for its matrix products, both once,
                whatever L is; with small models what a run needs counts as well
    work        128 L (12 h^2 + 256 h) multiply-accumulates for 1x128: here L does count, so large
                with 24 layers takes 3.5 times as long as base with 12, at 1.5 times the size
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

import command

import models
from albert_edge.benchmark.run import bench
from albert_edge.inspection.inspect import inspect

TOKENS = 128
PRECISIONS = ("fp32", "int8", "int4")


def measure_size(folder: Path, geometry: str, rounds: int) -> dict[str, Any]:
    """The figures of one geometry."""
    checkpoint = models.make_checkpoint(folder / geometry, geometry)
    bundle = folder / f"{geometry}-bundle"
    models.make_bundle(checkpoint, bundle, *PRECISIONS[1:], texts=models.sample_lines()[:1])
    report = bench(
        bundle,
        shapes=[(1, TOKENS)],
        precisions=PRECISIONS,
        rounds=rounds,
        device="cpu",
        progress=command.log_step,
    )
    sizes = models.GEOMETRIES[geometry]
    hidden, layers = sizes["hidden_size"], sizes["num_hidden_layers"]
    return {
        "geometry": geometry,
        "layers": layers,
        "parameters": inspect(bundle).parameters,
        "gmac": layers * TOKENS * (12 * hidden**2 + 2 * TOKENS * hidden) / 1e9,
        "report": asdict(report),
    }


def measure(folder: Path, options: Namespace) -> list[dict[str, Any]]:
    """The figures of each geometry."""
    return [measure_size(folder, name, options.rounds) for name in options.geometry]


BENCHMARK = command.Benchmark(measure, geometry=("base", "large"), rounds=3)

if __name__ == "__main__":
    command.main("geometries")
