"""Time and peak memory of quantizing, from the start of the command to its end.

    python benchmarks/quantize.py [--geometry NAME ...] [--rounds 3] [--json FILE]

    pip install 'albert-edge[cpu,export]'

By default base; xlarge takes minutes. `albert-edge quantize` makes
int8 of a bundle of random weights as it was exported, calibration and the quality gate on the
built-in texts included. Its peer is onnxruntime's quantize_dynamic on the same file, which looks at
no text. Every run is a process of its own, interpreter and imports included, and they take turns.
"""

from __future__ import annotations

import json
import shutil
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

import command

import albert_edge
import models
from albert_edge.benchmark.commands import Command, python, time_commands

INTERPRETER_MB = 120  # that the limit on the peak allows beside the file
MODEL = "onnx/model.onnx"
PEER_CODE = """
import sys
from onnxruntime.quantization import quantize_dynamic
quantize_dynamic(sys.argv[1], sys.argv[2], per_channel=True)
"""


def measure_one(folder: Path, geometry: str, rounds: int) -> dict[str, Any]:
    """The figures of one geometry."""
    folder /= geometry
    exported, bundle, report = folder / "exported", folder / "bundle", folder / "report.json"
    albert_edge.export(models.make_checkpoint(folder, geometry), exported)

    def copy() -> None:
        shutil.rmtree(bundle, ignore_errors=True)
        shutil.copytree(exported, bundle)

    # Many decisions of random weights are close to ties: their agreement says nothing of int8.
    options = ("--precision", "int8", "--min-agreement", "0", "--json")
    quantize = [sys.executable, "-m", "albert_edge", "quantize", bundle, *options]
    commands = {
        "albert-edge quantize": Command(quantize, prepare=copy, output=report),
        "onnxruntime quantize_dynamic": Command(
            python(PEER_CODE, exported / MODEL, folder / "peer.onnx")
        ),
    }
    runs = time_commands(commands, rounds, tell=lambda name: command.log(f"{geometry}: {name}"))
    size = (exported / MODEL).stat().st_size
    return {
        "geometry": geometry,
        "fp32_bytes": size,
        "rounds": rounds,
        "quality": json.loads(report.read_text(encoding="utf-8"))["quality"],
        "runs": {
            name: {**asdict(run), "peak_files": (run.peak_mb - INTERPRETER_MB) * 1e6 / size}
            for name, run in runs.items()
        },
    }


def measure(folder: Path, options: Namespace) -> list[dict[str, Any]]:
    """The figures of each geometry."""
    return [measure_one(folder, name, options.rounds) for name in options.geometry]


BENCHMARK = command.Benchmark(measure, geometry=("base",), rounds=3)

if __name__ == "__main__":
    command.main("quantize")
