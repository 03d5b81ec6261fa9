"""Export, load, answer: albert-edge beside optimum on the same random weights, in one run.

    python benchmarks/spine.py [--geometry base] [--rounds 5] [--json FILE]

Every figure of time or memory at start-up comes from a process of its own. Latencies are taken in
one process with the runtimes taking turns, so that a busy machine slows them alike; read the
ratios, not the milliseconds. Needs the extras cpu and export; optimum's column needs the extra
optimum and is left out without it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

Run = Callable[[Any], Any]

GEOMETRIES = {
    "base": {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    "large": {"hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096},
    "xlarge": {"hidden_size": 2048, "num_attention_heads": 16, "intermediate_size": 8192},
    "xxlarge": {"hidden_size": 4096, "num_attention_heads": 64, "intermediate_size": 16384},
}
LAYERS = {"base": 12, "large": 24, "xlarge": 24, "xxlarge": 12}
SHAPES = ((1, 8), (1, 32), (1, 128), (1, 384), (8, 128))
THREADS = 2
TEXT = "The quick brown fox jumps over the lazy dog."

# What fresh processes run; each prints one JSON object. RSS is in MB of 10^6 bytes.
PREAMBLE = """
import json, sys, time
def memory(field):
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines[field].split()[0]) * 1024 / 1e6
def rss():
    return memory("VmRSS")
def peak():
    return memory("VmHWM")
"""
EXPORT = """
import albert_edge
albert_edge.export(sys.argv[1], sys.argv[2])
print(json.dumps({"peak_mb": peak()}))
"""
EXPORT_OPTIMUM = """
from optimum.exporters.onnx import main_export
main_export(sys.argv[1], sys.argv[2], task="text-classification", do_validation=False)
print(json.dumps({"peak_mb": peak()}))
"""
LOAD = """
import numpy, onnxruntime, tokenizers
from albert_edge.runtime.session import Session
before, start = rss(), time.perf_counter()
session = Session(sys.argv[1], variant=sys.argv[2], threads=2)
print(json.dumps({"load_s": time.perf_counter() - start, "growth_mb": rss() - before,
                  "peak_mb": peak() - before}))
"""
LOAD_ORT = """
import numpy, onnxruntime, tokenizers
before, start = rss(), time.perf_counter()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 2
session = onnxruntime.InferenceSession(sys.argv[1], options)
print(json.dumps({"load_s": time.perf_counter() - start, "growth_mb": rss() - before,
                  "peak_mb": peak() - before}))
"""
START = """
import albert_edge
albert_edge.pipeline("text-classification", model=sys.argv[1])(sys.argv[2])
print(json.dumps({"peak_mb": peak()}))
"""
START_OPTIMUM = """
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer, pipeline
model = ORTModelForSequenceClassification.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
pipeline("text-classification", model=model, tokenizer=tokenizer)(sys.argv[3])
print(json.dumps({"peak_mb": peak()}))
"""


def fresh(code: str, *arguments: str | Path) -> dict[str, float]:
    """Run code in a process of its own; what it printed, and its wall time in seconds."""
    program = PREAMBLE + textwrap.dedent(code)
    start = perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS), "HF_HUB_OFFLINE": "1"},
    )
    wall = perf_counter() - start
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {**figures, "wall_s": wall}


def timed(
    command: Sequence[str | os.PathLike[str]], **options: Any
) -> tuple[float, resource.struct_rusage]:
    """Run a process of its own; its wall time in seconds, and what it used of the machine."""
    start = perf_counter()
    with subprocess.Popen(command, **options) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return perf_counter() - start, used


def log(text: str) -> None:
    """Say how far it is."""
    print(text, file=sys.stderr, flush=True)


def make_checkpoint(folder: Path, geometry: str, layers: int) -> Path:
    """A checkpoint of random weights with the model that ships's tokenizer, without torch."""
    from safetensors.numpy import save_file

    from albert_edge.architecture.config import read_config
    from albert_edge.checkpoint.recipes import models_folder
    from albert_edge.graph.build import author
    from albert_edge.graph.plan import Plan

    folder.mkdir()
    settings = {
        "model_type": "albert",
        "architectures": ["AlbertForSequenceClassification"],
        "vocab_size": 30000,
        "embedding_size": 128,
        "num_hidden_layers": layers,
        "hidden_act": "gelu",
        **GEOMETRIES[geometry],
    }
    (folder / "config.json").write_text(json.dumps(settings))
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).write_bytes((models_folder() / "langid-tiny" / name).read_bytes())
    random = np.random.default_rng(0)
    tensors = {}
    for name, weight in author(
        read_config(folder / "config.json"), "text-classification", Plan()
    ).weights.items():
        centre = 1.0 if name.lower().endswith(("layernorm.weight", "layer_norm.weight")) else 0.0
        values = random.standard_normal(weight.checkpoint_shape, dtype=np.float32)
        tensors[name] = values * np.float32(0.02) + np.float32(centre)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def feed(batch: int, length: int) -> dict[str, Any]:
    """Token ids of one shape, nothing padded."""
    random = np.random.default_rng(0)
    return {
        "input_ids": random.integers(5, 4000, (batch, length)),
        "attention_mask": np.ones((batch, length), np.int64),
        "token_type_ids": np.zeros((batch, length), np.int64),
    }


