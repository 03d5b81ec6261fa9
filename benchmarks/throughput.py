"""Paragraphs answered a second: albert-edge beside its peers on the same weights, in one run.

    python benchmarks/throughput.py [--texts 1000] [--chunks 10] [--geometry base] [--json FILE]
        [--contender NAME ...] [--batch-size 1 8 32]

    pip install 'albert-edge[cpu,export]' optimum-onnx==0.1.0 transformers==4.57.6 torch==2.13.0 \
        onnxruntime==1.32.0 openvino==2026.4.1 nncf==3.4.0

A classifier of random weights with ALBERT's English vocabulary labels paragraphs of XQuAD, out of
tests/data, cycled until there are enough: 40 of them, 60 to 700 tokens, the longest cut at 512.
What is timed goes from texts to labels, tokenizer included. Each contender has a process and 2
threads; the paragraphs are cut into chunks, and every contender answers one chunk before any begins
the next, in random order. A ratio is taken within a chunk, and the median of them is shown; the
time that processors spent on a text, spinning included, tells what a busy machine hides.

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

import argparse
import importlib.util
import json
import multiprocessing
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module, resources
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import peers
from spine import GEOMETRIES, LAYERS, THREADS, make_checkpoint

from albert_edge.benchmark.peers import openvino, optimum, torch
from albert_edge.benchmark.runtimes import Built, Work

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
SPAWN = multiprocessing.get_context("spawn")
LONGEST = 512  # tokens
REST = 0.1  # seconds: threads of the runtime before spin on for a moment
BATCHES = (1, 8, 32)

PACKAGES = ("optimum", "torch", "openvino", "nncf")

Label = Callable[[list[str]], list[str]]
Way = tuple[str, str]  # a contender and how it labels


@dataclass(frozen=True, slots=True)
class Contender:
    """How a model is made in a folder with a checkpoint/, and the ways texts are labelled by it."""

    build: Callable[[Work], Built]
    load: Callable[[Path, Path], dict[str, Label]]
    needs: tuple[str, ...] = ()


# Building and loading.


def load_ours(model: Path, checkpoint: Path, precision: str) -> dict[str, Label]:
    """Pipelines with workers, and with all threads for one text."""
    from albert_edge import pipeline

    def labeller(**options: Any) -> Label:
        options |= {"device": "cpu", "precision": precision, "threads": THREADS}
        classify = pipeline("text-classification", model, truncation=True, **options)
        return lambda texts: [each["label"] for each in classify(texts)]

    return {"default": labeller(), "workers=1": labeller(workers=1)}


def load_optimum(model: Path, checkpoint: Path) -> dict[str, Label]:
    """The pipeline of transformers on onnxruntime."""
    ort, classes = import_module("onnxruntime"), import_module("optimum.onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    loaded = classes.ORTModelForSequenceClassification.from_pretrained(
        model.parent, file_name=model.name, session_options=options
    )
    return _transformers_pipeline(loaded, checkpoint)


def load_torch(model: Path, checkpoint: Path) -> dict[str, Label]:
    """The pipeline of transformers on torch."""
    import_module("torch").set_num_threads(THREADS)
    auto = import_module("transformers").AutoModelForSequenceClassification
    return _transformers_pipeline(auto.from_pretrained(checkpoint).eval(), checkpoint)


def _transformers_pipeline(model: Any, checkpoint: Path) -> dict[str, Label]:
    transformers = import_module("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    classify = transformers.pipeline(
        "text-classification", model=model, tokenizer=tokenizer, device="cpu"
    )

    def labeller(size: int) -> Label:
        options = {"truncation": True, "max_length": LONGEST, "batch_size": size}
        return lambda texts: [each["label"] for each in classify(texts, **options)]

    return {f"batch_size={size}": labeller(size) for size in BATCHES}


def load_openvino(model: Path, checkpoint: Path) -> dict[str, Label]:
    """A loop over the texts, and a queue of requests that OpenVINO runs side by side."""
    runtime = import_module("openvino")
    tokenizer = import_module("tokenizers").Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    config = json.loads((checkpoint / "config.json").read_text())
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": THREADS,
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": config["hidden_size"],
    }
    core = runtime.Core()
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    settings["PERFORMANCE_HINT"] = "THROUGHPUT"
    queue = runtime.AsyncInferQueue(core.compile_model(model, "CPU", settings))

    def loop(texts: list[str]) -> list[str]:
        return [
            _label(request.infer(peers.as_inputs(tokenizer, text), share_inputs=True)[0])
            for text in texts
        ]

    def in_queue(texts: list[str]) -> list[str]:
        labels = [""] * len(texts)

        def keep(done: Any, index: int) -> None:
            labels[index] = _label(done.get_output_tensor(0).data)

        queue.set_callback(keep)
        for index, text in enumerate(texts):
            queue.start_async(peers.as_inputs(tokenizer, text), index)
        queue.wait_all()
        return labels

    return {"loop": loop, "queue": in_queue}


def _label(logits: Any) -> str:
    return f"LABEL_{logits[0].argmax()}"


def _ours(precision: str) -> Contender:
    return Contender(
        partial(peers.build_ours, precision=precision), partial(load_ours, precision=precision)
    )


TORCH = "transformers fp32"
CONTENDERS = {
    "albert-edge int8": _ours("int8"),
    "albert-edge fp32": _ours("fp32"),
    "optimum fp32": Contender(optimum.build, load_optimum, ("optimum", "torch")),
    "ORT dynamic int8": Contender(peers.build_ort_dynamic, load_optimum, ("optimum", "torch")),
    TORCH: Contender(torch.build, load_torch, ("torch",)),
    "OpenVINO int8": Contender(openvino.build_int8, load_openvino, ("openvino", "nncf", "torch")),
}


# Processes.


def build(name: str, folder: Path) -> Built:
    """Make the model of a contender."""
    return CONTENDERS[name].build(Work(folder, "text-classification"))


def work(pipe: Any, name: str, model: Path, checkpoint: Path) -> None:
    """Load a model, tell the ways it labels texts, and do so as often as asked."""
    os.dup2(2, 1)  # stdout is for the tables
    labellers = CONTENDERS[name].load(model, checkpoint)
    pipe.send(list(labellers))
    while (order := pipe.recv()) is not None:
        way, texts = order
        labellers[way](texts[:2])
        start, before = time.perf_counter(), time.process_time()
        labels = labellers[way](texts)
        pipe.send((time.perf_counter() - start, time.process_time() - before, labels))


# Measuring.


def prepare(folder: Path, geometry: str) -> None:
    """A checkpoint with the English vocabulary, as the tokenizer.json that all contenders read."""
    import albert_edge

    checkpoint = make_checkpoint(folder / "checkpoint", geometry, LAYERS[geometry])
    names = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    for name in names:
        (checkpoint / name).unlink()
    shutil.copyfile(DATA / "tokenizers" / "spiece.model", checkpoint / "spiece.model")
    albert_edge.export(checkpoint, folder / "bundle")
    for name in names:
        if (folder / "bundle" / name).exists():
            shutil.copyfile(folder / "bundle" / name, checkpoint / name)
    sample = resources.files("albert_edge.compress").joinpath("sample_texts.txt")
    lines = sample.read_text(encoding="utf-8").splitlines()[::4]
    (folder / "calibration.txt").write_text("\n".join(lines), encoding="utf-8")


def paragraphs(count: int) -> list[str]:
    """So many contexts of XQuAD, the same ones again where there are not enough."""
    lines = (DATA / "xquad" / "en.jsonl").read_text(encoding="utf-8").splitlines()
    return list(islice(cycle(json.loads(line)["context"] for line in lines), count))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of every contender for every chunk, and its labels."""
    missing = {need for need in PACKAGES if not importlib.util.find_spec(need)}
    names = [name for name in options.contender if not missing & set(CONTENDERS[name].needs)]
    prepare(folder, options.geometry)
    unwanted = {f"batch_size={size}" for size in BATCHES if size not in options.batch_size}
    pipes: dict[str, Any] = {}
    ways: list[Way] = []
    with ProcessPoolExecutor(1, SPAWN, os.dup2, (2, 1)) as pool:
        models = {name: pool.submit(build, name, folder).result().path for name in names}
    for name, model in models.items():
        pipes[name], other = SPAWN.Pipe()
        arguments = (other, name, model, folder / "checkpoint")
        SPAWN.Process(target=work, args=arguments, daemon=True).start()
        other.close()
        ways += [(name, way) for way in pipes[name].recv() if way not in unwanted]
    texts = paragraphs(options.texts)
    size = -(-len(texts) // options.chunks)
    seconds: dict[Way, list[float]] = {way: [] for way in ways}
    processors = dict.fromkeys(ways, 0.0)
    labels: dict[Way, list[str]] = {way: [] for way in ways}
    order = random.Random(0)
    for start in range(0, len(texts), size):
        for name, way in order.sample(ways, len(ways)):
            time.sleep(REST)
            pipes[name].send((way, texts[start : start + size]))
            took, busy, found = pipes[name].recv()
            seconds[name, way].append(took)
            processors[name, way] += busy
            labels[name, way] += found
        print(f"{min(start + size, len(texts))} texts", file=sys.stderr, flush=True)
    for pipe in pipes.values():
        pipe.send(None)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {THREADS} threads",
        "geometry": options.geometry,
        "texts": len(texts),
        "left_out": sorted(missing),
        **summary(seconds, processors, labels, len(texts)),
    }


