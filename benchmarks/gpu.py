"""A CUDA device: albert-edge's answers against the CPU's, and its speed beside torch's, in one run.

    python benchmarks/gpu.py [--geometry base] [--rounds 20] [--texts 160] [--json FILE] [--quick]

    pip install 'albert-edge[gpu,export]' torch transformers

Without a CUDA device it ends with exit code 4. It ends with 1 where answers on the device are not
those of the CPU: cosine below 0.9999 in fp32 or 0.999 in fp16, of any output of any head, over all
texts and a padded batch of them. Weights are random, drawn here; nothing is downloaded.

albert-edge runs every variant that is for a GPU: fp32 and fp16, each in the operators of the cuda
target and in portable ones. The peer is transformers on torch in fp16 with SDPA attention, eager
and compiled (mode "reduce-overhead", which records CUDA graphs); torch.compile is left out, and the
reason told, where it fails. Every call takes token ids from the host and brings logits back to it.

In every round each runtime has one turn, in random order, and of a turn the first runs warm up.
Read the ratios: each is taken within a round, and the median of the rounds is shown. Memory is what
nvidia-smi says a fresh process took, CUDA's own context included; the device must be otherwise
idle. TF32 is as each library has it by default, and is printed: it rounds what enters an fp32
matrix product to 10 bits of fraction.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from gpu_models import VARIANTS, Array, Arrays, make_bundle, parity, sample_texts
from spine import GEOMETRIES, LAYERS, Run, feed, fresh, log, make_checkpoint

DEVICE = "cuda"
NEEDS = "pip install 'albert-edge[gpu,export]' torch transformers, on a machine with an NVIDIA GPU"
SHAPES = ((1, 8), (1, 32), (1, 128), (1, 384), (8, 128), (32, 128), (128, 128))
BASELINE = "torch fp16"
COMPILED = "torch fp16, compiled"
BATCHES = (8, 32, 128)  # what transformers.pipeline is given; the best is the peer

WARM, TIMED = 3, 5  # runs of a turn
TASK = "text-classification"

LOAD = """
import subprocess
def used():
    told = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return float(subprocess.check_output(told, text=True).split()[0]) * 1.048576
"""
LOAD_OURS = """
from albert_edge.runtime.session import Session
before, start = used(), time.perf_counter()
session = Session(sys.argv[1], device="cuda", variant=sys.argv[2])
loaded, seconds = used(), time.perf_counter() - start
session.run({"input_ids": [[5] * 128] * 32})
print(json.dumps({"load_s": seconds, "loaded_mb": loaded - before, "ran_mb": used() - before}))
"""
LOAD_TORCH = """
import torch, transformers
before, start = used(), time.perf_counter()
found = transformers.AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
model = found.half().eval().to("cuda")
torch.cuda.synchronize()
loaded, seconds = used(), time.perf_counter() - start
with torch.inference_mode():
    model(torch.full((32, 128), 5, device="cuda")).logits.cpu()
