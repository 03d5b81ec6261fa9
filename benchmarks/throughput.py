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
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import command
from contenders import CALIBRATION
from labelling import BATCHES, CONTENDERS, label

import models
from albert_edge.benchmark.runtimes import CHECKPOINT


def paragraphs(count: int) -> list[str]:
    """So many contexts of XQuAD, the same ones again where there are not enough."""
    lines = (models.DATA / "xquad" / "en.jsonl").read_text(encoding="utf-8").splitlines()
    return list(islice(cycle(json.loads(line)["context"] for line in lines), count))


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """Texts a second of every contender, in each of its ways."""
    checkpoint = models.make_checkpoint(folder / CHECKPOINT, options.geometry)
    models.use_english_vocabulary(checkpoint, folder / "scratch")
    calibration = "\n".join(models.sample_lines()[::4])
    (folder / CALIBRATION).write_text(calibration, encoding="utf-8")
    unwanted = {f"batch_size={size}" for size in BATCHES if size not in options.batch_size}
    missing = {name: CONTENDERS[name].runtime.missing for name in options.contender}
    present = {name: CONTENDERS[name] for name, module in missing.items() if not module}
    texts = paragraphs(options.texts)
    size = -(-len(texts) // options.chunks)
    parts = [texts[start : start + size] for start in range(0, len(texts), size)]
    figures = label(folder, present, parts, unwanted=unwanted)
    left_out = {name: module for name, module in missing.items() if module}
    return {"geometry": options.geometry, "texts": len(texts), "left_out": left_out, **figures}


BENCHMARK = command.Benchmark(
    measure,
    (
        models.GEOMETRY,
        ("--texts", {"type": int, "default": 1000}),
        ("--chunks", {"type": int, "default": 10}),
        ("--contender", {"nargs": "+", "choices": CONTENDERS, "default": [*CONTENDERS]}),
        (
            "--batch-size",
            {"nargs": "+", "type": int, "choices": BATCHES, "default": BATCHES},
        ),
    ),
)

if __name__ == "__main__":
    command.main("throughput")
