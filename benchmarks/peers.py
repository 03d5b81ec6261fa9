"""What `int8.py` compares: how each contender makes its model, and how it loads it.

Imports stand inside functions: a contender's libraries load only in processes of its own.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from spine import THREADS, Run, feed, plain_session

Array = npt.NDArray[Any]
Inputs = list[dict[str, Array]]

BASELINE = "optimum fp32"
PACKAGES = {
    "optimum": "optimum-onnx==0.1.0 transformers==4.57.6 torch==2.13.0",
    "torch": "torch==2.13.0 transformers==4.57.6",
    "openvino": "openvino==2026.4.1",
    "nncf": "nncf==3.4.0",
}
LATENCY = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": THREADS}
PRECISION = "INFERENCE_PRECISION_HINT"


@dataclass(frozen=True, slots=True)
class Built:
    """What a contender loads, its size, and what must be said about it."""

    path: Path
    bytes: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Contender:
    """How a runtime makes its model in a folder with a checkpoint/, and how it loads it."""

    build: Callable[[Path], Built]
    load: Callable[[Path], Run]
    prepare: Callable[[], object]
    needs: tuple[str, ...] = ()


# Texts.


def tokenize(checkpoint: Path, texts: Iterable[str]) -> Inputs:
    """Each text as the model's inputs, alone and unpadded."""
    tokenizer = import_module("tokenizers").Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    return [as_inputs(tokenizer, text) for text in texts]


def as_inputs(tokenizer: Any, text: str) -> dict[str, Array]:
    """One text as the model's inputs, unpadded."""
    ids = np.array([tokenizer.encode(text).ids], np.int64)
    return {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }


# Building; in a process of its own, which nothing is measured in.


def build_ours(folder: Path, precision: Any, **options: Any) -> Built:
    """A bundle; of a model that the gate refuses, the one it judged best."""
    import albert_edge
    from albert_edge.bundle import open_bundle
    from albert_edge.errors import QualityError

    bundle = Path(tempfile.mkdtemp(dir=folder)) / "bundle"
    albert_edge.export(folder / "checkpoint", bundle)
    note = ""
    if precision == "fp32":
        albert_edge.optimize(bundle)
    else:
        texts = (folder / "calibration.txt").read_text(encoding="utf-8").splitlines()
        settings: Any = {"precision": precision, "texts": texts, "min_agreement": 0.0, **options}
        try:
            albert_edge.quantize(bundle, **settings)
        except QualityError as error:
            report: Any = error.report
            note = f"refused by its gate at cosine {report.quality.cosine:.5f}; forced"
            forced = report.quality.cosine - 1e-6
            albert_edge.quantize(bundle, **settings, min_cosine=forced)
    variant = open_bundle(bundle).manifest.variants[-1]
    return Built(bundle, sum((bundle / file.file).stat().st_size for file in variant.files), note)


def build_optimum(folder: Path) -> Built:
    """The export by optimum, made once."""
    path = folder / "optimum" / "model.onnx"
    if not path.exists():
        main_export = import_module("optimum.exporters.onnx").main_export
        main_export(
            str(folder / "checkpoint"),
            str(path.parent),
            task="text-classification",
            do_validation=False,
        )
    return _built(path)


def build_ort_dynamic(folder: Path) -> Built:
    """Dynamic quantization by onnxruntime of the export as it is."""
    return _quantize_dynamic(build_optimum(folder).path, folder / "dynamic.onnx")


def build_ort_preprocessed(folder: Path) -> Built:
    """The same with the pre-processing that onnxruntime's documentation asks for."""
    shapes = import_module("onnxruntime.quantization.shape_inference")
    path = folder / "preprocessed.onnx"
    shapes.quant_pre_process(build_optimum(folder).path, path, skip_symbolic_shape=True)
    return _quantize_dynamic(path, folder / "preprocessed-dynamic.onnx", per_channel=True)


def build_ort_o2(folder: Path) -> Built:
    """The same on what optimum's optimizer makes of the export."""
    ort = import_module("optimum.onnxruntime")
    export = build_optimum(folder).path.parent
    model = ort.ORTModelForSequenceClassification.from_pretrained(export)
    settings = ort.AutoOptimizationConfig.O2()
    ort.ORTOptimizer.from_pretrained(model).optimize(settings, save_dir=folder / "o2")
    return _quantize_dynamic(folder / "o2" / "model_optimized.onnx", folder / "o2-dynamic.onnx")


def _quantize_dynamic(source: Path, path: Path, **options: Any) -> Built:
    ort = import_module("onnxruntime.quantization")
    ort.quantize_dynamic(source, path, weight_type=ort.QuantType.QInt8, **options)
    return _built(path)


def build_torch(folder: Path) -> Built:
    """The checkpoint itself."""
    folder = folder / "checkpoint"
    return Built(folder, (folder / "model.safetensors").stat().st_size)


def build_torch_dynamic(folder: Path) -> Built:
    """Dynamic quantization by torch, saved whole so that loading does not repeat it."""
    torch = import_module("torch")
    path = folder / "dynamic.pt"
    model = _torch_model(folder / "checkpoint")
    linear = {torch.nn.Linear}
    torch.save(torch.ao.quantization.quantize_dynamic(model, linear, dtype=torch.qint8), path)
    return _built(path)


