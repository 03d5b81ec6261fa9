"""Measure specialized models, narrower, with early exits and both, beside the full one and peers.

    python benchmarks/specialize.py [--trained build/trained] [--model NAME ...] [--json FILE]
        [--texts 2500] [--measured 250] [--chunks 10] [--starts 3] [--min-agreement 0.99]
        [--way NAME ...] [--no-peers]

    pip install 'albert-edge[cpu,export]' optimum-onnx==0.1.0 transformers==4.57.6 torch==2.13.0 \
        onnxruntime==1.32.0 openvino==2026.4.1 nncf==3.4.0

The models are trained, because of random weights nothing can be left out:
    langid-tiny  the model that ships, on phrases cut out of its test lines
    sentiment    written by benchmarks/training/sentiment.py to the folder --trained
    languages    written by benchmarks/training/languages.py to the same folder
A model that is not there is left out, as are peers whose packages are missing. No model was trained
on these texts.

`albert_edge.specialize` reads --texts of them, in a process whose time and peak memory are kept.
What is measured are --measured others, given one at a time, tokenized, to a process of each runtime
with 2 threads. All runtimes answer one chunk before any begins the next, in random order; ratios
are taken within a chunk. Multiply-accumulates are those of the encoder, in as many layers as were
used (`albert_edge.architecture.work`). Agreement is with the full model in int8: the share of
decisions that are the same, averaged over texts; of [CLS] and [SEP] nothing is decided.

What exits cost is the time of those texts that no exit answers, over their time in a model without
exits: of "exits" in the full model, of "width and exits" in "width" (the full one if that was not
measured).
"""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import command
import numpy as np
from int8 import CONTENDERS
from single_texts import TimedText, measure_single_texts

import models
from albert_edge.architecture.heads import HEADS
from albert_edge.architecture.work import multiply_accumulates
from albert_edge.benchmark.commands import Command, python, time_commands
from albert_edge.benchmark.pinning import choose_processors
from albert_edge.benchmark.plan import variant_runtime
from albert_edge.benchmark.runtimes import CHECKPOINT, Arrays, Runtime, Work
from albert_edge.benchmark.starts import Setting
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.manifest import Variant
from albert_edge.checkpoint.recipes import models_folder

FULL = "full int8"
BASELINES = {"over_full": FULL, "over_baseline": "optimum fp32"}
PEERS = ("optimum fp32", "ORT dynamic int8", "OpenVINO int8 dynamic", "torch dynamic int8")
WAYS = {
    "width": {"width": True, "exits": False},
    "exits": {"width": False, "exits": True},
    "width and exits": {"width": True, "exits": True},
}
# The same model without exits; the full one for others.
WITHOUT_EXITS = {"width and exits": "width"}
MODELS = ("langid-tiny", "sentiment", "languages")
PHRASE = range(3, 13)  # words, or twice as many characters of Chinese
SPECIALIZE = """
import json, sys
from pathlib import Path
import albert_edge
from albert_edge.errors import QualityError
bundle, out, texts, settings = sys.argv[1:]
lines = Path(texts).read_text(encoding="utf-8").splitlines()
try:
    albert_edge.specialize(bundle, out, texts=lines, **json.loads(settings))
except QualityError as error:
    print(error)
"""


class Model(NamedTuple):
    """A checkpoint, and texts that it was not trained on."""

    name: str
    folder: Path
    texts: list[str]


def find_models(names: Sequence[str], trained: Path) -> Iterator[Model]:
    """Find the models with these names; those that have not been trained are left out."""
    for name in names:
        if name == "langid-tiny":
            folder = models_folder() / name
            yield Model(name, folder, list(cut_phrases(folder / "test.tsv")))
        elif (folder := trained / name).exists():
            texts = (folder / "held-out.txt").read_text(encoding="utf-8").splitlines()
            yield Model(name, folder, texts)
        else:
            command.log(f"{name} is left out: train it with benchmarks/training/{name}.py")


def cut_phrases(table: Path) -> Iterator[str]:
    """Cut every text of a table into phrases that do not overlap."""
    draw = np.random.default_rng(0)
    for row in table.read_text(encoding="utf-8").splitlines()[1:]:
        text, language = row.rsplit("\t", 1)
        units, space = (list(text), "") if language == "zh" else (text.split(), " ")
        while units:
            size = int(draw.choice(PHRASE)) * (1 if space else 2)
            yield space.join(units[:size])
            units = units[size:]


def specialize(
    bundle: Path, ways: Sequence[str], texts: Sequence[str], min_agreement: float
) -> dict[str, dict[str, Any]]:
    """Specialize a bundle in some ways, each in a process of its own.

    Returns:
        Time, peak memory, and the reason if it was refused; by way, which is the name of the bundle
        too.
    """
    file = bundle.with_name("texts.txt")
    file.write_text("\n".join([*texts, ""]), encoding="utf-8")
    results = {}
    for way in ways:
        out, printed = bundle.with_name(way), bundle.with_name(f"{way}.txt")
        settings = json.dumps({"min_agreement": min_agreement, **WAYS[way]})
        argv = python(SPECIALIZE, bundle, out, file, settings)
        done = time_commands({way: Command(argv, output=printed)}, 1, tell=command.log)[way]
        refusal = "" if out.exists() else printed.read_text(encoding="utf-8").strip()
        results[way] = {"refusal": refusal, "median_s": done.median_s, "peak_mb": done.peak_mb}
    return results


