"""Compressed models: albert-edge beside its peers on the same random weights, in one run.

    python benchmarks/int8.py [--geometry base] [--rounds 5] [--texts 60] [--json FILE]

    pip install 'albert-edge[cpu,export]' optimum-onnx==0.1.0 transformers==4.57.6 torch==2.13.0 \
        onnxruntime==1.32.0 openvino==2026.4.1 nncf==3.4.0

torch and transformers give the answers that all are compared with; optimum, openvino and nncf are
left out where they are missing. All are measured as by `albert-edge bench`, with 2 threads.

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

import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

import command
import numpy as np
from contenders import BASELINE, CALIBRATION, CONTENDERS, REFERENCE

import models
from albert_edge.architecture.config import read_config
from albert_edge.benchmark.benchmark_run import BenchmarkRun
from albert_edge.benchmark.plan import Plan
from albert_edge.benchmark.runtimes import CHECKPOINT
from albert_edge.benchmark.shapes import DEFAULT_SHAPES, parse_shapes
from albert_edge.runtime.vectors import cosine

LAYER = "albert.encoder.albert_layer_groups.0.albert_layers.0"
CHANNELS = (  # what is scaled in an outlier model, what takes it back, and which channel
    (f"{LAYER}.attention.value", f"{LAYER}.attention.dense", 17),
    ("albert.embeddings.LayerNorm", "albert.encoder.embedding_hidden_mapping_in", 5),
)
MODELS = ("random", "outliers", "random pooled", "outliers pooled")


def make_model(folder: Path, geometry: str, name: str, calibration: list[str]) -> None:
    """The same weights, with or without outliers, with logits or pooled output."""
    checkpoint = models.make_checkpoint(folder / CHECKPOINT, geometry)
    (folder / CALIBRATION).write_text("\n".join(calibration), encoding="utf-8")
    tensors = models.read_tensors(checkpoint)
    if "outliers" in name:
        for source, target, channel in CHANNELS:
            tensors[f"{source}.weight"][channel] *= 50
            tensors[f"{source}.bias"][channel] *= 50
            tensors[f"{target}.weight"][:, channel] /= 50
    if "pooled" in name:
        width = models.GEOMETRIES[geometry]["hidden_size"]
        tensors["classifier.weight"] = np.eye(width, dtype=np.float32)
        tensors["classifier.bias"] = np.zeros(width, np.float32)
        config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
        config["id2label"] = {str(index): f"LABEL_{index}" for index in range(width)}
        config["label2id"] = {f"LABEL_{index}": index for index in range(width)}
        (checkpoint / "config.json").write_text(json.dumps(config), encoding="utf-8")
    models.write_tensors(checkpoint, tensors)


def make_plan(folder: Path, options: Namespace) -> Plan:
    """The contenders that are wanted and installed."""
    wanted = [one for one in CONTENDERS if one.name in (options.contender or [one.name])]
    present = [runtime for runtime in wanted if not runtime.missing]
    own = [runtime for runtime in present if runtime.name.startswith("albert-edge")]
    return Plan(
        head=models.HEAD,
        config=read_config(folder / CHECKPOINT / "config.json"),
        reference=own[0],
        own=own,
        peers=[runtime for runtime in present if runtime not in own],
        skipped={one.name: one.how_to_get_it for one in wanted if one.missing},
        shapes=options.shapes,
        threads=[models.THREADS],
        rounds=options.rounds,
        baseline=BASELINE,
    )


def judge(answers: dict[str, list[Any]]) -> dict[str, dict[str, float]]:
    """Mean and least cosine to torch's logits, and the share of decisions that are the same."""
    logits = {name: np.concatenate([one["logits"] for one in of]) for name, of in answers.items()}
    expected = logits.get(REFERENCE, next(iter(logits.values())))
    table = {}
    for name, values in logits.items():
        cosines = cosine(expected, values)
        agreement = (expected.argmax(1) == values.argmax(1)).mean()
        table[name] = {
            "cosine": float(cosines.mean()),
            "worst": float(cosines.min()),
            "agreement": float(agreement),
        }
    return table


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """All figures of one geometry."""
    lines = models.sample_lines()
    rest = [line for index, line in enumerate(lines) if index % 4]
    texts = rest[:: max(1, len(rest) // options.texts)]
    quality: dict[str, dict[str, Any]] = {}
    notes: dict[str, str] = {}
    report: dict[str, Any] = {}
    for model in options.models or MODELS:
        place = folder / model.replace(" ", "-")
        make_model(place, options.geometry, model, lines[::4])
        plan = make_plan(place, options)
        with BenchmarkRun(plan, place, command.log_step) as run:
            if report:
                run.build()
            else:
                runtimes = [asdict(runtime) for runtime in run.measure()]
                report = {"baseline": run.baseline, "rounds": plan.rounds, "runtimes": runtimes}
                report["skipped"] = plan.skipped | run.failed
            inputs = models.tokenize(place / CHECKPOINT, texts)
            for name, row in judge(run.answer(inputs)).items():
                quality.setdefault(name, {})[model] = row
            built = {name: one.note for name, one in run.built.items() if one.note}
            notes |= {f"{name}, {model}": why for name, why in (run.failed | built).items()}
    return {
        "geometry": options.geometry,
        "texts": len(texts),
        "report": report,
        "quality": quality,
        "notes": notes,
    }


BENCHMARK = command.Benchmark(
    measure,
    (
        models.GEOMETRY,
        models.rounds(5),
        ("--texts", {"type": int, "default": 60, "help": "how many to judge quality on"}),
        ("--shapes", {"type": parse_shapes, "default": list(DEFAULT_SHAPES)}),
        ("--contender", {"nargs": "+", "help": "names; all by default"}),
        ("--models", {"nargs": "+", "choices": MODELS, "help": "all by default"}),
    ),
)

if __name__ == "__main__":
    command.main("int8")