def _torch_model(folder: Path, **options: Any) -> Any:
    albert = import_module("transformers.models.albert.modeling_albert")
    return albert.AlbertForSequenceClassification.from_pretrained(folder, **options).eval()


def build_openvino(folder: Path) -> Built:
    """OpenVINO's conversion from torch, made once."""
    path = folder / "openvino.xml"
    if not path.exists():
        openvino, torch = import_module("openvino"), import_module("torch")
        example = {name: torch.from_numpy(array) for name, array in feed(2, 16).items()}
        model = openvino.convert_model(
            _torch_model(folder / "checkpoint", torchscript=True),
            example_input=example,
            input=[(name, [-1, -1], openvino.Type.i64) for name in example],
        )
        openvino.save_model(model, path, compress_to_fp16=False)
    return _built(path, path.with_suffix(".bin"))


def build_openvino_dynamic(folder: Path) -> Built:
    """int8 weights; activations are quantized at run time."""
    nncf = import_module("nncf")
    mode = nncf.CompressWeightsMode.INT8_SYM
    return _save(folder / "openvino-dynamic.xml", nncf.compress_weights(_read(folder), mode=mode))


def build_openvino_static(folder: Path) -> Built:
    """NNCF's post-training quantization, calibrated on the texts albert-edge is."""
    nncf = import_module("nncf")
    texts = (folder / "calibration.txt").read_text(encoding="utf-8").splitlines()
    inputs = tokenize(folder / "checkpoint", texts)
    model = nncf.quantize(
        _read(folder),
        nncf.Dataset(inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(inputs),
    )
    return _save(folder / "openvino-static.xml", model)


def _read(folder: Path) -> Any:
    return _core().read_model(build_openvino(folder).path)


def _save(path: Path, model: Any) -> Built:
    import_module("openvino").save_model(model, path, compress_to_fp16=False)
    return _built(path, path.with_suffix(".bin"))


def _built(*files: Path) -> Built:
    return Built(files[0], sum(file.stat().st_size for file in files))


# Loading; `prepare` is what a program has done before it opens its first model.


def load_ours(path: Path, precision: str) -> Run:
    """A session of a bundle."""
    from albert_edge.runtime.session import Session

    session = Session(path, precision=precision, threads=THREADS)
    return lambda inputs: session.run(inputs)["logits"]


def load_ort(path: Path) -> Run:
    """A session without options."""
    run = plain_session(path)
    return lambda inputs: run(inputs)[0]


def load_torch(path: Path) -> Run:
    """A checkpoint, or a model that was saved whole."""
    torch = import_module("torch")
    torch.set_num_threads(THREADS)
    model = _torch_model(path) if path.is_dir() else torch.load(path, weights_only=False)

    def run(inputs: dict[str, Array]) -> Array:
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
            logits: Array = model(**tensors).logits.numpy()
            return logits

    return run


def load_openvino(path: Path, precision: str) -> Run:
    """A compiled model and one request."""
    settings: dict[str, Any] = {**LATENCY, PRECISION: precision}
    if path.stem == "openvino-dynamic":
        config = json.loads((path.parent / "checkpoint" / "config.json").read_text())
        settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = config["hidden_size"]
    request = _core().compile_model(path, "CPU", settings).create_infer_request()
    return lambda inputs: request.infer(inputs, share_inputs=True)[0]


@functools.cache
def _core() -> Any:
    core = import_module("openvino").Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin
    return core


def _import(*names: str) -> None:
    for name in names:
        import_module(name)


def _ours(precision: str, **options: Any) -> Contender:
    return Contender(
        functools.partial(build_ours, precision=precision, **options),
        functools.partial(load_ours, precision=precision),
        functools.partial(_import, "albert_edge.runtime.session", "onnxruntime", "tokenizers"),
    )


def _ort(build: Callable[[Path], Built]) -> Contender:
    prepare = functools.partial(_import, "onnxruntime", "tokenizers")
    return Contender(build, load_ort, prepare, ("optimum", "torch"))


def _torch(build: Callable[[Path], Built]) -> Contender:
    modules = ("torch", "tokenizers", "transformers.models.albert.modeling_albert")
    return Contender(build, load_torch, functools.partial(_import, *modules), ("torch",))


def _openvino(build: Callable[[Path], Built], precision: str, *needs: str) -> Contender:
    load = functools.partial(load_openvino, precision=precision)
    return Contender(build, load, _core, ("openvino", "torch", *needs))


CONTENDERS = {
    "albert-edge fp32": _ours("fp32"),
    "albert-edge int8": _ours("int8"),
    "albert-edge int8, per-tensor": _ours("int8", activations="per-tensor"),
    "albert-edge int8, unrolled": _ours("int8", layout="unrolled"),
    "albert-edge int8-block": _ours("int8-block"),
    "albert-edge int4": _ours("int4"),
    BASELINE: _ort(build_optimum),
    "ORT dynamic int8": _ort(build_ort_dynamic),
    "ORT pre+dynamic int8": _ort(build_ort_preprocessed),
    "ORT O2+dynamic int8": _ort(build_ort_o2),
    "torch fp32": _torch(build_torch),
    "torch dynamic int8": _torch(build_torch_dynamic),
    "OpenVINO fp32": _openvino(build_openvino, "f32"),
    "OpenVINO int8 dynamic": _openvino(build_openvino_dynamic, "f32", "nncf"),
    "OpenVINO int8 static, bf16": _openvino(build_openvino_static, "bf16", "nncf"),
}