def choose_variant(bundle: Bundle) -> Variant:
    """Choose the int8 variant that does least: with exits, if the bundle has such a one."""
    by_mode = {variant.mode: variant for variant in bundle.manifest.variants}
    return by_mode.get("int8-exits") or by_mode["int8"]


def compare_with_full(
    bundle: Bundle,
    inputs: Sequence[Arrays],
    texts: Sequence[TimedText],
    full: Sequence[TimedText],
    without_exits: Sequence[TimedText],
) -> dict[str, Any]:
    """Compare answers and work with the full model, and the time of texts that ran to the end.

    Args:
        bundle: The specialized bundle.
        inputs: The texts.
        texts: Their times and outputs.
        full: Those of the full model.
        without_exits: Those of the model without exits that the time is over.
    """
    config, head = bundle.read_config(), bundle.manifest.head
    same, layers, macs, ratios = [], [], [], []
    for arrays, (seconds, outputs), (_, expected), (plain_seconds, _) in zip(
        inputs, texts, full, without_exits, strict=True
    ):
        same.append(agreement(head, outputs, expected))
        used = int(outputs["layers"][0]) if "layers" in outputs else config.num_hidden_layers
        layers.append(used)
        macs.append(multiply_accumulates(config, head, arrays["input_ids"].size, used))
        if "layers" in outputs and used == config.num_hidden_layers:
            ratios.append(seconds / plain_seconds)
    return {
        "agreement": fmean(same),
        "mean_layers": fmean(layers),
        "macs": fmean(macs),
        "at_the_end": len(ratios),
        "time_over_no_exits": median(ratios) if ratios else None,
    }


def agreement(head: str, outputs: Arrays, expected: Arrays) -> float:
    """Return the share of the decisions about a text that are the same."""
    same = outputs["logits"].argmax(-1) == expected["logits"].argmax(-1)
    if "sequence_length" in HEADS[head].outputs["logits"]:
        same = same[:, 1:-1]  # [CLS] and [SEP] are no answers
    return float(same.mean())


def measure_model(
    full: Path, texts: Sequence[str], specialized: Mapping[str, Any], options: Namespace
) -> dict[str, Any]:
    """Measure a full bundle, the specialized ones beside it and the peers on some texts."""
    place = full.parent
    opened = {FULL: open_bundle(full)}
    opened |= {way: open_bundle(place / way) for way in specialized if (place / way).exists()}
    runtimes: list[Runtime] = [
        variant_runtime(bundle, choose_variant(bundle), name) for name, bundle in opened.items()
    ]
    peers = [] if options.no_peers else [peer for peer in CONTENDERS if peer.name in PEERS]
    runtimes += [peer for peer in peers if not peer.missing]
    inputs = models.tokenize(place / CHECKPOINT, texts)
    size = -(-len(inputs) // options.chunks)
    chunks = [inputs[at : at + size] for at in range(0, len(inputs), size)]
    processors = choose_processors(models.THREADS)
    setting = Setting(place, models.THREADS, processors, chunks[0], chunks[0])
    work = Work(place, opened[FULL].manifest.head)
    measured, failed = measure_single_texts(
        runtimes, work, setting, chunks, own=opened, baselines=BASELINES, starts=options.starts
    )
    rows = {name: result.figures for name, result in measured.items()}
    for name, bundle in opened.items():
        plain = measured.get(WITHOUT_EXITS.get(name, FULL), measured[FULL])
        rows[name] |= compare_with_full(
            bundle, inputs, measured[name].texts, measured[FULL].texts, plain.texts
        )
    return {
        "texts": len(texts),
        "chunks": len(chunks),
        "tokens": fmean(arrays["input_ids"].size for arrays in inputs),
        "layers": opened[FULL].read_config().num_hidden_layers,
        "runtimes": rows,
        "specialized": specialized,
        "skipped": failed | {peer.name: peer.how_to_get_it for peer in peers if peer.missing},
    }


def measure(folder: Path, options: Namespace) -> dict[str, Any]:
    """Measure every model."""
    figures = {}
    for model in find_models(options.model, Path(options.trained)):
        order = np.random.default_rng(0).permutation(len(model.texts))
        texts = [model.texts[index] for index in order[: options.measured + options.texts]]
        measured, sample = texts[: options.measured], texts[options.measured :]
        checkpoint = shutil.copytree(model.folder, folder / model.name / CHECKPOINT)  # for peers
        full = models.make_bundle(checkpoint, folder / model.name / "full", "int8", texts=sample)
        specialized = specialize(full, options.way, sample, options.min_agreement)
        figures[model.name] = measure_model(full, measured, specialized, options)
    return {"min_agreement": options.min_agreement, "models": figures}


BENCHMARK = command.Benchmark(
    measure,
    trained="build/trained",
    model=MODELS,
    way=tuple(WAYS),
    no_peers=False,
    texts=2500,
    measured=250,
    chunks=10,
    starts=3,
    min_agreement=0.99,
)

if __name__ == "__main__":
    command.main("specialize")
