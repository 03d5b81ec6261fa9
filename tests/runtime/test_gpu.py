"""A CUDA device answers as the CPU does; and, on any machine, what measures it there runs.

The graphs themselves are held to the portable ones on the CPU, in test_graph.py, test_optimize.py
and test_quantize.py. Run these with: python -m pytest -m gpu
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from support.checkpoints import MODEL_CLASSES, make_model
from support.paths import ROOT

import albert_edge
from albert_edge import optimize, quantize
from albert_edge.bundle.bundle import open_bundle
from albert_edge.checkpoint.recipes import models_folder
from albert_edge.compress.options import Fp16
from albert_edge.errors import BundleError
from albert_edge.runtime.device import CPU, Device
from albert_edge.runtime.engine import load_engine
from albert_edge.runtime.providers import PROVIDERS
from albert_edge.runtime.session import Session
from albert_edge.runtime.variants import choose_variant

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

BENCHMARKS = ROOT / "benchmarks"
DEVICE = "cuda"
VARIANTS = {
    "model": 0.9999,
    "model_optimized_cuda": 0.9999,
    "model_fp16": 0.999,
    "model_fp16_cuda": 0.999,
}
# Heads of 64 features, as all released models but xlarge have: the fused kernels are made for them.
SIZES: dict[str, Any] = {
    "vocab_size": 1000,
    "embedding_size": 64,
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_attention_heads": 2,
}
ANYTHING: dict[str, Any] = {"min_agreement": 0.0, "min_cosine": 0.0}
TEXTS = ["The boat is late.", "Le bateau est en retard, et il pleut.", "Das Boot kommt.", "No"]


def has_cuda_device() -> bool:
    """Whether there is a device, whatever onnxruntime makes of it."""
    if not shutil.which("nvidia-smi"):
        return False
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return listed.returncode == 0 and "GPU" in listed.stdout


def on_a_gpu(test: Callable[..., None]) -> Callable[..., None]:
    missing = pytest.mark.skipif(not has_cuda_device(), reason="nvidia-smi lists no CUDA device")
    return pytest.mark.gpu(missing(test))  # type: ignore[no-any-return]


every_task = pytest.mark.parametrize("task", MODEL_CLASSES)
every_variant = pytest.mark.parametrize("variant", VARIANTS)


def add_variants(bundle: Path) -> Path:
    optimize(bundle, target="cuda")
    for target in ("cuda", "portable"):
        quantize(bundle, precision=Fp16(target=target), **ANYTHING)
    return bundle


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle for every head, with all variants that are for a GPU."""
    bundles = {}
    for task in MODEL_CLASSES:
        folder = tmp_path_factory.mktemp(task)
        make_model(task, **SIZES).save_pretrained(folder / "checkpoint")
        albert_edge.export(folder / "checkpoint", folder / "bundle")
        bundles[task] = add_variants(folder / "bundle")
    return bundles


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained classifier that ships, with int8 too."""
    folder = tmp_path_factory.mktemp("shipped") / "langid"
    albert_edge.export(models_folder() / "langid-tiny", folder)
    quantize(folder, precision="int8", **ANYTHING)
    return add_variants(folder)


def inputs(task: str, lengths: tuple[int, ...]) -> Arrays:
    random = np.random.default_rng(sum(lengths))
    choices = (2,) if task == "multiple-choice" else ()
    shape = (len(lengths), *choices, max(lengths))
    rows = np.array(lengths).reshape(-1, *[1] * (len(shape) - 1))
    return {
        "input_ids": random.integers(0, SIZES["vocab_size"], shape),
        "attention_mask": (np.arange(shape[-1]) < rows) * np.ones(shape, np.int64),
        "token_type_ids": random.integers(0, 2, shape),
    }


def cosine(a: Array, b: Array) -> float:
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def of_tokens(values: Array, arrays: Arrays) -> Array:
    """Outputs of tokens without those of padding."""
    mask = arrays["attention_mask"].astype(bool)
    return values[mask] if values.shape[: mask.ndim] == mask.shape else values


# On a GPU


# Kernels differ by the number of tokens: a multiple of 8 or of 16, and in fp32 256 or more.
LENGTHS = [(1,), (8,), (7, 3), (16, 9, 1), (33, 2), (64, 64), (256, 100), (384,), (511, 30)]


@on_a_gpu
@every_variant
@every_task
def test_answers_are_those_of_the_cpu(task: str, variant: str, bundles: dict[str, Path]) -> None:
    with (
        Session(bundles[task], device="cpu", variant="model") as cpu,
        Session(bundles[task], device=DEVICE, variant=variant) as gpu,
    ):
        for lengths in LENGTHS:
            arrays = inputs(task, lengths)
            expected, outputs = cpu.run(arrays), gpu.run(arrays)
            assert outputs.keys() == expected.keys()
            for name, values in outputs.items():
                assert values.dtype == np.float32 and np.isfinite(values).all()
                pair = of_tokens(values, arrays), of_tokens(expected[name], arrays)
                assert cosine(*pair) >= VARIANTS[variant], (name, lengths)


@on_a_gpu
@every_variant
def test_masks_of_all_kinds(variant: str, bundles: dict[str, Path]) -> None:
    """Padding on the left and holes in the middle."""
    arrays = inputs("token-classification", (24, 24, 24, 24))
    arrays["attention_mask"] = np.random.default_rng(0).integers(0, 2, (4, 24))
    arrays["attention_mask"][:, -1] = 1
    folder = bundles["token-classification"]
    right = Session(folder, device="cpu", variant="model").run(arrays)["logits"]
    logits = Session(folder, device=DEVICE, variant=variant).run(arrays)["logits"]
    assert cosine(logits, right) >= VARIANTS[variant]


@on_a_gpu
@every_variant
@pytest.mark.parametrize("task", ["token-classification", "text-classification"])
def test_a_text_is_answered_the_same_in_any_company(
    task: str, variant: str, bundles: dict[str, Path]
) -> None:
    lengths = (40, 3, 17, 1, 9, 32)
    batch = inputs(task, lengths)
    with Session(bundles[task], device=DEVICE, variant=variant) as session:
        together = session.run(batch)["logits"]
        for row, length in enumerate(lengths):
            row_inputs = {name: array[row : row + 1, :length] for name, array in batch.items()}
            by_itself = session.run(row_inputs)["logits"][0]
            in_batch = together[row, :length] if by_itself.ndim == 2 else together[row]
            assert cosine(in_batch, by_itself) >= VARIANTS[variant]


@on_a_gpu
@every_variant
def test_the_device_does_the_work(variant: str, bundles: dict[str, Path], tmp_path: Path) -> None:
    """By onnxruntime's own profile: products, attention and norms ran there, none on the CPU."""
    folder = bundles["text-classification"]
    with Session(folder, device=DEVICE, variant=variant) as session:
        assert session.device.provider is PROVIDERS["cuda"]
        engine = load_engine(session.bundle.model_file(session.variant), session.device, threads=1)
        assert engine.get_providers()[0] == "CUDAExecutionProvider"
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    path, providers = folder / "onnx" / f"{variant}.onnx", ["CUDAExecutionProvider"]
    run = onnxruntime.InferenceSession(path, options, providers=providers)
    run.run(None, inputs("text-classification", (16, 3)))
    events = json.loads(Path(run.end_profiling()).read_text(encoding="utf-8"))
    heavy = {"MatMul", "Gemm", "Attention", "MultiHeadAttention", "Softmax", "LayerNormalization"}
    heavy |= {"SkipLayerNormalization", "BiasGelu", "FastGelu", "Gather", "Add", "Erf"}
    ran = {
        (event["args"]["op_name"], event["args"]["provider"])
        for event in events
        if event.get("args", {}).get("op_name") in heavy and "provider" in event["args"]
    }
    assert {provider for name, provider in ran if name != "Add"} == {"CUDAExecutionProvider"}
    assert ("MatMul", "CUDAExecutionProvider") in ran
    if variant.endswith("cuda"):
        assert ("Attention", "CUDAExecutionProvider") in ran