def summary(
    seconds: dict[Way, list[float]],
    processors: dict[Way, float],
    labels: dict[Way, list[str]],
    count: int,
) -> dict[str, Any]:
    """Texts a second, and times as fast as the best peer, chunk by chunk."""
    totals = {way: sum(took) for way, took in seconds.items()}
    rivals = {way: took for way, took in totals.items() if not way[0].startswith("albert")}
    best = min(rivals or totals, key=totals.__getitem__)
    exact = next((found for (name, _), found in labels.items() if name == TORCH), None)
    rows = {}
    for way, took in seconds.items():
        pairs = zip(seconds[best], took, strict=True)
        rows[", ".join(way)] = {
            "texts_per_second": count / sum(took),
            "times_as_fast_as_best_peer": median(peer / own for peer, own in pairs),
            "processor_seconds_per_text": processors[way] / count,
            "chunk_seconds": took,
            "labels_as_torch": exact
            and sum(a == b for a, b in zip(exact, labels[way], strict=True)) / count,
        }
    return {"best_peer": ", ".join(best), "contenders": rows}


def show(result: dict[str, Any]) -> None:
    """Print the figures as Markdown."""
    print(f"{result['geometry']}, random weights, {result['texts']} paragraphs", end=" ")
    print(f"({result['machine']})\n\nbest peer: {result['best_peer']}\n")
    print("| | texts a second | times as fast as the best peer | processor ms a text", end=" | ")
    print("labels as torch |\n| --- | ---: | ---: | ---: | ---: |")
    for name, row in result["contenders"].items():
        same = row["labels_as_torch"]
        cells = [f"{row['texts_per_second']:.2f}", f"{row['times_as_fast_as_best_peer']:.2f} x"]
        cells.append(f"{1e3 * row['processor_seconds_per_text']:.0f}")
        print(f"| {name} | {' | '.join(cells)} | {'' if same is None else f'{same:.1%}'} |")
    for name in result["left_out"]:
        print(f"- left out what needs {name}, which is not installed")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--geometry", choices=GEOMETRIES, default="base")
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--chunks", type=int, default=10)
    parser.add_argument("--contender", nargs="+", choices=CONTENDERS, default=[*CONTENDERS])
    parser.add_argument("--batch-size", nargs="+", type=int, choices=BATCHES, default=BATCHES)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    os.environ |= {
        "OMP_NUM_THREADS": str(THREADS),
        "HF_HUB_OFFLINE": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments)
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
