"""Compressed models: albert-edge beside its peers on the same random weights, in one run.

    python benchmarks/int8.py [--geometry base] [--rounds 5] [--texts 60] [--json FILE]

    pip install 'albert-edge[cpu,export]' optimum-onnx==0.1.0 transformers==4.57.6 torch==2.13.0 \
        onnxruntime==1.32.0 openvino==2026.4.1 nncf==3.4.0

torch and transformers give the answers that all are compared with; optimum, openvino and nncf are
left out where they are missing. All are measured as by `albert-edge bench`, with 2 threads.

Calibration (albert-edge, OpenVINO static) reads every fourth text of the built-in sample; quality
is judged on others. "pooled" are the same weights under a head that passes the pooled output
through. "outliers" are weights of the same function where one channel of the embeddings and one of
the values is 50 times larger. min_agreement is 0: random weights have no decisions worth a refusal.
The functions `build_...` have the settings of the peers that `albert-edge bench` lacks.
"""

from __future__ import annotations

import json
import tempfile
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import command
import numpy as np
from safetensors.numpy import load_file

import albert_edge
import models
from albert_edge.benchmark.benchmark_run import BenchmarkRun
from albert_edge.benchmark.peers import openvino, optimum, torch
from albert_edge.benchmark.plan import Plan
from albert_edge.benchmark.runtimes import CHECKPOINT, Built, Runtime, Work, load_own, own_runtime
from albert_edge.bundle.bundle import open_bundle
from albert_edge.compress.options import compression
from albert_edge.errors import QualityError
from albert_edge.runtime.vectors import cosine

BASELINE = "optimum fp32"
REFERENCE = "torch fp32"
CALIBRATION = "calibration.txt"


def calibration(work: Work) -> list[str]:
    """The texts that albert-edge and OpenVINO are calibrated on."""
    return (work.folder / CALIBRATION).read_text(encoding="utf-8").splitlines()


# albert-edge.


def build_own(work: Work, precision: Any, **options: Any) -> Built:
    """Build a bundle; if the quality gate refuses the model, write the best one all the same."""
    bundle = Path(tempfile.mkdtemp(dir=work.folder)) / "bundle"
    albert_edge.export(work.checkpoint, bundle)
    note = ""
    if precision == "fp32":
        albert_edge.optimize(bundle)
    else:
        settings: Any = {"texts": calibration(work), "min_agreement": 0.0}
        how = compression(precision, **options)
        try:
            albert_edge.quantize(bundle, how, **settings)
        except QualityError as error:
            report: Any = error.report
            note = f"refused by its gate at cosine {report.quality.cosine:.5f}; forced"
            settings["min_cosine"] = report.quality.cosine - 1e-6
            albert_edge.quantize(bundle, how, **settings)
    variant = open_bundle(bundle).manifest.variants[-1]
    return Built(bundle, variant.bytes, work.head, note)


def _own(scheme: str, precision: str, **options: Any) -> Runtime:
    return replace(
        own_runtime(Path(), "", precision, 0),
        name=f"albert-edge {scheme}",
        build=partial(build_own, precision=precision, **options),
        load=partial(load_own, precision=precision),
        extra="export",
    )


# onnxruntime, on optimum's export.


def build_ort_dynamic(work: Work) -> Built:
    """quantize_dynamic on optimum's export, weights in int8 per tensor as by default."""
    return _quantize_dynamic(work, optimum.build(work).path, "dynamic.onnx")


def build_ort_preprocessed(work: Work) -> Built:
    """The same after quant_pre_process, which shows the weights; per channel.

    With symbolic shapes quant_pre_process stops with an error.
    """
    shapes = import_module("onnxruntime.quantization.shape_inference")
    export = optimum.build(work).path
    path = export.with_name("preprocessed.onnx")
    shapes.quant_pre_process(export, path, skip_symbolic_shape=True)
    return _quantize_dynamic(work, path, "preprocessed-dynamic.onnx", per_channel=True)


def build_ort_o2(work: Work) -> Built:
    """The same on the export after ORTOptimizer at level O2."""
    ort = import_module("optimum.onnxruntime")
    export = optimum.build(work).path.parent
    model = ort.ORTModelForSequenceClassification.from_pretrained(export, file_name="model.onnx")
    settings = ort.AutoOptimizationConfig.O2()
    ort.ORTOptimizer.from_pretrained(model).optimize(settings, save_dir=work.folder / "o2")
    return _quantize_dynamic(work, work.folder / "o2" / "model_optimized.onnx", "o2-dynamic.onnx")


