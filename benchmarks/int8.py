"""Compressed models: albert-edge beside its peers on the same random weights, in one run.

    python benchmarks/int8.py [--geometry base] [--rounds 5] [--texts 60] [--json FILE] [--quick]

    pip install 'albert-edge[cpu,export]' optimum-onnx==0.1.0 transformers==4.57.6 torch==2.13.0 \
        onnxruntime==1.32.0 openvino==2026.4.1 nncf==3.4.0

torch and transformers give the answers that all are compared with; optimum, openvino and nncf are
left out where they are missing. Every runtime loads in fresh processes, from which its memory is
read, and answers from a process of its own, with 2 threads; in every round each has one turn, in
random order, so that a busy machine slows them alike. Read the ratios: each is taken within a
round, and the median of the rounds is shown.

Calibration (albert-edge, OpenVINO static) sees every fourth text of the built-in sample, quality
is judged on others. "pooled" are the same weights under a head that passes the pooled output
through. "outliers" are weights of the same function where one channel of the embeddings and one of
the values is 50 times larger. min_agreement is 0: random weights have no decisions worth a refusal.

What each peer is set to:
    optimum          main_export, text-classification; its ORTModel with default options
    ORT dynamic      quantize_dynamic(weight_type=QInt8) on that, per tensor, as by default
    ORT pre+dynamic  the same after quant_pre_process(skip_symbolic_shape=True) with which the
                     weights are seen; with symbolic shapes it stops at an error; per channel
    ORT O2+dynamic   the same as ORT dynamic on what ORTOptimizer makes of it at level O2
    torch dynamic    torch.ao.quantization.quantize_dynamic of all Linear, saved whole
    OpenVINO         converted from torch, LATENCY, f32
    OpenVINO dynamic compress_weights(INT8_SYM), groups as long as the hidden state, f32: the
                     fastest of both modes, groups of 32 to the hidden size, torch and ONNX input
    OpenVINO static  nncf.quantize, model_type TRANSFORMER, all that is float in bf16
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from peers import BASELINE, CALIBRATION, CONTENDERS, Array, Inputs, tokenize
from spine import GEOMETRIES, LAYERS, SHAPES, THREADS, feed, log, make_checkpoint

from albert_edge.benchmark.pinning import choose_processors
from albert_edge.benchmark.process import Worker, WorkerError
from albert_edge.benchmark.runtimes import Built, Work
from albert_edge.benchmark.starts import Setting, Start, median_start, start
from albert_edge.benchmark.statistics import compare, summarize
from albert_edge.benchmark.turns import take_turns
from albert_edge.benchmark.worker import answer
from albert_edge.machine.machine import describe_machine

TASK = "text-classification"
LAYER = "albert.encoder.albert_layer_groups.0.albert_layers.0"
MODELS = ("random", "outliers", "random pooled", "outliers pooled")


# Processes.


def open_setting(folder: Path) -> Setting:
    """What is the same for every process."""
    return Setting(
        folder=folder,
        threads=THREADS,
        processors=choose_processors(THREADS),
        tokenizer=None,
        first=feed(1, 16),
        warm=feed(1, 128),
    )


def build_all(
    models: dict[str, Path], names: list[str], setting: Setting
) -> dict[str, dict[str, Built | str]]:
    """What every contender makes of every model; a reason where it fails."""
    built: dict[str, dict[str, Built | str]] = {}
    for model, folder in models.items():
        built[model] = {}
        for name in names:
            begun = time.perf_counter()
            with setting.open_process(name) as worker:
                try:
                    built[model][name] = worker.call(CONTENDERS[name].build, Work(folder, TASK))
                except WorkerError as error:
                    built[model][name] = str(error)
            log(f"built {name} of {model} in {time.perf_counter() - begun:.0f} s")
    return built


def start_all(
    built: dict[str, Built | str], setting: Setting, times: int
) -> tuple[dict[str, Start], dict[str, Worker]]:
    """What starts take, each in a fresh process; the last one of each is left running."""
    figures: dict[str, Start] = {}
    workers: dict[str, Worker] = {}
    for name, made in built.items():
        if isinstance(made, str):
            continue
        starts = []
        for _ in range(times):
            if name in workers:
                workers[name].close()
            workers[name], found, _ = start(CONTENDERS[name], made, setting)
            starts.append(found)
        figures[name] = median_start(starts)
        log(f"started {name}")
    return figures, workers


# Measuring.


def make_models(
    folder: Path, geometry: str, names: Iterable[str], calibration: list[str]
) -> dict[str, Path]:
    """The same weights, with and without outliers, with logits and pooled output."""
    from safetensors.numpy import load_file, save_file

    models = {}
    for name in names:
        models[name] = folder / name.replace(" ", "-")
        models[name].mkdir()
        checkpoint = make_checkpoint(models[name] / "checkpoint", geometry, LAYERS[geometry])
        (models[name] / CALIBRATION).write_text("\n".join(calibration), encoding="utf-8")
        tensors = load_file(checkpoint / "model.safetensors")
        if "outliers" in name:
            value, dense = f"{LAYER}.attention.value", f"{LAYER}.attention.dense.weight"
            norm, projection = (
                "albert.embeddings.LayerNorm",
                "albert.encoder.embedding_hidden_mapping_in",
            )
            _enlarge(tensors, value, dense, 17)
            _enlarge(tensors, norm, f"{projection}.weight", 5)
        if "pooled" in name:
            width = GEOMETRIES[geometry]["hidden_size"]
            tensors["classifier.weight"] = np.eye(width, dtype=np.float32)
            tensors["classifier.bias"] = np.zeros(width, np.float32)
            config = json.loads((checkpoint / "config.json").read_text())
            config["id2label"] = {str(index): f"LABEL_{index}" for index in range(width)}
            config["label2id"] = {f"LABEL_{index}": index for index in range(width)}
            (checkpoint / "config.json").write_text(json.dumps(config))
        save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    return models


def _enlarge(tensors: dict[str, Array], source: str, target: str, channel: int) -> None:
    """Scale a channel and take it back in the matrix that reads it."""
    tensors[f"{source}.weight"][channel] *= 50
    tensors[f"{source}.bias"][channel] *= 50
    tensors[target][:, channel] /= 50


def quality(expected: Array, found: Array) -> dict[str, float]:
    """Mean and least cosine, and the share of decisions that are the same."""
    a, b = expected.astype(np.float64), found.astype(np.float64)
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    agreement = float((a.argmax(1) == b.argmax(1)).mean())
    return {"cosine": cosines.mean(), "worst": cosines.min(), "agreement": agreement}


def latencies(workers: dict[str, Worker], shapes: Any, rounds: int) -> dict[str, Any]:
    """Milliseconds of every runtime at every shape, the runtimes taking turns."""
    table: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for batch, length in shapes:
        turns = take_turns(
            workers, feed(batch, length), rounds, failed=failed, tell=lambda name: None
        )
        table[f"{batch}x{length}"] = {name: _summary(turns, name) for name in turns}
        log(f"latency {batch}x{length}")
    for name, reason in failed.items():
        log(f"{name} failed: {reason}")
    return table


def _summary(turns: dict[str, list[list[float]]], name: str) -> dict[str, Any]:
    found = summarize(turns[name])
    summary: dict[str, Any] = {"median_ms": 1e3 * found.p50, "best_ms": 1e3 * found.best}
    summary |= {"runs": found.runs, "outliers": found.outliers}
    if BASELINE in turns:
        ratio = compare(turns[name], turns[BASELINE])
        summary |= {"times_as_fast": ratio.median, "quartiles": (ratio.low, ratio.high)}
    return summary


def judge_all(
    built: dict[str, dict[str, Built | str]], inputs: Inputs, setting: Setting
) -> dict[str, Any]:
    """How good every contender's answers are, beside torch's in fp32."""
    table: dict[str, Any] = {}
    for model, contenders in built.items():
        expected: Array | None = None
        for name, made in sorted(contenders.items(), key=lambda item: item[0] != "torch fp32"):
            if isinstance(made, Built):
                worker, _, _ = start(CONTENDERS[name], made, setting)
                with worker:
                    logits = [worker.call(answer, one)["logits"] for one in inputs]
                found = np.concatenate(logits)
                expected = found if expected is None else expected
                table.setdefault(name, {})[model] = quality(expected, found)
        log(f"judged {model}")
    return table


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one geometry."""
    sample = resources.files("albert_edge.compress").joinpath("sample_texts.txt")
    lines = sample.read_text(encoding="utf-8").splitlines()
    calibration = lines[:: 16 if options.quick else 4]
    rest = [line for index, line in enumerate(lines) if index % 4]
    step = max(1, len(rest) // (12 if options.quick else options.texts))
    missing = {name: one for name, one in CONTENDERS.items() if one.missing}
    names = [name for name in CONTENDERS if name not in missing]
    wanted = MODELS[:2] if options.quick else MODELS
    models = make_models(folder, options.geometry, wanted, calibration)
    setting = open_setting(folder)
    built = build_all(models, names, setting)
    inputs = tokenize(models["random"] / "checkpoint", rest[::step])
    figures, workers = start_all(built["random"], setting, 1 if options.quick else 3)
    rounds = 1 if options.quick else options.rounds
    latency = latencies(workers, SHAPES[:3] if options.quick else SHAPES, rounds)
    for worker in workers.values():
        worker.close()
    return {
        "machine": asdict(describe_machine()),
        "threads": THREADS,
        "geometry": options.geometry,
        "texts": len(inputs),
        "left_out": {
            name: f"{one.missing}: pip install 'albert-edge[cpu,{one.extra}]'"
            for name, one in missing.items()
        },
        "built": {
            model: {
                name: asdict(one) if isinstance(one, Built) else one for name, one in row.items()
            }
            for model, row in built.items()
        },
        "load": {name: asdict(one) for name, one in figures.items()},
        "latency": latency,
        "quality": judge_all(built, inputs, setting),
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures as Markdown, and what failed."""
    machine = f"{result['machine']['cpu']}, {result['threads']} threads"
    print(f"{result['geometry']}, random weights, {result['texts']} texts ({machine})\n")
    models = list(result["built"])
    titles = (f"{one}: cosine (worst)" + ", agreement" * (" " not in one) for one in models)
    print("| | file MB | load s | grown MB | peak MB | after 1x128 MB | ", end="")
    print(" | ".join(titles), "|\n| --- |" + " ---: |" * (5 + len(models)))
    for name, built in result["built"]["random"].items():
        if isinstance(built, str):
            print(f"| {name} | fails |" + " |" * (4 + len(models)))
            continue
        load = result["load"][name]
        cells = [f"{built['bytes'] / 1e6:.1f}", f"{load['load_s']:.2f}"]
        cells += [f"{load[key]:.0f}" for key in ("loaded_mb", "peak_mb", "steady_mb")]
        for model in models:
            if found := result["quality"][name].get(model):
                cell = f"{found['cosine']:.5f} ({found['worst']:.4f})"
                cells.append(cell + f", {found['agreement']:.0%}" * (" " not in model))
            else:
                cells.append("fails")
        print(f"| {name} | {' | '.join(cells)} |")
    shapes = result["latency"]
    print(f"\n| median (best) ms, times as fast as {BASELINE} | {' | '.join(shapes)} |")
    print("| --- |" + " ---: |" * len(shapes))
    for name in result["load"]:
        cells = []
        for row in shapes.values():
            if name not in row:
                cells.append("fails")
                continue
            cell = f"{row[name]['median_ms']:.1f} ({row[name]['best_ms']:.1f})"
            ratio = row[name].get("times_as_fast")
            cells.append(cell + (f", {ratio:.2f} x" if ratio else ""))
        print(f"| {name} | {' | '.join(cells)} |")
    print()
    for model, row in result["built"].items():
        for name, built in row.items():
            if isinstance(built, str) or built["note"]:
                print(f"- {name}, {model}: {built if isinstance(built, str) else built['note']}")
    for name, line in result["left_out"].items():
        print(f"- {name} is left out without {line}")


def main() -> None:
    """Measure one geometry and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--geometry", choices=("base", "large", "xlarge"), default="base")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=60, help="how many to judge quality on")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--quick", action="store_true", help="a look: little of everything")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments)
    show(result)
    if arguments.json:
        text = json.dumps(result, indent=2, default=str)
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