@on_a_gpu
def test_the_best_variant_for_the_device_is_taken(shipped: Path, tmp_path: Path) -> None:
    assert Session(shipped, device=DEVICE).variant.name == "model_fp16_cuda"
    assert Session(shipped, device=DEVICE, precision="fp32").variant.name == "model_optimized_cuda"
    assert Session(shipped, device="cpu").variant.name == "model_quantized"
    albert_edge.export(models_folder() / "langid-tiny", tmp_path / "other")
    quantize(tmp_path / "other", precision="int8", **ANYTHING)
    assert Session(tmp_path / "other", device=DEVICE).variant.name == "model"
    quantize(tmp_path / "other", precision=Fp16(target="portable"), **ANYTHING)
    assert Session(tmp_path / "other", device=DEVICE).variant.name == "model_fp16"


@on_a_gpu
def test_int8_is_for_cpus(shipped: Path) -> None:
    with pytest.raises(BundleError, match="int8") as caught:
        Session(shipped, device=DEVICE, precision="int8")
    assert caught.value.tip


@on_a_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_pipelines_answer_as_on_the_cpu(precision: str, shipped: Path) -> None:
    """Texts of mixed lengths come back in order, each with its own answer."""
    texts = [text * times for times in (1, 9, 3, 20) for text in TEXTS]
    cpu = albert_edge.pipeline("text-classification", shipped, device="cpu", precision="fp32")
    gpu = albert_edge.pipeline("text-classification", shipped, device=DEVICE, precision=precision)
    expected, answers = (pipe(texts, truncation=True) for pipe in (cpu, gpu))
    assert [answer["label"] for answer in answers] == [answer["label"] for answer in expected]
    close = 1e-3 if precision == "fp32" else 2e-2
    assert [answer["score"] for answer in answers] == pytest.approx(
        [answer["score"] for answer in expected], abs=close
    )
    streamed = list(gpu((text for text in texts), truncation=True))
    assert [answer["label"] for answer in streamed] == [answer["label"] for answer in expected]


