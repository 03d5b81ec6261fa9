"""Time from process start to the first answer, and the installed size of the runtime.

    python benchmarks/start.py [--rounds 9] [--no-install] [--json FILE]

The model has albert-base geometry, random weights and ALBERT's English vocabulary of 30,000 pieces,
out of tests/data. Every start is a process of its own, timed from outside, from before the
interpreter starts until it has ended; its file cache is warm. The time that processors spent on it
shows what a busy machine hides. The kinds of start take turns. In the same turns is the time of an
interpreter that does nothing, and of one that imports numpy, onnxruntime and tokenizers and does
nothing with them: a lower bound for any program that uses them.

The install is `pip install 'albert-edge[cpu]'` of this tree into a virtual environment without pip
and setuptools, in the versions of constraints/pins.txt; it needs a package index.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

import command

import models
from albert_edge.benchmark.commands import Command, python, time_commands

ROOT = command.HERE.parent
TEXT = "The quick brown fox jumps over the lazy dog."
ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1"}
ANSWER = """
import sys, albert_edge
classify = albert_edge.pipeline(model=sys.argv[1], precision=sys.argv[2])
print(classify.answer(sys.argv[3])["label"])
"""
STARTS = {
    "int8, first answer": (ANSWER, "int8"),
    "fp32, first answer": (ANSWER, "fp32"),
    "import of the three libraries": ("import numpy, onnxruntime, tokenizers", ""),
    "import albert_edge": ("import albert_edge", ""),
    "bare interpreter": ("", ""),
}


def install(folder: Path) -> dict[str, float]:
    """MB of 10^6 bytes that every package takes in a fresh virtual environment."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(venv)]
    pip += ["install", "--quiet", "--constraint", str(ROOT / "constraints" / "pins.txt")]
    pip.append(f"{ROOT}[cpu]")
    subprocess.run(pip, check=True, stdout=sys.stderr)
    packages = next(venv.glob("lib*/**/site-packages"))
    sizes = {path.name: disk_usage(path) for path in packages.iterdir()}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:8]
    return {"all": disk_usage(venv), **dict(largest)}


def disk_usage(path: Path) -> float:
    """MB on disk, as du counts them: in whole blocks, a file of several names once."""
    inodes = {}
    for file in (path, *path.rglob("*")):
        status = file.lstat()
        inodes[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(inodes.values()) / 1e6


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """Seconds of every kind of start, and the size of an install."""
    checkpoint = models.make_checkpoint(folder / "checkpoint", options.geometry)
    models.use_english_vocabulary(checkpoint, folder / "scratch")
    # How good the answers are does not matter here, so a few texts do.
    texts = models.sample_lines()[:32:4]
    bundle = models.make_bundle(checkpoint, folder / "bundle", "int8", texts=texts)
    commands = {
        name: Command(python(code, bundle, precision, TEXT), env=ENVIRONMENT)
        for name, (code, precision) in STARTS.items()
    }
    starts = time_commands(commands, options.rounds, warm_up=1, tell=command.log)
    figures: dict[str, Any] = {"starts": {name: asdict(row) for name, row in starts.items()}}
    if not options.no_install:
        figures["install_mb"] = install(folder)
    return figures


BENCHMARK = command.Benchmark(measure, geometry="base", rounds=9, no_install=False)

if __name__ == "__main__":
    command.main("start")
