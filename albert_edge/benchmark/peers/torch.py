"""torch, through transformers: float32, and dynamic int8 of all linear layers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

from albert_edge.benchmark.runtimes import Built, Run, Runtime, Work, file_sizes, import_all
from albert_edge.check.parity import torch_run, transformers_model

_PREPARE = partial(import_all, "torch", "tokenizers", "transformers.models.albert.modeling_albert")


def build(work: Work) -> Built:
    """The checkpoint itself."""
    weights = work.checkpoint / "model.safetensors"
    return Built(work.checkpoint, file_sizes(weights), work.task)


def load(built: Built, threads: int) -> Run:
    """A checkpoint, in evaluation mode and without gradients."""
    _keep_to(threads)
    return torch_run(transformers_model(built.path, built.task))


def build_int8(work: Work) -> Built:
    """Dynamic quantization, saved whole so that loading does not repeat it."""
    torch = import_module("torch")
    path = work.folder / "torch-int8.pt"
    model: Any = transformers_model(work.checkpoint, work.task)
    linear = {torch.nn.Linear}
    torch.save(torch.ao.quantization.quantize_dynamic(model, linear, dtype=torch.qint8), path)
    return Built(path, file_sizes(path), work.task)


def load_int8(built: Built, threads: int) -> Run:
    """What `build_int8` saved."""
    _keep_to(threads)
    # A whole model is a pickle; this one was written a moment ago by this very run.
    return torch_run(import_module("torch").load(built.path, weights_only=False))


def _keep_to(threads: int) -> None:
    import_module("torch").set_num_threads(threads)


TORCH = Runtime(
    name="torch",
    precision="fp32",
    build=build,
    prepare=_PREPARE,
    load=load,
    modules=("torch", "transformers"),
    extra="reference",
)
TORCH_INT8 = replace(
    TORCH,
    name="torch-int8",
    precision="int8",
    build=build_int8,
    load=load_int8,
)
