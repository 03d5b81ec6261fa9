"""Paragraphs answered a second: albert-edge beside its peers on the same weights, in one run.

    python benchmarks/throughput.py [--texts 1000] [--chunks 10] [--geometry base] [--json FILE]
        [--contender NAME ...] [--batch-size 1 8 32]

    pip install 'albert-edge[cpu,export]' optimum-onnx==0.1.0 transformers==4.57.6 torch==2.13.0 \
        onnxruntime==1.32.0 openvino==2026.4.1 nncf==3.4.0

A classifier of random weights with ALBERT's English vocabulary labels paragraphs of XQuAD, out of
tests/data, cycled until there are enough: 40 of them, 60 to 700 tokens, the longest cut at 512.
What is timed goes from texts to labels, tokenizer included. Each way of a contender has a process
and 2 threads; the paragraphs are cut into chunks, and all answer one chunk before any begins the
next, in random order. A ratio is taken within a chunk, and the median of them is shown; the time
that processors spent on a text, spinning included, shows what a busy machine hides.

Contenders:
    albert-edge        a pipeline as it is by default, a worker for each thread; and workers=1, one
                       text at a time on all threads
    optimum            transformers.pipeline on ORTModelForSequenceClassification; each batch_size,
                       padded as that pipeline pads
    ORT dynamic int8   the same on optimum's export quantized by onnxruntime
    transformers       transformers.pipeline on torch; each batch_size
    OpenVINO int8      weights in int8, activations quantized at run time; a loop over the texts
                       with LATENCY, and a queue of asynchronous requests with THROUGHPUT
Those whose packages are missing are left out. All of them at all batch sizes take 50 minutes.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import command
from int8 import CALIBRATION, build_ort_dynamic, build_own

import models
from albert_edge.benchmark.peers import openvino, optimum, torch
from albert_edge.benchmark.pinning import choose_processors
from albert_edge.benchmark.runtimes import CHECKPOINT, Built, Runtime, Work, own_runtime
from albert_edge.benchmark.starts import Setting
from albert_edge.benchmark.throughput import (
    Contender,
    Labels,
    measure_throughput,
    summarize_throughput,
)

LONGEST = 512  # tokens
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
    path = _checkpoint(built) / "tokenizer.json"
    tokenizer = import_module("tokenizers").Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(LONGEST)
    hint = "THROUGHPUT" if queue else "LATENCY"
    model = openvino.compile_model(built, threads, PERFORMANCE_HINT=hint)
    request, requests = (
        model.create_infer_request(),
        import_module("openvino").AsyncInferQueue(model),
    )

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
    """The checkpoint that a model was built from."""
    return next(
        folder / CHECKPOINT for folder in built.path.parents if (folder / CHECKPOINT).exists()
    )


def _own(precision: str) -> Contender:
    load = partial(load_own, precision=precision)
    build = partial(build_own, precision=precision)
    runtime = replace(own_runtime(Path(), "", precision, 0), build=build)
    return Contender(runtime, {"default": load, "workers=1": partial(load, workers=1)})


def _batched(runtime: Runtime, load: Callable[..., Labels], sizes: Sequence[int]) -> Contender:
    ways = {f"batch_size={size}": partial(load, batch_size=size) for size in sizes}
    return Contender(runtime, ways)


def contenders(sizes: Sequence[int]) -> dict[str, Contender]:
    """All of them, those of transformers' pipelines at some batch sizes."""
    ort_int8 = replace(optimum.OPTIMUM, build=build_ort_dynamic)
    queue = {name: partial(load_openvino, queue=name == "queue") for name in ("loop", "queue")}
    return {
        "albert-edge int8": _own("int8"),
        "albert-edge fp32": _own("fp32"),
        "optimum fp32": _batched(optimum.OPTIMUM, load_optimum, sizes),
        "ORT dynamic int8": _batched(ort_int8, load_optimum, sizes),
        TORCH: _batched(torch.TORCH, load_torch, sizes),
        "OpenVINO int8": Contender(openvino.OPENVINO_INT8, queue),
    }


TORCH_GPU = _batched(torch.TORCH, partial(load_torch, half=True), (8, 32, 128))


def label(
    folder: Path,
    contenders: dict[str, Contender],
    parts: Sequence[list[str]],
    *,
    device: str = "cpu",
    reference: str = TORCH,
    warm_up: int = 0,
) -> dict[str, Any]:
    """Measure contenders with the checkpoint of a folder."""
    texts, processors = parts[0][:2], choose_processors(models.THREADS)
    setting = Setting(folder, models.THREADS, processors, texts, texts, device=device)
    work = Work(folder, models.HEAD)
    answers = measure_throughput(
        contenders, work, setting, parts, warm_up=warm_up, tell=command.log
    )
    peers = [name for name in answers if not name.startswith("albert-edge")]
    return summarize_throughput(answers, peers, reference)


BATCHES = (1, 8, 32)


def paragraphs(count: int) -> list[str]:
    """Contexts of XQuAD, repeated until there are enough."""
    lines = (models.DATA / "xquad" / "en.jsonl").read_text(encoding="utf-8").splitlines()
    return list(islice(cycle(json.loads(line)["context"] for line in lines), count))


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """Texts a second of every contender, in each of its modes."""
    checkpoint = models.make_checkpoint(folder / CHECKPOINT, options.geometry)
    models.use_english_vocabulary(checkpoint, folder / "scratch")
    calibration = "\n".join(models.sample_lines()[::4])
    (folder / CALIBRATION).write_text(calibration, encoding="utf-8")
    known = contenders(options.batch_size)
    missing = {name: known[name].runtime.missing for name in options.contender}
    present = {name: known[name] for name, module in missing.items() if not module}
    texts = paragraphs(options.texts)
    size = -(-len(texts) // options.chunks)
    parts = [texts[start : start + size] for start in range(0, len(texts), size)]
    left_out = {name: module for name, module in missing.items() if module}
    about = {"geometry": options.geometry, "texts": len(texts), "left_out": left_out}
    return {**about, **label(folder, present, parts)}


BENCHMARK = command.Benchmark(
    measure,
    geometry="base",
    texts=1000,
    chunks=10,
    contender=tuple(contenders(BATCHES)),
    batch_size=BATCHES,
)

if __name__ == "__main__":
    command.main("throughput")
