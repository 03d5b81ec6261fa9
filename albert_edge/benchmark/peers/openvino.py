"""OpenVINO: its conversion from torch, and int8 weights with dynamically quantized activations."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from albert_edge.architecture.config import read_config
from albert_edge.architecture.heads import HEADS
from albert_edge.benchmark.runtimes import Arrays, Built, Run, Runtime, Work, file_sizes
from albert_edge.check.parity import transformers_model
from albert_edge.json_fields import read_object

_HIDDEN_SIZE = "hidden_size"


def build(work: Work) -> Built:
    """The conversion, which is written only once."""
    path = work.folder / "openvino.xml"
    if not path.exists():
        openvino, torch = import_module("openvino"), import_module("torch")
        source = transformers_model(work.checkpoint, work.head, torchscript=True)
        head = HEADS[work.head]
        shape = head.ids_shape(2, 8)
        names = [wanted.name for wanted in head.inputs]
        example = {name: torch.ones(shape, dtype=torch.int64) for name in names}
        dynamic = [(name, [-1] * len(shape), openvino.Type.i64) for name in names]
        model = openvino.convert_model(source, example_input=example, input=dynamic)
        with torch.inference_mode():
            outputs = list(source(**example, return_dict=True))
        for output, name in zip(model.outputs, outputs, strict=True):
            output.get_tensor().set_names({name})
        save(model, path)
    return built(path, work.head)


def build_int8(work: Work) -> Built:
    """int8 weights by NNCF, with the fastest settings: symmetric, a group per hidden state."""
    nncf = import_module("nncf")
    mode = nncf.CompressWeightsMode.INT8_SYM
    model = nncf.compress_weights(read(work), mode=mode)
    config = read_config(work.checkpoint / "config.json")
    path = work.folder / "openvino-int8.xml"
    save(model, path)
    path.with_suffix(".json").write_text(json.dumps({_HIDDEN_SIZE: config.hidden_size}))
    return built(path, work.head)


def read(work: Work) -> Any:
    """The conversion, as openvino.Model."""
    return _core().read_model(build(work).path)


def save(model: Any, path: Path) -> None:
    """Write a model, its weights in the precision they have."""
    import_module("openvino").save_model(model, path, compress_to_fp16=False)


def built(path: Path, task: str) -> Built:
    """A saved model."""
    return Built(path, file_sizes(path, path.with_suffix(".bin")), task)


def load(built: Built, threads: int, device: str, *, precision: str = "f32") -> Run:
    """A compiled model and one request, set for latency.

    Args:
        built: The model.
        threads: Threads of a run.
        device: It runs on a CPU.
        precision: Of floats; by default OpenVINO uses bf16 on CPUs that have it.
    """
    model = compile_model(built, threads, INFERENCE_PRECISION_HINT=precision)
    names = [output.get_any_name() for output in model.outputs]
    request = model.create_infer_request()

    def run(arrays: Arrays) -> Arrays:
        outputs = request.infer(arrays, share_inputs=True)
        return {name: outputs[index] for index, name in enumerate(names)}

    return run


def compile_model(built: Built, threads: int, **settings: str) -> Any:
    """A model compiled for latency in f32, unless the settings say otherwise."""
    known: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    about = built.path.with_suffix(".json")
    if about.exists():
        size = read_object(about, ValueError).integer(_HIDDEN_SIZE)
        known["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = size
    return _core().compile_model(built.path, "CPU", known | settings)


@functools.cache
def _core() -> Any:
    core = import_module("openvino").Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin
    return core


def prepare() -> None:
    """OpenVINO with its plugin for CPUs."""
    import_module("tokenizers")
    _core()


OPENVINO = Runtime(
    name="openvino",
    precision="fp32",
    build=build,
    prepare=prepare,
    load=load,
    modules=("openvino", "torch", "transformers"),
    extra="openvino",
)
OPENVINO_INT8 = replace(
    OPENVINO,
    name="openvino-int8",
    precision="int8",
    build=build_int8,
    modules=("openvino", "nncf", "torch", "transformers"),
)
