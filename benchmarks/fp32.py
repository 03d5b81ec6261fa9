"""Export, load, answer in fp32: albert-edge beside optimum on the same random weights, in one run.

    python benchmarks/fp32.py [--geometry base] [--rounds 5] [--json FILE]

    pip install 'albert-edge[cpu,export,optimum]'

Exports and first answers are whole processes that take turns. Loading, memory and latency are
measured as by `albert-edge bench`, for the portable and the optimized variant, and for the same
model with four times the layers, whose memory must be no more. optimum is left out where it is not
installed.
"""

from __future__ import annotations

import shutil
from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import command

import models
from albert_edge.architecture.config import read_config
from albert_edge.benchmark.commands import Command, python, time_commands
from albert_edge.benchmark.peers.optimum import OPTIMUM
from albert_edge.benchmark.plan import Plan, variant_runtime
from albert_edge.benchmark.shapes import DEFAULT_SHAPES
from albert_edge.bundle.bundle import open_bundle

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


def measure_commands(folder: Path, rounds: int, *, peer: bool) -> dict[str, Any]:
    """Exports, which write again what is there, then first answers of what they wrote."""
    checkpoint, own, optimum = (folder / name for name in ("checkpoint", "exported", "optimum"))
    exports = {
        "albert-edge": Command(
            python(EXPORT, checkpoint, own), lambda: shutil.rmtree(own, ignore_errors=True)
        ),
        "optimum": Command(python(EXPORT_OPTIMUM, checkpoint, optimum)),
    }
    starts = {
        "albert-edge": Command(python(START, own, TEXT)),
        "optimum": Command(python(START_OPTIMUM, optimum, checkpoint, TEXT)),
    }
    figures = {}
    for part, commands in (("export", exports), ("start", starts)):
        if not peer:
            del commands["optimum"]
        runs = time_commands(commands, rounds, tell=command.log)
        figures[part] = {name: asdict(run) for name, run in runs.items()}
    return figures


def make_plan(bundle: Path, rounds: int, *, peer: bool) -> Plan:
    """Both variants of a bundle, and optimum."""
    opened = open_bundle(bundle)
    variants = {variant.name: variant for variant in opened.manifest.variants}
    own = [variant_runtime(opened, variants[key], name) for name, key in VARIANTS.items()]
    return Plan(
        head=models.HEAD,
        config=read_config(bundle / "config.json"),
        reference=own[0],
        own=own,
        peers=[OPTIMUM] * peer,
        shapes=list(DEFAULT_SHAPES),
        threads=[models.THREADS],
        rounds=rounds,
    )


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """All figures of one geometry."""
    peer = models.installed("optimum")
    layers = models.GEOMETRIES[options.geometry]["num_hidden_layers"]
    checkpoint = models.make_checkpoint(folder / "checkpoint", options.geometry)
    bundle = models.make_bundle(checkpoint, folder / "bundle")
    figures = measure_commands(folder, options.rounds, peer=peer)
    report = command.measure_plan(make_plan(bundle, options.rounds, peer=peer), folder)
    models.make_checkpoint(folder / "deep", options.geometry, layers=4 * layers)
    deep_bundle = models.make_bundle(folder / "deep", folder / "deep-bundle")
    plan = replace(make_plan(deep_bundle, options.rounds, peer=False), shapes=[])
    deep = command.measure_plan(plan, folder)["runtimes"]
    weights = (checkpoint / "model.safetensors").stat().st_size
    return {
        "geometry": options.geometry,
        "layers": layers,
        "checkpoint_mb": weights / 1e6,
        **figures,
        "file_ratio": {row["name"]: row["file_bytes"] / weights for row in report["runtimes"]},
        "deep": {row["name"]: row for row in deep},
        "report": report,
    }


BENCHMARK = command.Benchmark(measure, (models.GEOMETRY, models.rounds(5)))

if __name__ == "__main__":
    command.main("fp32")
