"""torch, through transformers: float32, and dynamic int8 of all linear layers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

from albert_edge.benchmark.runtimes import Arrays, Built, Run, Runtime, Work, file_sizes, import_all
from albert_edge.check.parity import torch_run, transformers_model

_PREPARE = partial(import_all, "torch", "tokenizers", "transformers.models.albert.modeling_albert")


def build(work: Work) -> Built:
    """The checkpoint itself."""
    weights = work.checkpoint / "model.safetensors"
    return Built(work.checkpoint, file_sizes(weights), work.head)


def load(built: Built, threads: int, device: str) -> Run:
    """A checkpoint, in evaluation mode and without gradients."""
    _keep_to(threads)
    return torch_run(transformers_model(built.path, built.head))


def build_int8(work: Work) -> Built:
    """Dynamic quantization, saved whole so that loading does not repeat it."""
    torch = import_module("torch")
    path = work.folder / "torch-int8.pt"
    model: Any = transformers_model(work.checkpoint, work.head)
    linear = {torch.nn.Linear}
    torch.save(torch.ao.quantization.quantize_dynamic(model, linear, dtype=torch.qint8), path)
    return Built(path, file_sizes(path), work.head)


def load_int8(built: Built, threads: int, device: str) -> Run:
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


# On a GPU: float16 with SDPA attention. Token ids come from the host, and outputs go back to it.


def load_fp16(built: Built, threads: int, device: str, *, compiled: bool = False) -> Run:
    """A checkpoint in float16, on a device; compiled into CUDA graphs if asked for."""
    torch = import_module("torch")
    options = {"attn_implementation": "sdpa"}
    model: Any = transformers_model(built.path, built.head, **options).half().to(device)
    call = torch.compile(model, mode="reduce-overhead", dynamic=False) if compiled else model

    def run(arrays: Arrays) -> Arrays:
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(ids).to(device) for name, ids in arrays.items()}
            outputs = call(**tensors)
            return {name: value.float().cpu().numpy() for name, value in outputs.items()}

    return run


TORCH_FP16 = replace(TORCH, name="torch-fp16", precision="fp16", load=load_fp16, devices=("cuda",))
TORCH_FP16_COMPILED = replace(
    TORCH_FP16, name="torch-fp16-compiled", load=partial(load_fp16, compiled=True)
)