def latencies(runs: dict[str, Run], rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds of every runtime at every shape, the runtimes taking turns."""
    table: dict[str, dict[str, float]] = {}
    for batch, length in SHAPES:
        inputs = feed(batch, length)
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(max(rounds, rounds * 128 // (batch * length))):
            for name, run in runs.items():
                # The threads of the runtime before spin on for a moment; its turn is not over
                # until two runs of this one have passed.
                for turn in range(5):
                    start = perf_counter()
                    run(inputs)
                    if turn >= 2:
                        seconds[name].append(perf_counter() - start)
        table[f"{batch}x{length}"] = {name: 1e3 * median(times) for name, times in seconds.items()}
    return table


def plain_session(path: Path) -> Run:
    """A model as onnxruntime runs it when nobody chose any option but the threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, options)
    names = {value.name for value in session.get_inputs()}
    return lambda inputs: session.run(None, {name: inputs[name] for name in names})


def measure(folder: Path, geometry: str, rounds: int) -> dict[str, Any]:
    """All figures of one geometry."""
    import albert_edge
    from albert_edge.runtime.session import Session

    layers = LAYERS[geometry]
    checkpoint = make_checkpoint(folder / "checkpoint", geometry, layers)
    weights = (checkpoint / "model.safetensors").stat().st_size
    bundle = folder / "bundle"
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {THREADS} threads",
        "geometry": geometry,
        "layers": layers,
        "checkpoint_mb": weights / 1e6,
        "export": {"albert-edge": fresh(EXPORT, checkpoint, bundle)},
    }
    albert_edge.optimize(bundle)
    files = {name: bundle / "onnx" / f"{name}.onnx" for name in ("model", "model_optimized")}
    result["file_ratio"] = {name: path.stat().st_size / weights for name, path in files.items()}
    result["load"] = {name: fresh(LOAD, bundle, name) for name in files}
    deep = make_checkpoint(folder / "deep", geometry, 4 * layers)
    albert_edge.export(deep, folder / "deep-bundle")
    albert_edge.optimize(folder / "deep-bundle")
    for name in files:
        result["load"][f"{name}, {4 * layers} layers"] = fresh(LOAD, folder / "deep-bundle", name)
    result["start"] = {"albert-edge": fresh(START, bundle, TEXT)}
    runs: dict[str, Run] = {
        name: Session(bundle, variant=name, threads=THREADS).run for name in files
    }
    if importlib.util.find_spec("optimum"):
        peer = folder / "optimum"
        result["export"]["optimum"] = fresh(EXPORT_OPTIMUM, checkpoint, peer)
        result["load"]["optimum"] = fresh(LOAD_ORT, peer / "model.onnx")
        result["start"]["optimum"] = fresh(START_OPTIMUM, peer, checkpoint, TEXT)
        runs["optimum"] = plain_session(peer / "model.onnx")
    result["latency_ms"] = latencies(runs, rounds)
    return result


def show(result: dict[str, Any]) -> None:
    """Print the figures as Markdown, with the ratio to the peer where there is one."""
    print(f"{result['geometry']}, {result['layers']} layers, {result['checkpoint_mb']:.1f} MB")
    print(f"({result['machine']})\n")
    for name, ratio in result["file_ratio"].items():
        print(f"file {name}: {ratio:.4f} x safetensors")
    for part in ("export", "load", "start"):
        print(f"\n| {part} | seconds | MB | peak MB |\n| --- | ---: | ---: | ---: |")
        for name, figures in result[part].items():
            seconds = figures.get("load_s", figures["wall_s"])
            grown = f"{figures['growth_mb']:.0f}" if "growth_mb" in figures else ""
            print(f"| {name} | {seconds:.2f} | {grown} | {figures['peak_mb']:.0f} |")
        if "optimum" in result[part]:
            ours = result[part]["model_optimized" if part == "load" else "albert-edge"]
            peer = result[part]["optimum"]
            key = "load_s" if part == "load" else "wall_s"
            print(f"\noptimum / albert-edge: {peer[key] / ours[key]:.1f} x the time")
    names = list(result["latency_ms"]["1x8"])
    print(f"\n| batch x length, ms | {' | '.join(names)} |\n| --- |{' ---: |' * len(names)}")
    for shape, row in result["latency_ms"].items():
        cells = [f"{row[name]:.1f}" for name in names]
        if "optimum" in row:
            cells[:-1] = [
                f"{row[name]:.1f} ({row['optimum'] / row[name]:.2f} x)" for name in names[:-1]
            ]
        print(f"| {shape} | {' | '.join(cells)} |")


def main() -> None:
    """Measure one geometry and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--geometry", choices=GEOMETRIES, default="base")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments.geometry, arguments.rounds)
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
