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
import shutil
import subprocess
from argparse import Namespace
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import command
import labelling
from gpu_parity import VARIANTS, make_bundle, parity, sample_texts

import models
from albert_edge.architecture.config import read_config
from albert_edge.benchmark.peers.torch import TORCH_FP16, TORCH_FP16_COMPILED
from albert_edge.benchmark.plan import Plan, variant_runtime
from albert_edge.benchmark.runtimes import CHECKPOINT, own_runtime
from albert_edge.benchmark.shapes import parse_shapes
from albert_edge.benchmark.throughput import Contender
from albert_edge.bundle.bundle import open_bundle
from albert_edge.errors import AlbertEdgeError
from albert_edge.onnx_format.one_node import one_node_model
from albert_edge.runtime.device import find_devices
from albert_edge.runtime.providers import load_onnxruntime

NEEDS = "pip install 'albert-edge[gpu,export]' torch transformers, on a machine with an NVIDIA GPU"
SHAPES = "1x8,1x32,1x128,1x384,8x128,32x128,128x128"
TRANSFORMERS = "transformers fp16"


def measure_latency(folder: Path, bundle: Path, options: Namespace) -> dict[str, Any]:
    """Latency and memory of every variant, and of torch in fp16."""
    opened = open_bundle(bundle)
    variants = {variant.name: variant for variant in opened.manifest.variants}
    own = [variant_runtime(opened, variants[key], name) for name, key in VARIANTS.items()]
    plan = Plan(
        head=models.HEAD,
        config=read_config(bundle / "config.json"),
        reference=next(runtime for runtime in own if runtime.precision == "fp32"),
        own=own,
        peers=[
            replace(TORCH_FP16, name="torch fp16"),
            replace(TORCH_FP16_COMPILED, name="torch fp16, compiled"),
        ][: 1 if options.no_compile else 2],
        shapes=options.shapes,
        threads=[models.THREADS],
        rounds=options.rounds,
        device=options.device,
        baseline="torch fp16",
    )
    return command.measure_plan(plan, folder)


def measure_throughput(
    folder: Path, bundle: Path, texts: list[str], options: Namespace
) -> dict[str, Any]:
    """Texts a second from strings to labels: the best variants, and transformers in fp16."""
    contenders = {
        f"albert-edge {precision}": Contender(
            own_runtime(bundle, "", precision, 0),
            {"default": partial(labelling.load_own, precision=precision)},
        )
        for precision in ("fp16", "fp32")
    }
    contenders[TRANSFORMERS] = labelling.TORCH_GPU
    parts = [texts] * (1 + max(2, options.rounds // 4))
    return labelling.label(
        folder, contenders, parts, device=options.device, warm_up=1, reference=TRANSFORMERS
    )


def machine(device: str) -> dict[str, str]:
    """The device, and what decides how fp32 products are computed on it."""
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
    """All figures of one geometry."""
    try:
        find_devices(options.device)
    except AlbertEdgeError:
        command.log(f"This benchmark needs: {NEEDS}.")
        raise
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    checkpoint = models.make_checkpoint(folder / CHECKPOINT, options.geometry)
    texts = sample_texts(options.texts)
    bundle = make_bundle(checkpoint, folder / "bundle")
    return {
        "geometry": options.geometry,
        "machine": machine(options.device),
        "texts": len(texts),
        "parity": parity(folder / "heads", options.geometry, options.device, options.heads),
        "report": measure_latency(folder, bundle, options),
        "throughput": measure_throughput(folder, bundle, texts, options),
    }


def problems(figures: dict[str, Any]) -> list[str]:
    """What is too far from the CPU's answers."""
    return [
        f"{head}, {name}: cosine below {row['least']}: {row['outputs']}"
        for head, rows in figures["parity"].items()
        for name, row in rows.items()
        if not row["holds"]
    ]


BENCHMARK = command.Benchmark(
    measure,
    (
        models.GEOMETRY,
        models.rounds(20),
        ("--texts", {"type": int, "default": 160, "help": "how many the pipelines answer"}),
        ("--shapes", {"type": parse_shapes, "default": parse_shapes(SHAPES)}),
        ("--heads", {"nargs": "+", "help": "for the comparison with the CPU; all by default"}),
        ("--no-compile", {"action": "store_true", "help": "leave out torch.compile"}),
        ("--device", {"default": "cuda"}),
    ),
    problems,
)

if __name__ == "__main__":
    command.main("gpu")
