"""Export, load, answer in fp32: albert-edge beside optimum on the same random weights, in one run.

    python benchmarks/fp32.py [--geometry base] [--rounds 5] [--json FILE]

    pip install 'albert-edge[cpu,export,optimum]'

Exports and first answers are whole processes that take turns. Loading, memory and latency are
measured as by `albert-edge bench`, for the portable and the optimized variant, and for the same
model with four times the layers, whose memory must not be larger. optimum is left out where it is
not installed.
"""

from __future__ import annotations

import shutil
from argparse import Namespace
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import command

import models
from albert_edge.benchmark.commands import Command, python, time_commands
from albert_edge.benchmark.peers.optimum import OPTIMUM
from albert_edge.benchmark.runtimes import Runtime
from albert_edge.benchmark.shapes import parse_shapes

TEXT = "The quick brown fox jumps over the lazy dog."
VARIANTS = {"albert-edge, optimized": "model_optimized", "albert-edge, portable": "model"}
EXPORT = "import sys, albert_edge; albert_edge.export(sys.argv[1], sys.argv[2])"
EXPORT_OPTIMUM = """
import sys
from optimum.exporters.onnx import main_export
main_export(sys.argv[1], sys.argv[2], task="text-classification", do_validation=False)
"""
START = """
import sys, albert_edge
albert_edge.pipeline("text-classification", model=sys.argv[1])(sys.argv[2])
"""
START_OPTIMUM = """
import sys
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer, pipeline
model = ORTModelForSequenceClassification.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
pipeline("text-classification", model=model, tokenizer=tokenizer)(sys.argv[3])
"""


def measure_commands(folder: Path, names: list[str], rounds: int) -> dict[str, Any]:
    """Exports, which write again what is there, then first answers of what they wrote."""
    checkpoint, own, optimum = (folder / name for name in ("checkpoint", "exported", "optimum"))
    exports = {
        "albert-edge": Command(
            python(EXPORT, checkpoint, own), partial(shutil.rmtree, own, ignore_errors=True)
        ),
        "optimum": Command(python(EXPORT_OPTIMUM, checkpoint, optimum)),
    }
    starts = {
        "albert-edge": Command(python(START, own, TEXT)),
        "optimum": Command(python(START_OPTIMUM, optimum, checkpoint, TEXT)),
    }
    figures = {}
    for part, commands in (("export", exports), ("start", starts)):
        wanted = {name: commands[name] for name in names}
        runs = time_commands(wanted, rounds, tell=command.log)
        figures[part] = {name: asdict(run) for name, run in runs.items()}
    return figures


def measure_variants(bundle: Path, rounds: int, peers: list[Runtime], shapes: str) -> Any:
    """Load, memory and latency of both variants of a bundle, and of peers."""
    runtimes = [*models.own_runtimes(bundle, VARIANTS), *peers]
    wanted = parse_shapes(shapes) if shapes else []
    plan = models.make_plan(bundle, runtimes, rounds, shapes=wanted)
    return command.measure_plan(plan, bundle.parent)


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """All figures of one geometry."""
    peers, rounds = [] if OPTIMUM.missing else [OPTIMUM], options.rounds
    layers = models.GEOMETRIES[options.geometry]["num_hidden_layers"]
    checkpoint = models.make_checkpoint(folder / "checkpoint", options.geometry)
    weights = (checkpoint / "model.safetensors").stat().st_size
    names = ["albert-edge", *(peer.name for peer in peers)]
    figures = measure_commands(folder, names, rounds)
    bundle = models.make_bundle(checkpoint, folder / "bundle")
    report = measure_variants(bundle, rounds, peers, models.SHAPES)
    models.make_checkpoint(folder / "deep", options.geometry, layers=4 * layers)
    deep_bundle = models.make_bundle(folder / "deep", folder / "deep-bundle")
    deep = measure_variants(deep_bundle, rounds, [], "")
    return {
        "geometry": options.geometry,
        "layers": layers,
        "checkpoint_mb": weights / 1e6,
        **figures,
        "file_ratio": {row["name"]: row["file_bytes"] / weights for row in report["runtimes"]},
        "deep": {row["name"]: row for row in deep["runtimes"]},
        "report": report,
    }


BENCHMARK = command.Benchmark(measure, geometry="base", rounds=5)

if __name__ == "__main__":
    command.main("fp32")