print(json.dumps({"load_s": seconds, "loaded_mb": loaded - before, "ran_mb": used() - before}))
"""


# Speed.


def torch_runs(checkpoint: Path, *, compiled: bool) -> dict[str, Run]:
    """What transformers runs on torch in fp16, eager and compiled."""
    torch, transformers = import_module("torch"), import_module("transformers")
    auto = transformers.AutoModelForSequenceClassification
    model = auto.from_pretrained(checkpoint, attn_implementation="sdpa").half().eval().to(DEVICE)

    def runner(call: Callable[..., Any]) -> Run:
        def run(inputs: Arrays) -> Array:
            with torch.inference_mode():
                tensors = {name: torch.from_numpy(a).to(DEVICE) for name, a in inputs.items()}
                logits: Array = call(**tensors).logits.float().cpu().numpy()
                return logits

        return run

    runs = {BASELINE: runner(model)}
    if compiled:
        runs[COMPILED] = runner(torch.compile(model, mode="reduce-overhead", dynamic=False))
    return runs


def our_runs(bundle: Path) -> tuple[dict[str, Run], str]:
    """A session of every variant, and whether onnxruntime uses TF32."""
    from albert_edge.runtime.session import Session

    sessions = {
        name: Session(bundle, device=DEVICE, variant=variant) for name, variant in VARIANTS.items()
    }
    options = sessions["albert-edge fp32"]._engine.get_provider_options()
    tf32 = options.get("CUDAExecutionProvider", {}).get("use_tf32", "unknown")
    return {name: session.run for name, session in sessions.items()}, tf32


def latencies(runs: dict[str, Run], shapes: Any, rounds: int) -> tuple[dict[str, Any], list[str]]:
    """Milliseconds of every runtime at every shape, and what failed."""
    table: dict[str, Any] = {}
    failed = []
    order = random.Random(0)
    for batch, length in shapes:
        inputs = feed(batch, length)
        turns: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name in order.sample(list(turns), len(turns)):
                try:
                    turns[name].append(_turn(runs[name], inputs))
                except Exception as error:
                    if name != COMPILED:  # of all runtimes the one that is known to
                        raise
                    reason = f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"
                    failed.append(f"{name} at {batch}x{length}: {reason}")
                    del turns[name]
        table[f"{batch}x{length}"] = {name: _summary(turns, name) for name in turns}
        log(f"latency {batch}x{length}")
    return table, failed


def _turn(run: Run, inputs: Arrays) -> float:
    """Median seconds of some runs, the first few aside."""
    seconds = []
    for _ in range(WARM + TIMED):
        start = time.perf_counter()
        run(inputs)
        seconds.append(time.perf_counter() - start)
    return median(seconds[WARM:])


def _summary(turns: dict[str, list[float]], name: str) -> dict[str, float]:
    pairs = zip(turns[BASELINE], turns[name], strict=True)
    return {
        "median_ms": 1e3 * median(turns[name]),
        "best_ms": 1e3 * min(turns[name]),
        "times_as_fast": median(peer / own for peer, own in pairs),
    }


def throughputs(
    bundle: Path, checkpoint: Path, texts: list[str], rounds: int
) -> dict[str, dict[str, float]]:
    """Texts a second from strings to labels, and the share of labels that are the peer's."""
    import albert_edge

    torch, transformers = import_module("torch"), import_module("transformers")
    auto = transformers.AutoModelForSequenceClassification
    peer = transformers.pipeline(
        TASK,
        model=auto.from_pretrained(checkpoint).half().eval(),
        tokenizer=transformers.AutoTokenizer.from_pretrained(checkpoint),
        device=torch.device(DEVICE),
    )
    calls: dict[str, Callable[[], Any]] = {}
    for precision in ("fp16", "fp32"):
        # The best variant for the device, as users get it.
        own = albert_edge.pipeline(TASK, model=bundle, device=DEVICE, precision=precision)
        calls[f"albert-edge {precision}"] = partial(own, texts, truncation=True)
    cut = {"truncation": True, "max_length": 512}
    for size in BATCHES:
        name = f"transformers fp16, batch_size={size}"
        calls[name] = partial(peer, texts, batch_size=size, **cut)
    expected = [answer["label"] for answer in peer(texts, **cut)]
    table = {}
    agree = {}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    order = random.Random(0)
    for turn in range(rounds + 1):
        for name in order.sample(list(calls), len(calls)):
            start = time.perf_counter()
            answers = calls[name]()
            if turn:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
            same = [a["label"] == b for a, b in zip(answers, expected, strict=True)]
            agree[name] = sum(same) / len(same)
    best = min((name for name in calls if "transformers" in name), key=lambda n: median(seconds[n]))
    for name, times in seconds.items():
        table[name] = {
            "texts_per_s": len(texts) / median(times),
            "times_as_fast": median(a / b for a, b in zip(seconds[best], times, strict=True)),
            "agreement": agree[name],
        }
    log("throughput")
    return table


# Memory, and what all this ran on.


def memory(bundle: Path, checkpoint: Path) -> dict[str, dict[str, float]]:
    """What fresh processes take of the device; nothing where nvidia-smi cannot tell."""
    if not shutil.which("nvidia-smi"):
        return {}
    table = {name: fresh(LOAD + LOAD_OURS, bundle, variant) for name, variant in VARIANTS.items()}
    table[BASELINE] = fresh(LOAD + LOAD_TORCH, checkpoint)
    log("memory")
    return table


def machine() -> dict[str, str]:
    """The device and the versions of what runs on it."""
    found = {name: import_module(name).__version__ for name in ("onnxruntime", "torch")}
    found["transformers"] = import_module("transformers").__version__
    torch = import_module("torch")
    found["CUDA of torch"] = str(torch.version.cuda)
    found["TF32 in torch's fp32 products"] = str(torch.backends.cuda.matmul.allow_tf32)
    found["host"] = f"{platform.machine()}, {os.cpu_count()} cores"
    if shutil.which("nvidia-smi"):
        fields = "name", "driver_version", "compute_cap", "memory.total"
        told = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
        lines = subprocess.run(told, capture_output=True, text=True).stdout.splitlines()
        if lines:
            found |= zip(fields, (value.strip() for value in lines[0].split(",")), strict=False)
    return found


