"""Measure models on held-out texts, in turns: agreement, work, time of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from statistics import fmean, median
from time import perf_counter

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import LAYERS
from albert_edge.architecture.work import multiply_accumulates
from albert_edge.bundle.bundle import open_bundle
from albert_edge.check.agreement import is_binary
from albert_edge.check.quality import Outputs, thin
from albert_edge.check.sample import Arrays, Sample
from albert_edge.exits.promise import CONFIDENCE, interval
from albert_edge.progress import Progress
from albert_edge.runtime.session import Session
from albert_edge.steps.specializing.goal import Answered, Goal, as_they_are

# How often each text is timed.
_TURNS = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A variant to measure.

    Attributes:
        name: What the table calls it.
        bundle: Its bundle.
        variant: The name of the variant.
        sample: The texts, as its tokenizer encodes them.
        restore: Makes its outputs comparable with those of the full model.
    """

    name: str
    bundle: Path
    variant: str
    sample: Sample
    restore: Callable[[Outputs], Outputs] = as_they_are


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of a model on the test texts.

    Attributes:
        name: Which model.
        bytes: Size of its file.
        multiply_accumulates: Of the matrix products of a text, on average.
        layers: Applications of the layer used for a text, on average.
        ms: Median time of a text in milliseconds, with all threads, without tokenization.
        speedup: Total time of the full model over that of this one.
        agreement: Share of decisions that are those of the full model, 0 to 1; with labels, one
            minus the share of texts that only the full model gets right.
        agreement_low: Lower end of its 95 % confidence interval.
        agreement_high: Upper end.
    """

    name: str
    bytes: int
    multiply_accumulates: float
    layers: float
    ms: float
    speedup: float
    agreement: float
    agreement_low: float
    agreement_high: float


@dataclass(frozen=True, slots=True)
class _Run:
    """What one model answered to all texts: outputs, seconds, applications of the layer."""

    outputs: list[Outputs] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    layers: list[int | None] = field(default_factory=list)

    def add(self, outputs: Outputs, restore: Callable[[Outputs], Outputs]) -> None:
        """Add the outputs for a text; without exits, they say nothing of layers."""
        layers = outputs.get(LAYERS)
        self.layers.append(None if layers is None else int(layers.max()))
        self.outputs.append(thin(restore({n: v for n, v in outputs.items() if n != LAYERS})))


def measure(
    candidates: Sequence[Candidate], full: AlbertConfig, goal: Goal, progress: Progress
) -> list[Row]:
    """Measure models, the first of which is the full one that the others are compared with.

    Args:
        candidates: The models, with the same texts in the same order.
        full: The configuration of the full model.
        goal: What the loss of a text is.
        progress: Called with ("measuring", texts done, texts in all).
    """
    runs = _run_in_turns(candidates, progress)
    reference = Answered(candidates[0].sample, runs[0].outputs)
    return [
        _row(candidate, run, full, goal, reference, sum(runs[0].seconds))
        for candidate, run in zip(candidates, runs, strict=True)
    ]


def _row(
    candidate: Candidate,
    run: _Run,
    full: AlbertConfig,
    goal: Goal,
    reference: Answered,
    seconds: float,
) -> Row:
    opened = open_bundle(candidate.bundle)
    head, config = opened.manifest.head, opened.read_config()
    losses = goal.losses(full, head, reference, run.outputs)
    low, high = interval(losses, CONFIDENCE, binary=is_binary(full, head))
    shapes = [arrays["input_ids"].shape for arrays in candidate.sample.inputs]
    work = [
        prod(shape[:-1]) * multiply_accumulates(config, head, shape[-1], layers)
        for shape, layers in zip(shapes, run.layers, strict=True)
    ]
    every = config.num_hidden_layers
    return Row(
        name=candidate.name,
        bytes=opened.variant(candidate.variant).bytes,
        multiply_accumulates=fmean(work),
        layers=fmean(every if layers is None else layers for layers in run.layers),
        ms=1e3 * median(run.seconds),
        speedup=seconds / sum(run.seconds),
        agreement=1 - float(losses.mean()),
        agreement_low=low,
        agreement_high=high,
    )


def _run_in_turns(candidates: Sequence[Candidate], progress: Progress) -> list[_Run]:
    """Let all models answer a text before any answers the next: a busy machine slows all alike.

    The time of a text is the shortest of a few turns, as other programs only ever add to it.
    """
    runs = [_Run() for _ in candidates]
    count = len(candidates[0].sample.inputs)
    with ExitStack() as stack:
        sessions = [
            stack.enter_context(Session(each.bundle, device="cpu", variant=each.variant))
            for each in candidates
        ]
        pairs = list(zip(candidates, sessions, strict=True))
        for index in range(count):
            turns = [
                [_timed(session, each.sample.inputs[index]) for each, session in pairs]
                for _ in range(_TURNS)
            ]
            for run, each, answers in zip(runs, candidates, zip(*turns, strict=True), strict=True):
                run.seconds.append(min(seconds for _, seconds in answers))
                run.add(answers[0][0], each.restore)
            progress("measuring", index + 1, count)
    return runs


def _timed(session: Session, arrays: Arrays) -> tuple[Outputs, float]:
    start = perf_counter()
    outputs = session.run(arrays)
    return outputs, perf_counter() - start