def _quantize_dynamic(work: Work, source: Path, name: str, **options: Any) -> Built:
    ort = import_module("onnxruntime.quantization")
    path = source.with_name(name)
    ort.quantize_dynamic(source, path, weight_type=ort.QuantType.QInt8, **options)
    return optimum.built(path, work.head)


def _ort(name: str, build: Callable[[Work], Built]) -> Runtime:
    return replace(optimum.OPTIMUM, name=name, precision="int8", build=build)


# OpenVINO.


def build_openvino_static(work: Work) -> Built:
    """NNCF's post-training quantization, calibrated on the same texts as albert-edge."""
    nncf = import_module("nncf")
    inputs = models.tokenize(work.checkpoint, calibration(work))
    model = nncf.quantize(
        openvino.read(work),
        nncf.Dataset(inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(inputs),
    )
    path = work.folder / "openvino-static.xml"
    openvino.save(model, path)
    return openvino.built(path, work.head)


CONTENDERS = [
    _own("fp32", "fp32"),
    _own("int8", "int8"),
    _own("int8, per-tensor", "int8", activations="per-tensor"),
    _own("int8, unrolled", "int8", layout="unrolled"),
    _own("int8, per-tensor, unrolled", "int8", activations="per-tensor", layout="unrolled"),
    _own("int8-block", "int8-block"),
    _own("int4", "int4"),
    replace(optimum.OPTIMUM, name=BASELINE),
    _ort("ORT dynamic int8", build_ort_dynamic),
    _ort("ORT pre+dynamic int8", build_ort_preprocessed),
    _ort("ORT O2+dynamic int8", build_ort_o2),
    replace(torch.TORCH, name=REFERENCE),
    replace(torch.TORCH_INT8, name="torch dynamic int8"),
    replace(openvino.OPENVINO, name="OpenVINO fp32"),
    replace(openvino.OPENVINO_INT8, name="OpenVINO int8 dynamic"),
    replace(
        openvino.OPENVINO_INT8,
        name="OpenVINO int8 static, bf16",
        build=build_openvino_static,
        load=partial(openvino.load, precision="bf16"),
    ),
]


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
    tensors = load_file(checkpoint / "model.safetensors")
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
    wanted = [runtime for runtime in CONTENDERS if runtime.name in options.contender]
    return models.make_plan(
        folder / CHECKPOINT,
        [runtime for runtime in wanted if not runtime.missing],
        options.rounds,
        skipped={runtime.name: runtime.how_to_get_it for runtime in wanted if runtime.missing},
        shapes=options.shapes,
        baseline=BASELINE,
    )


def judge(answers: dict[str, list[Any]]) -> dict[str, dict[str, float]]:
    """Mean and least cosine with torch's logits, and the share of decisions that are the same."""
    logits = {
        name: np.concatenate([outputs["logits"] for outputs in runs])
        for name, runs in answers.items()
    }
    expected = logits.get(REFERENCE, next(iter(logits.values())))
    table = {}
    for name, values in logits.items():
        cosines, same = cosine(expected, values), expected.argmax(1) == values.argmax(1)
        figures = {"cosine": cosines.mean(), "worst": cosines.min(), "agreement": same.mean()}
        table[name] = {key: float(value) for key, value in figures.items()}
    return table


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """Measure every model of a geometry."""
    lines = models.sample_lines()
    rest = [line for index, line in enumerate(lines) if index % 4]
    texts = rest[:: max(1, len(rest) // options.texts)]
    quality: dict[str, dict[str, Any]] = {}
    notes: dict[str, str] = {}
    report: dict[str, Any] = {}
    for model in options.models:
        place = folder / model.replace(" ", "-")
        make_model(place, options.geometry, model, lines[::4])
        with BenchmarkRun(make_plan(place, options), place, command.log_step) as run:
            if report:
                run.build()
            else:
                report = command.report(run)
            inputs = models.tokenize(place / CHECKPOINT, texts)
            for name, row in judge(run.answer(inputs)).items():
                quality.setdefault(name, {})[model] = row
            remarks = {name: built.note for name, built in run.built.items() if built.note}
            notes |= {f"{name}, {model}": why for name, why in (run.failed | remarks).items()}
    return {
        "geometry": options.geometry,
        "texts": len(texts),
        "report": report,
        "quality": quality,
        "notes": notes,
    }


BENCHMARK = command.Benchmark(
    measure,
    geometry="base",
    rounds=5,
    texts=60,
    shapes=models.SHAPES,
    contender=tuple(runtime.name for runtime in CONTENDERS),
    models=MODELS,
)

if __name__ == "__main__":
    command.main("int8")
