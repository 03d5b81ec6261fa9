"""A CUDA device: albert-edge's answers against the CPU's, and its speed beside torch's, in one run.

    python benchmarks/gpu.py [--geometry base] [--rounds 20] [--texts 160] [--json FILE]

    pip install 'albert-edge[gpu,export]' torch transformers

Without a CUDA device it ends with exit code 4. It ends with 1 where answers on the device are not
those of the CPU: cosine below 0.9999 in fp32 or 0.999 in fp16, of any output of any head, over all
inputs: 1 to 512 tokens, and padded batches. Weights are random; nothing is downloaded.

albert-edge runs every variant that is for a GPU: fp32 and fp16, each in the operators of the cuda
target and in portable ones. The peer is transformers on torch in fp16 with SDPA attention, eager
and compiled (mode "reduce-overhead", which records CUDA graphs); where torch.compile fails it is
left out, with the reason. Every call takes token ids from the host and brings logits back to it.

Latency and memory are measured as by `albert-edge bench`: memory is what nvidia-smi says a fresh
process took, CUDA's own context included, so the device must be otherwise idle. TF32 is as each
library has it by default, and is kept with the figures: it rounds what enters an fp32 matrix
product to 10 bits of fraction.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import command
import numpy as np
import throughput

import albert_edge
import models
from albert_edge.architecture.config import read_config
from albert_edge.architecture.heads import HEADS
from albert_edge.benchmark.peers.torch import TORCH_FP16, TORCH_FP16_COMPILED
from albert_edge.benchmark.runtimes import CHECKPOINT, own_runtime
from albert_edge.benchmark.shapes import make_inputs
from albert_edge.benchmark.throughput import Contender
from albert_edge.check.parity import sample_inputs
from albert_edge.compress.options import Fp16
from albert_edge.errors import AlbertEdgeError
from albert_edge.onnx_format.one_node import one_node_model
from albert_edge.runtime.device import find_devices
from albert_edge.runtime.providers import load_onnxruntime
from albert_edge.runtime.session import Session
from albert_edge.runtime.vectors import cosine
from models import Arrays

NEEDS = "pip install 'albert-edge[gpu,export]' torch transformers, on a machine with an NVIDIA GPU"
SHAPES = "1x8,1x32,1x128,1x384,8x128,32x128,128x128"
TORCH, TRANSFORMERS = "torch fp16", "transformers fp16"
VARIANTS = {
    "albert-edge fp16": "model_fp16_cuda",
    "albert-edge fp16, portable": "model_fp16",
    "albert-edge fp32": "model_optimized_cuda",
    "albert-edge fp32, portable": "model",
}
PARITY_SHAPES = ((1, 8), (1, 384), (2, 512), (8, 128))  # beside inputs with padding
LEAST_COSINE = {"fp32": 0.9999, "fp16": 0.999}


def sample_texts(count: int) -> list[str]:
    """Texts of one sentence to several paragraphs, of the built-in sample in twelve languages."""
    lines, draw = models.sample_lines(), random.Random(0)
    return [" ".join(draw.choices(lines, k=draw.choice((1, 1, 1, 2, 4)))) for _ in range(count)]


def make_gpu_bundle(checkpoint: Path, folder: Path) -> Path:
    """A bundle with every variant that is for a GPU."""
    albert_edge.export(checkpoint, folder)
    albert_edge.optimize(folder, target="cuda")
    for target in ("cuda", "portable"):
        models.add_precision(folder, Fp16(target=target), texts=sample_texts(4))
    return folder


def compare(
    expected: Sequence[Arrays], outputs: Sequence[Arrays]
) -> dict[str, tuple[float, float]]:
    """Of every output the cosine over all runs, and that of the worst run."""
    table = {}
    for name in expected[0]:
        pairs = [(a[name].ravel(), b[name].ravel()) for a, b in zip(expected, outputs, strict=True)]
        together = cosine(*(np.concatenate(side) for side in zip(*pairs, strict=True)))
        table[name] = float(together), float(np.min([cosine(*pair) for pair in pairs]))
    return table


def parity(folder: Path, geometry: str, device: str, heads: Sequence[str]) -> dict[str, Any]:
    """Of every head and variant, how near the device's answers are to the CPU's in fp32."""
    table: dict[str, Any] = {}
    for head in heads:
        checkpoint = models.make_checkpoint(folder / head, geometry, head=head)
        bundle = make_gpu_bundle(checkpoint, folder / f"{head}-bundle")
        config = read_config(checkpoint / "config.json")
        inputs = [dict(arrays) for arrays in sample_inputs(config, head)]
        inputs += [dict(make_inputs(shape, config, head)) for shape in PARITY_SHAPES]
        expected, _ = answers(bundle, "cpu", "model", inputs)
        table[head] = {}
        for name, variant in VARIANTS.items():
            outputs, precision = answers(bundle, device, variant, inputs)
            cosines, least = compare(expected, outputs), LEAST_COSINE[precision]
            holds = all(value >= least for value, _ in cosines.values())  # NaN is not
            table[head][name] = {"outputs": cosines, "least": least, "holds": holds}
        shutil.rmtree(folder)
    return table


def answers(
    bundle: Path, device: str, variant: str, inputs: Sequence[Arrays]
) -> tuple[list[Arrays], str]:
    """The outputs of tokens, without those of padding, and the precision of the variant."""
    with Session(bundle, device=device, variant=variant) as session:
        outputs = [_without_padding(session.run(arrays), arrays) for arrays in inputs]
        return outputs, session.variant.precision


def _without_padding(outputs: Arrays, arrays: Arrays) -> Arrays:
    mask = arrays["attention_mask"].astype(bool)
    return {
        name: values[mask] if values.shape[: mask.ndim] == mask.shape else values
        for name, values in outputs.items()
    }


def measure_latency(folder: Path, bundle: Path, options: Namespace) -> dict[str, Any]:
    """Latency and memory of every variant, and of torch in fp16."""
    peers = [
        replace(TORCH_FP16, name=TORCH),
        replace(TORCH_FP16_COMPILED, name=f"{TORCH}, compiled"),
    ]
    runtimes = [*models.own_runtimes(bundle, VARIANTS), *peers[: 1 if options.no_compile else 2]]
    plan = models.make_plan(
        bundle,
        runtimes,
        options.rounds,
        shapes=options.shapes,
        device=options.device,
        baseline=TORCH,
    )
    return command.measure_plan(plan, folder)


def measure_throughput(
    folder: Path, bundle: Path, texts: list[str], options: Namespace
) -> dict[str, Any]:
    """Texts a second from strings to labels: the best variants, and transformers in fp16."""
    contenders = {
        f"albert-edge {precision}": Contender(
            own_runtime(bundle, "", precision, 0),
            {"default": partial(throughput.load_own, precision=precision)},
        )
        for precision in ("fp16", "fp32")
    }
    contenders[TRANSFORMERS] = throughput.TORCH_GPU
    parts = [texts] * (1 + max(2, options.rounds // 4))
    return throughput.label(
        folder, contenders, parts, device=options.device, warm_up=1, reference=TRANSFORMERS
    )


def machine(device: str) -> dict[str, str]:
    """Describe the device, and the settings that decide how it computes fp32 products."""
    torch, ort = import_module("torch"), load_onnxruntime()
    model = one_node_model("Identity", ["x"], (1, 1), weights={})
    providers = [find_devices(device)[0].provider.name]
    options = ort.InferenceSession(model, providers=providers).get_provider_options()
    facts = {
        "CUDA of torch": str(torch.version.cuda),
        "TF32 in torch's fp32 products": str(torch.backends.cuda.matmul.allow_tf32),
        "TF32 in onnxruntime (use_tf32)": str(options.get(providers[0], {}).get("use_tf32")),
    }
    if shutil.which("nvidia-smi"):
        fields = "name", "driver_version", "compute_cap", "memory.total"
        query = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
        lines = subprocess.run(query, capture_output=True, text=True).stdout.splitlines()
        values = (value.strip() for line in lines[:1] for value in line.split(","))
        facts |= dict(zip(fields, values, strict=False))
    return facts


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """Measure a geometry."""
    try:
        find_devices(options.device)
    except AlbertEdgeError:
        command.log(f"This benchmark needs: {NEEDS}.")
        raise
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    checkpoint = models.make_checkpoint(folder / CHECKPOINT, options.geometry)
    texts = sample_texts(options.texts)
    bundle = make_gpu_bundle(checkpoint, folder / "bundle")
    return {
        "geometry": options.geometry,
        "machine": machine(options.device),
        "texts": len(texts),
        "parity": parity(folder / "heads", options.geometry, options.device, options.heads),
        "report": measure_latency(folder, bundle, options),
        "throughput": measure_throughput(folder, bundle, texts, options),
    }


def problems(figures: dict[str, Any]) -> list[str]:
    """List the answers that differ too much from the CPU's."""
    return [
        f"{head}, {name}: cosine below {row['least']}: {row['outputs']}"
        for head, rows in figures["parity"].items()
        for name, row in rows.items()
        if not row["holds"]
    ]


BENCHMARK = command.Benchmark(
    measure,
    problems,
    geometry="base",
    rounds=20,
    texts=160,  # that the pipelines answer
    shapes=SHAPES,
    heads=tuple(HEADS),  # that are compared with the CPU
    no_compile=False,
    device="cuda",
)

if __name__ == "__main__":
    command.main("gpu")
