"""Build compressed models of a bundle and judge them on the same texts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Protocol

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.weights import BALANCED_EMBEDDINGS, BALANCED_VALUES
from albert_edge.check.quality import Outputs, Quality, Reference, thin
from albert_edge.check.sample import Sample
from albert_edge.compress.balance import (
    balance_embeddings,
    balance_values,
    layers,
    readers,
    smooth,
)
from albert_edge.compress.offset import correct, offsets, without
from albert_edge.compress.rounding import Floats
from albert_edge.compress.statistics import InputStatistics, gather
from albert_edge.compress.store import Cache, CompressedWeights
from albert_edge.graph.authored import Authored
from albert_edge.graph.plan import CPU_OPTIMIZATIONS, Plan
from albert_edge.onnx_format.reader import read_onnx
from albert_edge.progress import Progress
from albert_edge.runtime.adaptation import choose_adaptation
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.memory import return_freed_memory
from albert_edge.runtime.model_source import ModelFile, bytes_of

Run = Callable[[Mapping[str, Any]], Outputs]


class Load(Protocol):
    """Loads an .onnx file as a function of named arrays."""

    def __call__(self, model: ModelFile, *, signed_weights: bool) -> Run:
        """Load a file.

        Args:
            model: The file.
            signed_weights: Whether its graph multiplies signed weights as integers.
        """


def load_model(model: ModelFile, *, signed_weights: bool) -> Run:
    """Load a file on this CPU, see `Load`."""
    adaptation = choose_adaptation(narrow_activations=False) if signed_weights else None
    return run_file(model, adaptation=adaptation)


# Number of texts for calibration and for a brief trial: means and ranges converge early.
_FEW = 32


@dataclass(frozen=True, slots=True)
class Trial:
    """A compressed model that was built and judged.

    Attributes:
        plan: How it was authored.
        quality: How good its answers are.
        bytes: Size of its file.
        seconds: Median time to answer a text.
        offsets: Mean errors that biases of the head correct, by output.
    """

    plan: Plan
    quality: Quality
    bytes: int
    seconds: float
    offsets: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class _Weights:
    """Float weights that are rewritten to be rounded, statistics of inputs, quantized matrices."""

    changed: Mapping[str, Floats] = field(default_factory=dict)
    statistics: Mapping[str, InputStatistics] = field(default_factory=dict)
    cache: Cache = field(default_factory=dict)


class Compressor:
    """Builds compressed models from the portable file of a bundle.

    Args:
        config: The geometry.
        head: A key of `HEADS`.
        portable: The portable file.
        sample: What to calibrate and to judge on.
        scratch: A folder for files that are not kept.
        load: Loads a model, to run it on the sample.
        progress: Called with (what, done, total).

    Attributes:
        origin: A description of the texts that models are judged on.
        reference_bytes: Size of the portable file.
    """

    def __init__(
        self,
        config: AlbertConfig,
        head: str,
        portable: ModelFile,
        sample: Sample,
        scratch: Path,
        load: Load,
        progress: Progress,
    ) -> None:
        self._config = config
        self._head = head
        self._sample = sample
        self._scratch = scratch
        self._load = load
        self._progress = progress
        self.origin = sample.origin
        self.reference_bytes = bytes_of(portable)
        self._portable = portable
        self._trials: dict[tuple[Plan, bool], Trial] = {}
        self._expected, _ = self._answers(load(portable, signed_weights=False), "fp32", sample)

    def try_out(self, plan: Plan, *, briefly: bool = False) -> Trial:
        """Build a model, judge it (on a few texts if `briefly`) and discard it.

        Trials are cached: a search tries some models twice, and a kept model was tried before.
        """
        key = plan, briefly
        if key not in self._trials:
            self._trials[key] = self._try_out(plan, briefly=briefly)
        return self._trials[key]

    def _try_out(self, plan: Plan, *, briefly: bool) -> Trial:
        path = self._scratch / "trial.onnx"
        files, _ = self._write(path, plan, self._weights(plan))
        names = " + ".join(sorted(set(plan.precisions.values()))) or "fp32"
        step = _step(self._sample.inputs) if briefly else 1
        sample = self._sample.every(step)
        expected = self._expected[::step]
        signed = plan.multiplies_signed_weights
        answers, seconds = self._answers(self._load(path, signed_weights=signed), names, sample)
        few = _step(answers)
        errors = offsets(self._head, self._floats(), expected[::few], answers[::few])
        answers = [without(outputs, errors) for outputs in answers]
        reference = Reference(self._config, self._head, expected, sample.labels)
        size = sum(file.stat().st_size for file in files)
        for file in files:
            file.unlink()
        return Trial(plan, reference.compare(answers), size, seconds, errors)

    def write(self, path: Path, plan: Plan) -> tuple[list[Path], Authored]:
        """Write a model; return its files, and the graph without weights."""
        weights = self._weights(plan)
        floats = {**self._floats(), **weights.changed}
        corrected = correct(self._head, floats, self.try_out(plan).offsets)
        weights = replace(weights, changed={**weights.changed, **corrected})
        return self._write(path, plan, weights)

    @property
    def texts(self) -> Sequence[Mapping[str, Any]]:
        """The inputs that models are judged on."""
        return self._sample.inputs

    @contextmanager
    def loaded(self, plans: Sequence[Plan]) -> Iterator[list[Run]]:
        """Write models, load all of them, and discard them in the end."""
        written: list[Path] = []
        runs: list[Run] = []
        for count, plan in enumerate(plans):
            files, _ = self.write(self._scratch / f"loaded_{count}.onnx", plan)
            written += files
            runs.append(self._load(files[0], signed_weights=plan.multiplies_signed_weights))
        yield runs
        runs.clear()
        return_freed_memory()
        for file in written:
            file.unlink()

    def judge(self, run: Run, name: str) -> Quality:
        """Judge a model that was written before, by its answers to the whole sample."""
        answers, _ = self._answers(run, name, self._sample)
        labels = self._sample.labels
        return Reference(self._config, self._head, self._expected, labels).compare(answers)

    def _weights(self, plan: Plan) -> _Weights:
        return self._balanced if plan.target == "cpu" else _Weights()

    def rewrites(self, plan: Plan) -> dict[str, int]:
        """Return the exact rewrites of the weights under a plan, and how often they apply."""
        if plan.target != "cpu":
            return {}
        count = len(list(layers(self._floats())))
        return {
            BALANCED_VALUES: count,
            BALANCED_EMBEDDINGS: 1,
            "smoothed-hidden-states": 2 * count,
        }

    @functools.cached_property
    def _balanced(self) -> _Weights:
        """The weights ready to be rounded, with statistics of their inputs."""
        floats = self._floats()
        changed = balance_values(floats)
        changed.update(balance_embeddings({**floats, **changed}))
        plan = Plan("cpu", "unrolled", CPU_OPTIMIZATIONS, observed=True)
        files, _ = self._write(self._scratch / "observed.onnx", plan, _Weights(changed))
        statistics = gather(self._observe(files[0]))
        return_freed_memory()  # of the session, which is gone
        for file in files:
            file.unlink()
        floats.update(changed)
        smoothed = smooth(floats, {name: of.largest for name, of in statistics.items()})
        for vector, names in readers(floats).items():
            statistics.update({name: statistics[name].scaled(smoothed[vector]) for name in names})
        return _Weights({**changed, **smoothed}, statistics)

    def _observe(self, path: Path) -> Iterator[Outputs]:
        run = self._load(path, signed_weights=False)
        inputs = self._sample.inputs[:: _step(self._sample.inputs)]
        for count, arrays in enumerate(inputs, 1):
            yield run(arrays)
            return_freed_memory()  # later texts have other sizes and would not reuse it
            self._progress("calibrating", count, len(inputs))

    def _write(self, path: Path, plan: Plan, weights: _Weights) -> tuple[list[Path], Authored]:
        from albert_edge.graph.build import author
        from albert_edge.graph.writer import write_model

        authored = author(self._config, self._head, plan)
        floats = {**self._floats(), **weights.changed}
        source = CompressedWeights(authored, floats, weights.statistics, weights.cache)
        return write_model(authored, source, path), authored

    def _floats(self) -> dict[str, Floats]:
        """Return the float weights: what is read of them is in memory as long as the result."""
        return {name: t.array() for name, t in read_onnx(self._portable).tensors.items()}

    def _answers(self, run: Run, name: str, sample: Sample) -> tuple[list[Outputs], float]:
        """Return the thinned outputs of a model for every text, and its median time."""
        answers, seconds = [], []
        run(sample.inputs[0])  # the first run allocates
        for count, arrays in enumerate(sample.inputs, 1):
            start = perf_counter()
            outputs = run(arrays)
            seconds.append(perf_counter() - start)
            answers.append(thin(outputs))
            self._progress(f"answering in {name}", count, len(sample.inputs))
        del run
        return_freed_memory()
        return answers, median(seconds)


def _step(inputs: Sequence[object]) -> int:
    """Return the step that selects a few inputs, evenly."""
    return max(1, len(inputs) // _FEW)
