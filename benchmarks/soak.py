"""Memory over many texts of mixed lengths, under each policy onnxruntime has for its memory.

    python benchmarks/soak.py [--texts 100000] [--others 10000] [--model langid-tiny] [--json FILE]
    python benchmarks/soak.py --model base --texts 1000 --others 200

A pipeline answers a generator of texts, workers included. `langid-tiny` is the model that ships;
`base` has albert-base geometry, random weights and the same tokenizer. Texts are 1 to 120 words of
the built-in sample, more of them short than long, no two alike. Every policy runs in a process of
its own; the first, which is the one that albert-edge chose, over all --texts, the others over
--others. RSS is read after every text, and shown as the most of it in each tenth of the texts; the
model and the libraries are in it. Flat means that the last tenths are no more than the second.

Policies:
    chosen           an arena that keeps what it was given; no plan of memory for each shape
    plans            the same with such plans (enable_mem_pattern), onnxruntime's default
    no arena         every buffer comes from malloc and goes back
    shrinking arena  the arena is given back after every run
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from spine import LAYERS, fresh, make_checkpoint

CHOSEN = "chosen"
POLICIES = (CHOSEN, "plans", "no arena", "shrinking arena")
TENTHS = 10
WORK = """
sys.path.insert(0, sys.argv[1])
import soak
print(json.dumps(soak.answer(*sys.argv[2:5], int(sys.argv[5]), rss)))
"""


def texts(count: int) -> Iterator[str]:
    """Texts of 1 to 120 words, the same each time."""
    sample = resources.files("albert_edge.compress").joinpath("sample_texts.txt")
    words = sample.read_text(encoding="utf-8").split()
    rng = random.Random(0)
    for _ in range(count):
        yield " ".join(rng.choices(words, k=round(120 ** rng.random())))


def apply(policy: str) -> None:
    """Have all sessions of this process that are loaded from now on follow a policy."""
    from albert_edge.runtime import engine, session
    from albert_edge.runtime.providers import load_onnxruntime

    made = engine.session_options

    def options(threads: int) -> Any:
        options = made(threads)
        options.enable_mem_pattern = policy == "plans"
        options.enable_cpu_mem_arena = policy != "no arena"
        return options

    def run_options() -> Any:
        options = load_onnxruntime().RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return options

    if policy != CHOSEN:
        engine.session_options = options
    if policy == "shrinking arena":
        runtime = SimpleNamespace(RunOptions=run_options)
        vars(session)["load_onnxruntime"] = lambda: runtime


def answer(bundle: str, precision: str, policy: str, count: int, rss: Callable[[], float]) -> Any:
    """Answer texts, and see how much memory that takes; in a process of its own."""
    from time import perf_counter

    from albert_edge import pipeline

    apply(policy)
    classify = pipeline(model=bundle, precision=precision, device="cpu", truncation=True)
    loaded, start = rss(), perf_counter()
    most = [0.0] * TENTHS
    for index, _ in enumerate(classify.stream(texts(count))):
        tenth = index * TENTHS // count
        most[tenth] = max(most[tenth], rss())
    return {
        "loaded_mb": loaded,
        "most_mb": most,
        "texts_per_second": count / (perf_counter() - start),
    }


def make_bundle(folder: Path, model: str) -> Path:
    """The bundle, in fp32 and int8."""
    import albert_edge

    source = (
        model if model == "langid-tiny" else make_checkpoint(folder / "model", model, LAYERS[model])
    )
    albert_edge.export(source, folder / "bundle")
    albert_edge.optimize(folder / "bundle")
    albert_edge.quantize(folder / "bundle", precision="int8", min_agreement=0, min_cosine=0)
    return folder / "bundle"


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All policies, each in both precisions."""
    bundle = make_bundle(folder, options.model)
    rows: dict[str, Any] = {}
    for policy in POLICIES:
        count = options.texts if policy == CHOSEN else options.others
        for precision in ("int8", "fp32"):
            if policy == CHOSEN and precision == "fp32":
                count = options.others
            found = fresh(WORK, Path(__file__).parent, bundle, precision, policy, str(count))
            rows[f"{policy}, {precision}"] = {"texts": count, **found}
            print(f"{policy}, {precision}: {found}", file=sys.stderr, flush=True)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "model": options.model,
        "policies": rows,
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures as Markdown."""
    print(
        f"{result['model']} ({result['machine']}); RSS in MB, the most in each tenth of the texts\n"
    )
    print(f"| | texts | texts a second | loaded |{' |' * TENTHS}")
    print(f"| --- | ---: | ---: | ---: |{' ---: |' * TENTHS}")
    for name, row in result["policies"].items():
        cells = [f"{row['texts']}", f"{row['texts_per_second']:.0f}", f"{row['loaded_mb']:.0f}"]
        cells += [f"{most:.0f}" for most in row["most_mb"]]
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", choices=("langid-tiny", *LAYERS), default="langid-tiny")
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--others", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments)
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