# What a device would be given, told by its name alone


def test_variants_for_a_gpu_are_preferred_there(shipped: Path) -> None:
    bundle, gpu = open_bundle(shipped), Device("cuda", PROVIDERS["cuda"])
    for precision, name in (("fp32", "model_optimized_cuda"), ("fp16", "model_fp16_cuda")):
        assert choose_variant(bundle, gpu, precision).name == name
    with pytest.raises(BundleError, match="int8"):
        choose_variant(bundle, gpu, "int8")
    for precision, name in (("fp32", "model"), ("fp16", "model_fp16"), ("int8", "model_quantized")):
        assert choose_variant(bundle, CPU, precision).name == name


# The benchmark, rehearsed on the CPU

REHEARSED = ["text-classification", "multiple-choice", "question-answering"]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """benchmarks/gpu.py, to be run on the CPU, with short inputs and one size of batch."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    benchmark, throughput = import_module("gpu"), import_module("throughput")
    monkeypatch.setattr(benchmark, "PARITY_SHAPES", ((1, 8), (2, 16)))
    way, *_ = throughput.TORCH_GPU.ways.items()
    one_way = dataclasses.replace(throughput.TORCH_GPU, ways=dict([way]))
    monkeypatch.setattr(throughput, "TORCH_GPU", one_way)
    return benchmark


@pytest.mark.slow
def test_the_benchmark_runs(benchmark: Any) -> None:
    options = ["--geometry", "tiny", "--device", "cpu", "--rounds", "1", "--texts", "5"]
    options += ["--shapes", "1x8,3x16", "--no-compile", "--heads", *REHEARSED]
    figures = import_module("command").measure("gpu", options)
    assert [*figures["parity"]] == REHEARSED
    assert benchmark.problems(figures) == []
    runtimes = [*benchmark.VARIANTS, "torch fp16"]
    assert [runtime["name"] for runtime in figures["report"]["runtimes"]] == runtimes
    for runtime in figures["report"]["runtimes"]:
        assert [(row["batch"], row["length"]) for row in runtime["latencies"]] == [(1, 8), (3, 16)]
        assert all(row["p50_ms"] >= row["best_ms"] > 0 for row in runtime["latencies"])
    assert {row["ratio"] for row in runtime["latencies"]} == {1}  # torch is the baseline
    for row in figures["throughput"]["contenders"].values():
        assert row["texts_per_second"] > 0
    json.dumps(figures)
    names = ("gpu-parity", "gpu-memory", "gpu-latency", "gpu-throughput")
    tables = [import_module("renderers").TABLES[name].render(figures) for name in names]
    assert all(any(name in table for table in tables) for name in (*runtimes, *REHEARSED))
    assert "use_tf32" in " ".join(figures["machine"])


@pytest.mark.parametrize("variant", ["model_optimized_cuda", "model_fp16_cuda"])
def test_the_benchmark_misses_nothing(
    variant: str, benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that are a little off are reported, by head and variant, and no others."""
    honest = Session.run
    draw = np.random.default_rng(0)

    def dishonest(self: Session, arrays: Any) -> Any:
        outputs = honest(self, arrays)
        if self.variant.name != variant:
            return outputs
        return {
            name: values + 0.1 * np.abs(values).mean() * draw.standard_normal(values.shape)
            for name, values in outputs.items()
        }

    monkeypatch.setattr(Session, "run", dishonest)
    table = benchmark.parity(tmp_path / "heads", "tiny", "cpu", REHEARSED)
    problems = benchmark.problems({"parity": table})
    names = {name for name, file in benchmark.VARIANTS.items() if file == variant}
    assert {line.partition(":")[0] for line in problems} == {
        f"{head}, {name}" for head in REHEARSED for name in names
    }


@pytest.mark.skipif(has_cuda_device(), reason="there is a CUDA device")
def test_without_a_device_the_benchmark_says_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "gpu.py"], capture_output=True, text=True, cwd=BENCHMARKS
    )
    assert done.returncode == 4
    assert "albert-edge[gpu,export]" in done.stderr and not done.stdout
