"""Classifiers from texts to labels, tokenizer included: albert-edge's pipeline and its peers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import command
from contenders import build_ort_dynamic, build_own

import models
from albert_edge.benchmark.peers import openvino, optimum, torch
from albert_edge.benchmark.pinning import choose_processors
from albert_edge.benchmark.runtimes import CHECKPOINT, Built, Work, own_runtime
from albert_edge.benchmark.starts import Setting
from albert_edge.benchmark.throughput import (
    Contender,
    Labels,
    Load,
    measure_throughput,
    summarize_throughput,
)

LONGEST = 512  # tokens
BATCHES = (1, 8, 32)
BATCHES_GPU = (8, 32, 128)
TORCH = "transformers fp32"


def load_own(built: Built, threads: int, device: str, *, precision: str, **options: Any) -> Labels:
    """A pipeline of albert-edge."""
    from albert_edge import pipeline

    options |= {"device": device, "precision": precision, "threads": threads}
    classify = pipeline("text-classification", built.path, truncation=True, **options)
    return lambda texts: [answer["label"] for answer in classify(texts)]


def load_optimum(built: Built, threads: int, device: str, *, batch_size: int) -> Labels:
    """The pipeline of transformers on onnxruntime."""
    ort, classes = import_module("onnxruntime"), import_module("optimum.onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    model = classes.ORTModelForSequenceClassification.from_pretrained(
        built.path.parent, file_name=built.path.name, session_options=options
    )
    return _transformers_pipeline(model, built, "cpu", batch_size)


def load_torch(
    built: Built, threads: int, device: str, *, batch_size: int, half: bool = False
) -> Labels:
    """The pipeline of transformers on torch."""
    import_module("torch").set_num_threads(threads)
    auto = import_module("transformers").AutoModelForSequenceClassification
    model = auto.from_pretrained(built.path).eval()
    return _transformers_pipeline(model.half() if half else model, built, device, batch_size)


def _transformers_pipeline(model: Any, built: Built, device: str, batch_size: int) -> Labels:
    transformers = import_module("transformers")
    classify = transformers.pipeline(
        "text-classification",
        model=model,
        tokenizer=transformers.AutoTokenizer.from_pretrained(_checkpoint(built)),
        device=device,
    )
    options = {"truncation": True, "max_length": LONGEST, "batch_size": batch_size}
    return lambda texts: [answer["label"] for answer in classify(texts, **options)]


def load_openvino(built: Built, threads: int, device: str, *, queue: bool) -> Labels:
    """A loop over the texts, or a queue of requests that OpenVINO runs side by side."""
    runtime = import_module("openvino")
    checkpoint = _checkpoint(built)
    tokenizer = import_module("tokenizers").Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT" if queue else "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": config["hidden_size"],
    }
    model = runtime.Core().compile_model(built.path, "CPU", settings)
    request, requests = model.create_infer_request(), runtime.AsyncInferQueue(model)

    def loop(texts: list[str]) -> list[str]:
        inputs = (models.as_inputs(tokenizer, text) for text in texts)
        return [_label(request.infer(arrays, share_inputs=True)[0]) for arrays in inputs]

    def in_queue(texts: list[str]) -> list[str]:
        labels = [""] * len(texts)

        def keep(done: Any, index: int) -> None:
            labels[index] = _label(done.get_output_tensor(0).data)

        requests.set_callback(keep)
        for index, text in enumerate(texts):
            requests.start_async(models.as_inputs(tokenizer, text), index)
        requests.wait_all()
        return labels

    return in_queue if queue else loop


def _label(logits: Any) -> str:
    return f"LABEL_{logits[0].argmax()}"


def _checkpoint(built: Built) -> Path:
    """The checkpoint in the folder that a model was made in."""
    return next(
        folder / CHECKPOINT for folder in built.path.parents if (folder / CHECKPOINT).exists()
    )


def _own(precision: str) -> Contender:
    load = partial(load_own, precision=precision)
    runtime = own_runtime(Path(), "", precision, 0)
    build = partial(build_own, precision=precision)
    ways = {"default": load, "workers=1": partial(load, workers=1)}
    return Contender(replace(runtime, build=build), ways)


def _batched(load: Callable[..., Labels], sizes: Sequence[int] = BATCHES) -> dict[str, Load]:
    return {f"batch_size={size}": partial(load, batch_size=size) for size in sizes}


CONTENDERS = {
    "albert-edge int8": _own("int8"),
    "albert-edge fp32": _own("fp32"),
    "optimum fp32": Contender(optimum.OPTIMUM, _batched(load_optimum)),
    "ORT dynamic int8": Contender(
        replace(optimum.OPTIMUM, build=build_ort_dynamic), _batched(load_optimum)
    ),
    TORCH: Contender(torch.TORCH, _batched(load_torch)),
    "OpenVINO int8": Contender(
        openvino.OPENVINO_INT8,
        {name: partial(load_openvino, queue=name == "queue") for name in ("loop", "queue")},
    ),
}
TORCH_GPU = Contender(torch.TORCH, _batched(partial(load_torch, half=True), BATCHES_GPU))


def label(
    folder: Path, contenders: dict[str, Contender], parts: Sequence[list[str]], **options: Any
) -> dict[str, Any]:
    """Measure contenders with the checkpoint of a folder, on a device."""
    processors, device = choose_processors(models.THREADS), options.pop("device", "cpu")
    texts = parts[0][:2]
    setting = Setting(folder, models.THREADS, processors, texts, texts, device=device)
    reference = options.pop("reference", TORCH)
    work = Work(folder, models.HEAD)
    answers = measure_throughput(contenders, work, setting, parts, tell=command.log, **options)
    peers = [name for name in answers if not name.startswith("albert-edge")]
    return summarize_throughput(answers, peers, reference)
