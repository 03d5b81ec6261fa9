"""What `gpu.py` runs: bundles of every head with random weights, and how near their answers are."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from peers import tokenize

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

VARIANTS = {
    "albert-edge fp16": "model_fp16_cuda",
    "albert-edge fp16, portable": "model_fp16",
    "albert-edge fp32": "model_optimized_cuda",
    "albert-edge fp32, portable": "model",
}
LEAST_COSINE = {"fp32": 0.9999, "fp16": 0.999}


def sample_texts(count: int) -> list[str]:
    """Texts of one sentence to several paragraphs, of the built-in sample in twelve languages."""
    sample = resources.files("albert_edge.compress").joinpath("sample_texts.txt")
    lines = sample.read_text(encoding="utf-8").splitlines()
    order = random.Random(0)
    return [" ".join(order.choices(lines, k=order.choice((1, 1, 1, 2, 4)))) for _ in range(count)]


def with_head(body: Path, folder: Path, task: str) -> Path:
    """The weights of a checkpoint under the random head of another task."""
    from safetensors.numpy import load_file, save_file

    from albert_edge.architecture.config import read_config
    from albert_edge.graph.build import author
    from albert_edge.graph.plan import Plan

    shutil.copytree(body, folder)
    tensors = load_file(folder / "model.safetensors")
    draw = np.random.default_rng(1)
    weights = author(read_config(folder / "config.json"), task, Plan()).weights
    for name, weight in weights.items():
        if name not in tensors or tensors[name].shape != weight.checkpoint_shape:
            values = 0.02 * draw.standard_normal(weight.checkpoint_shape, dtype=np.float32)
            tensors[name] = values + np.float32(name.endswith("LayerNorm.weight"))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def make_bundle(checkpoint: Path, folder: Path, task: str) -> Path:
    """A bundle with every variant that is for a GPU; random weights have nothing to refuse."""
    import albert_edge

    albert_edge.export(checkpoint, folder, task=task)
    albert_edge.optimize(folder, target="cuda")
    options: Any = {"texts": sample_texts(4), "min_agreement": 0.0, "min_cosine": 0.0}
    albert_edge.quantize(folder, precision="fp16", **options)
    albert_edge.quantize(folder, precision="fp16", target="portable", **options)
    return folder


# Parity.


def padded(inputs: Sequence[Arrays]) -> Arrays:
    """Some texts as one batch."""
    longest = max(arrays["input_ids"].shape[-1] for arrays in inputs)
    return {
        name: np.concatenate(
            [np.pad(one[name], ((0, 0), (0, longest - one[name].shape[-1]))) for one in inputs]
        )
        for name in inputs[0]
    }


def task_inputs(checkpoint: Path, task: str, texts: list[str]) -> list[Arrays]:
    """Every text alone, and batches of eight with padding; multiple-choice takes two at once."""
    alone = tokenize(checkpoint, texts)
    alone = [{name: array[:, :512] for name, array in arrays.items()} for arrays in alone]
    groups = [padded(alone[start : start + 8]) for start in range(0, len(alone), 8)]
    if task != "multiple-choice":
        return alone + groups
    pairs = [padded(alone[start : start + 2]) for start in range(0, len(alone) - 1, 2)]
    return [{name: array[None] for name, array in arrays.items()} for arrays in pairs]


def cosines(right: Sequence[Arrays], found: Sequence[Arrays]) -> dict[str, tuple[float, float]]:
    """Of every output the cosine over all runs, and that of the worst run."""
    table = {}
    for name in right[0]:
        pairs = [
            (a[name].ravel().astype(np.float64), b[name].ravel().astype(np.float64))
            for a, b in zip(right, found, strict=True)
        ]
        sums = np.array([(a @ b, a @ a, b @ b) for a, b in pairs])
        product, left_norm, right_norm = sums.sum(axis=0)
        each = sums[:, 0] / np.sqrt(sums[:, 1] * sums[:, 2])
        table[name] = float(product / np.sqrt(left_norm * right_norm)), float(each.min())
    return table


def parity(body: Path, folder: Path, texts: list[str], device: str) -> dict[str, Any]:
    """Of every head and variant, how near the device's answers are to the CPU's in fp32."""
    from albert_edge.architecture.heads import HEADS
    from albert_edge.runtime.session import Session

    table: dict[str, Any] = {}
    for task in HEADS:
        checkpoint = with_head(body, folder / task, task)
        bundle = make_bundle(checkpoint, folder / f"{task}-bundle", task)
        inputs = task_inputs(checkpoint, task, texts)
        with Session(bundle, device="cpu", variant="model") as session:
            right = [_seen(session.run(arrays), arrays) for arrays in inputs]
        table[task] = {}
        for name, variant in VARIANTS.items():
            with Session(bundle, device=device, variant=variant) as session:
                found = [_seen(session.run(arrays), arrays) for arrays in inputs]
                least = LEAST_COSINE[session.variant.precision]
            outputs = cosines(right, found)
            holds = all(cosine >= least for cosine, _ in outputs.values())  # NaN is not
            table[task][name] = {"outputs": outputs, "least": least, "holds": holds}
        shutil.rmtree(checkpoint)
        shutil.rmtree(bundle)
    return table


def _seen(outputs: Arrays, arrays: Arrays) -> Arrays:
    """Outputs of tokens without those of padding, which nobody reads."""
    mask = arrays["attention_mask"].astype(bool)
    return {
        name: values[mask] if values.shape[: mask.ndim] == mask.shape else values
        for name, values in outputs.items()
    }
