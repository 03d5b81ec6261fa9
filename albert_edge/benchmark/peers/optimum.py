"""optimum: its export, run by its own classes on onnxruntime, and its dynamic quantization."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

from albert_edge.architecture.heads import HEADS
from albert_edge.benchmark.runtimes import (
    Arrays,
    Built,
    Run,
    Runtime,
    Work,
    file_sizes,
    import_all,
)

_EXPORT = "optimum"


def build(work: Work) -> Built:
    """The export, which is written only once.

    Raises:
        ValueError: optimum has no exporter for the head.
    """
    path = work.folder / _EXPORT / "model.onnx"
    if not path.exists():
        if work.head == "pretraining":
            raise ValueError("optimum has no exporter for the pretraining head")
        import_module("optimum.exporters.onnx").main_export(
            str(work.checkpoint),
            str(path.parent),
            task=work.head,
            do_validation=False,
            library_name="transformers",
        )
    return built(path, work.head)


def build_int8(work: Work) -> Built:
    """Dynamic quantization of the export by ORTQuantizer, as it is set for this kind of CPU."""
    ort = import_module("optimum.onnxruntime")
    quantizer = ort.ORTQuantizer.from_pretrained(build(work).path.parent)
    settings = getattr(ort.AutoQuantizationConfig, _settings())
    path: Path = quantizer.quantize(
        quantization_config=settings(is_static=False, per_channel=False),
        save_dir=work.folder / f"{_EXPORT}-int8",
    )
    return built(next(Path(path).glob("*.onnx")), work.head)


def _settings() -> str:
    """The name of the settings that optimum has for this CPU."""
    from albert_edge.machine.cpu import describe_cpu

    cpu = describe_cpu()
    if cpu.architecture == "aarch64":
        return "arm64"
    return "avx512_vnni" if cpu.features.get("vnni") else "avx2"


def built(path: Path, task: str) -> Built:
    """A model.onnx and its external data."""
    return Built(path, file_sizes(*path.parent.glob(f"{path.name}*")), task)


def load(built: Built, threads: int, device: str) -> Run:
    """The ORTModel of the task, with default options but the threads."""
    options = import_module("onnxruntime").SessionOptions()
    options.intra_op_num_threads = threads
    optimum = import_module("optimum.onnxruntime")
    architecture = HEADS[built.head].class_name
    name = "AlbertForFeatureExtraction" if architecture == "AlbertModel" else architecture
    model = getattr(optimum, name.replace("Albert", "ORTModel")).from_pretrained(
        built.path.parent,
        file_name=built.path.name,
        session_options=options,
        provider="CPUExecutionProvider",
    )

    def run(arrays: Arrays) -> Arrays:
        outputs = model(**arrays)
        return {name: value for name, value in outputs.items() if value is not None}

    return run


_PREPARE = partial(import_all, "onnxruntime", "tokenizers", "optimum.onnxruntime.modeling_ort")
_MODULES = ("optimum.onnxruntime", "torch", "transformers", "onnxruntime")

OPTIMUM = Runtime(
    name="optimum",
    precision="fp32",
    build=build,
    prepare=_PREPARE,
    load=load,
    modules=_MODULES,
    extra="optimum",
)
OPTIMUM_INT8 = replace(
    OPTIMUM,
    name="optimum-int8",
    precision="int8",
    build=build_int8,
)
