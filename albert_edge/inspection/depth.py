"""How many layers a model needs: the answers and the time of every depth, beside all layers.

The models are those that `export(..., layers=N)` would write: the first N layers, and then the head
as it is. It was trained on what all layers make of a text, so this is what people see before they
fine-tune a shallower model, not after.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from albert_edge.architecture.config import AlbertConfig
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.manifest import Variant
from albert_edge.check.agreement import is_binary, text_losses
from albert_edge.check.portable import portable_file, require_onnx
from albert_edge.check.quality import Outputs, Reference, thin
from albert_edge.check.sample import Sample, Texts, load_sample
from albert_edge.compress.compressor import Compressor, Run, load_model
from albert_edge.disk.writing import scratch_folder
from albert_edge.exits.promise import CONFIDENCE, interval
from albert_edge.graph.plan import Plan, Precision, plan_of
from albert_edge.onnx_format.stored_weights import StoredWeights
from albert_edge.progress import Progress, progress_bar
from albert_edge.runtime.adaptation import adaptation_of
from albert_edge.runtime.device import CPU
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.model_source import ModelFile
from albert_edge.runtime.variants import choose_variant


@dataclass(frozen=True, slots=True)
class Depth:
    """A model with the first layers only.

    Attributes:
        layers: How many layers.
        agreement: Share of decisions that are those of all layers, 0 to 1, averaged over texts (see
            `check.agreement` for numbers and vectors).
        agreement_low: Lower bound of its 95 % confidence interval, for all texts like these.
        agreement_high: Upper bound.
        cosine: Mean cosine of the outputs and those of all layers.
        milliseconds: Median time to answer a text, in a run of its own.
    """

    layers: int
    agreement: float
    agreement_low: float
    agreement_high: float
    cosine: float
    milliseconds: float


@dataclass(frozen=True, slots=True)
class DepthReport:
    """What each number of layers answers, and how fast.

    Attributes:
        bundle: The bundle.
        variant: The variant whose precision and operators all models have.
        precision: Its precision.
        sample: The texts that were answered, in words.
        texts: How many texts there are.
        depths: The models, from the fewest layers to all.
    """

    bundle: Path
    variant: str
    precision: str
    sample: str
    texts: int
    depths: list[Depth]

    def __repr__(self) -> str:
        layers = ", ".join(str(depth.layers) for depth in self.depths)
        return f"DepthReport('{self.bundle}': {self.precision}, {layers} layers)"


def compare_depths(
    bundle: str | os.PathLike[str],
    *,
    texts: Texts | None = None,
    precision: str = "fp32",
    progress: bool | Progress = False,
) -> DepthReport:
    """Compare the answers of the first 1, 2, 3, ... layers of a model with those of all.

    Args:
        bundle: A bundle exported by the native exporter.
        texts: Texts to answer, or a file of them. By default a sample in twelve languages.
        precision: A precision that the bundle has on a CPU; "auto" for the one that pipelines take.
            Compressed models are calibrated on the texts for each depth, as quantizing would.
        progress: Whether to show a progress bar, or what to call with (what, done, total).

    Raises:
        AlbertEdgeError: See `albert_edge.errors`.
    """
    require_onnx("Comparing depths")
    opened = open_bundle(bundle)
    head, config = opened.manifest.head, opened.read_config()
    variant = choose_variant(opened, CPU, precision)
    sample = load_sample(opened, config, texts, None)
    with scratch_folder() as scratch, progress_bar(progress) as report:
        models = _Models(head, portable_file(opened), variant, sample, scratch, report)
        answers = {layers: models.answer(depth) for layers, depth in config.depths.items()}
    expected, _ = answers[config.num_hidden_layers]
    return DepthReport(
        bundle=opened.path,
        variant=variant.name,
        precision=variant.precision,
        sample=sample.origin,
        texts=len(sample.inputs),
        depths=[
            _depth(layers, config, head, expected, *of_depth)
            for layers, of_depth in answers.items()
        ],
    )


def _depth(
    layers: int,
    config: AlbertConfig,
    head: str,
    expected: Sequence[Outputs],
    answers: Sequence[Outputs],
    seconds: float,
) -> Depth:
    losses = text_losses(config, head, expected, answers)
    low, high = interval(losses, CONFIDENCE, binary=is_binary(config, head))
    return Depth(
        layers=layers,
        agreement=float(1 - losses.mean()),
        agreement_low=low,
        agreement_high=high,
        cosine=Reference(config, head, expected).compare(answers).cosine,
        milliseconds=1e3 * seconds,
    )


@dataclass(frozen=True, slots=True)
class _Models:
    """Authors models of fewer layers like a variant, from the weights of the portable one."""

    head: str
    portable: ModelFile
    variant: Variant
    sample: Sample
    scratch: Path
    report: Progress

    def answer(self, config: AlbertConfig) -> tuple[list[Outputs], float]:
        """Return the thinned outputs of a model for every text, and its median time in seconds."""
        run = self._make(config)
        run(self.sample.inputs[0])  # the first run allocates
        answers, seconds = [], []
        for count, arrays in enumerate(self.sample.inputs, 1):
            start = perf_counter()
            outputs = run(arrays)
            seconds.append(perf_counter() - start)
            answers.append(thin(outputs))
            what = f"answering with {config.num_hidden_layers} layers"
            self.report(what, count, len(self.sample.inputs))
        return answers, median(seconds)

    def _make(self, config: AlbertConfig) -> Run:
        plan = plan_of(self.variant)
        if set(plan.precisions.values()) <= {Precision.FP32}:
            return run_file(self._write(config, plan))
        portable = self._write(config, Plan())
        compressor = Compressor(
            config, self.head, portable, self.sample, self.scratch, load_model, self.report
        )
        path = self.scratch / "compressed.onnx"
        compressor.write(path, plan)
        return run_file(path, adaptation=adaptation_of(self.variant, CPU))

    def _write(self, config: AlbertConfig, plan: Plan) -> Path:
        from albert_edge.graph.build import author
        from albert_edge.graph.writer import write_model

        path = self.scratch / "floats.onnx"
        weight = StoredWeights(self.portable).__getitem__
        write_model(author(config, self.head, plan), weight, path)
        return path
