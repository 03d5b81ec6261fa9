"""What `int8.py` compares beyond the peers that `albert-edge bench` has.

These are albert-edge in every int8 and int4 scheme, built until its gate lets it pass; further ways
to quantize with onnxruntime; and OpenVINO calibrated on text.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import albert_edge
import models
from albert_edge.benchmark.peers import openvino, optimum, torch
from albert_edge.benchmark.runtimes import Built, Runtime, Work, load_own, prepare_own
from albert_edge.bundle.bundle import open_bundle
from albert_edge.compress.options import compression
from albert_edge.errors import QualityError

BASELINE = "optimum fp32"
REFERENCE = "torch fp32"
CALIBRATION = "calibration.txt"


def calibration(work: Work) -> list[str]:
    """The texts that albert-edge and OpenVINO are calibrated on."""
    return (work.folder / CALIBRATION).read_text(encoding="utf-8").splitlines()


# albert-edge.


def build_own(work: Work, precision: Any, **options: Any) -> Built:
    """A bundle; of a model that the gate refuses, the one it judged best."""
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
    return Runtime(
        name=f"albert-edge {scheme}",
        precision=precision,
        build=partial(build_own, precision=precision, **options),
        prepare=prepare_own,
        load=partial(load_own, precision=precision),
        extra="export",
    )


# onnxruntime, on optimum's export.


def build_ort_dynamic(work: Work) -> Built:
    """Dynamic quantization by onnxruntime of the export as it is."""
    return _quantize_dynamic(work, optimum.build(work).path, "dynamic.onnx")


def build_ort_preprocessed(work: Work) -> Built:
    """The same with the pre-processing that onnxruntime's documentation asks for."""
    shapes = import_module("onnxruntime.quantization.shape_inference")
    export = optimum.build(work).path
    path = export.with_name("preprocessed.onnx")
    shapes.quant_pre_process(export, path, skip_symbolic_shape=True)
    return _quantize_dynamic(work, path, "preprocessed-dynamic.onnx", per_channel=True)


def build_ort_o2(work: Work) -> Built:
    """The same on what optimum's optimizer makes of the export."""
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
    """NNCF's post-training quantization, calibrated on the texts albert-edge is."""
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