def measure(folder: Path, geometry: str, rounds: int, texts: int, *, quick: bool) -> dict[str, Any]:
    """All figures of one geometry."""
    body = make_checkpoint(folder / "checkpoint", geometry, LAYERS[geometry])
    sample = sample_texts(texts)
    result: dict[str, Any] = {"geometry": geometry, "machine": machine(), "texts": texts}
    result["parity"] = parity(body, folder / "heads", sample[: 16 if quick else 48], DEVICE)
    log("parity")
    bundle = make_bundle(body, folder / "bundle", TASK)
    result["memory_mb"] = memory(bundle, body)
    own, result["machine"]["TF32 in onnxruntime (use_tf32)"] = our_runs(bundle)
    runs = own | torch_runs(body, compiled=not quick)
    shapes = SHAPES[::3] if quick else SHAPES
    result["latency"], result["failed"] = latencies(runs, shapes, rounds)
    result["throughput"] = throughputs(bundle, body, sample, max(2, rounds // 4))
    return result


# Telling.


def missed(result: dict[str, Any]) -> Iterator[str]:
    """What is too far from the CPU's answers."""
    for task, row in result["parity"].items():
        for name, found in row.items():
            if not found["holds"]:
                yield f"{task}, {name}: cosine below {found['least']}: {found['outputs']}"


def show(result: dict[str, Any]) -> None:
    """Print the figures as Markdown."""
    print(f"{result['geometry']}, random weights")
    for name, value in result["machine"].items():
        print(f"- {name}: {value}")
    names = list(VARIANTS)
    print(f"\n| cosine with the CPU's fp32 (worst run) | {' | '.join(names)} |")
    print("| --- |" + " ---: |" * len(names))
    for task, row in result["parity"].items():
        for output in row[names[0]]["outputs"]:
            pairs = [row[name]["outputs"][output] for name in names]
            cells = [f"{cosine:.6f} ({worst:.5f})" for cosine, worst in pairs]
            print(f"| {task}, {output} | {' | '.join(cells)} |")
    print("\n| device memory, context included | load s | loaded MB | after 32x128 MB |")
    print("| --- | ---: | ---: | ---: |")
    for name, row in result["memory_mb"].items():
        print(f"| {name} | {row['load_s']:.2f} | {row['loaded_mb']:.0f} | {row['ran_mb']:.0f} |")
    shapes = result["latency"]
    print(f"\n| median (best) ms, times as fast as {BASELINE} | {' | '.join(shapes)} |")
    print("| --- |" + " ---: |" * len(shapes))
    for name in next(iter(shapes.values())):
        cells = [_cell(row.get(name)) for row in shapes.values()]
        print(f"| {name} | {' | '.join(cells)} |")
    print("\n| pipeline, mixed lengths | texts/s | times as fast as the best peer | same labels |")
    print("| --- | ---: | ---: | ---: |")
    for name, row in result["throughput"].items():
        speed = f"{row['texts_per_s']:.0f} | {row['times_as_fast']:.2f} x"
        print(f"| {name} | {speed} | {row['agreement']:.1%} |")
    for line in (*result["failed"], *missed(result)):
        print(f"- {line}")


def _cell(row: dict[str, float] | None) -> str:
    if row is None:
        return "fails"
    return f"{row['median_ms']:.2f} ({row['best_ms']:.2f}), {row['times_as_fast']:.2f} x"


def main() -> int:
    """Measure one geometry and print it; the exit code."""
    from albert_edge.errors import AlbertEdgeError
    from albert_edge.runtime.device import find_devices

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--geometry", choices=GEOMETRIES, default="base")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--texts", type=int, default=160, help="how many the pipelines answer")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--quick", action="store_true", help="a look: little of everything")
    arguments = parser.parse_args()
    try:
        find_devices(DEVICE)
    except AlbertEdgeError as error:
        log(f"{error} {error.tip}\nThis benchmark needs: {NEEDS}.")
        return error.exit_code
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory() as folder:
        result = measure(
            Path(folder),
            arguments.geometry,
            arguments.rounds,
            arguments.texts,
            quick=arguments.quick,
        )
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return 1 if any(missed(result)) else 0


if __name__ == "__main__":
    sys.exit(main())
