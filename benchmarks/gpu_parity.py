"""How near the answers of every head on a GPU are to the CPU's; `gpu.py` runs this."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import albert_edge
import models
from albert_edge.architecture.config import read_config
from albert_edge.architecture.heads import HEADS
from albert_edge.benchmark.shapes import make_inputs
from albert_edge.check.parity import sample_inputs
from albert_edge.compress.options import Fp16
from albert_edge.runtime.session import Session
from albert_edge.runtime.vectors import cosine
from models import Arrays

VARIANTS = {
    "albert-edge fp16": "model_fp16_cuda",
    "albert-edge fp16, portable": "model_fp16",
    "albert-edge fp32": "model_optimized_cuda",
    "albert-edge fp32, portable": "model",
}
SHAPES = ((1, 8), (1, 384), (2, 512), (8, 128))  # beside inputs with padding
LEAST_COSINE = {"fp32": 0.9999, "fp16": 0.999}


def sample_texts(count: int) -> list[str]:
    """Texts of one sentence to several paragraphs, of the built-in sample in twelve languages."""
    lines, draw = models.sample_lines(), random.Random(0)
    return [" ".join(draw.choices(lines, k=draw.choice((1, 1, 1, 2, 4)))) for _ in range(count)]


def make_bundle(checkpoint: Path, folder: Path) -> Path:
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


def parity(
    folder: Path, geometry: str, device: str, heads: Sequence[str] | None = None
) -> dict[str, Any]:
    """Of every head and variant, how near the device's answers are to the CPU's in fp32."""
    table: dict[str, Any] = {}
    for head in heads or HEADS:
        checkpoint = models.make_checkpoint(folder / head, geometry, head=head)
        bundle = make_bundle(checkpoint, folder / f"{head}-bundle")
        config = read_config(checkpoint / "config.json")
        inputs = [dict(arrays) for arrays in sample_inputs(config, head)]
        inputs += [dict(make_inputs(shape, config, head)) for shape in SHAPES]
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
