"""How narrow a model can be: fewer neurons and heads, as long as its answers are good enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from math import ceil
from pathlib import Path

import numpy as np

from albert_edge.architecture.config import AlbertConfig
from albert_edge.graph.plan import Plan
from albert_edge.onnx_format.stored_weights import StoredWeights
from albert_edge.progress import Progress
from albert_edge.pruning.candidates import Candidates, Judgement, Part, Trial
from albert_edge.pruning.covariance import Floats
from albert_edge.pruning.layers import NEURONS, Heads, Layers, Width
from albert_edge.pruning.moments import measure_moments

__all__ = ["Judgement", "Narrowed", "Part", "Trial", "narrow"]

# Texts from which moments are measured: their tokens, times the applications of a layer, are many
# more than the features.
_TEXTS = 256

# Share of the neurons removed that come back before heads are removed.
_ROOM = 0.25

# What the search can still save, as a share of all work, for which it goes on; and the least that
# is worth another model.
_RESOLUTION = 0.02
_LEAST_SAVED = 0.05


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The narrowest model that is good enough.

    Attributes:
        config: Its geometry; that of the full model without a gain.
        floats: Its weights by name, as the portable file has them; read from the folder for files
            that are not kept.
        full_multiply_accumulates: Of the full encoder, mean of the selection's texts.
        multiply_accumulates: Of its encoder.
        trials: What was tried, in order.
        reason: Why it is as wide as the full model, or "".
    """

    config: AlbertConfig
    floats: Mapping[str, Floats]
    full_multiply_accumulates: float
    multiply_accumulates: float
    trials: tuple[Trial, ...]
    reason: str = ""

    @property
    def gained(self) -> bool:
        """Whether it is narrower than the full model."""
        return not self.reason


def narrow(
    config: AlbertConfig,
    head: str,
    floats: Mapping[str, Floats],
    fit: Part,
    selection: Part,
    scratch: Path,
    progress: Progress,
) -> Narrowed:
    """Remove as many neurons and heads as the judges allow, and refit what reads the others.

    How many is searched on `fit`. The best widths of the search are then tested on `selection`,
    from the surest on, until the first that fails. Their order does not depend on the selection, so
    each is tested at the full level of confidence: fixed sequence testing (Angelopoulos et al.
    2021, https://arxiv.org/abs/2110.01052) along a Pareto front (Laufer-Goldshtein et al. 2022,
    https://arxiv.org/abs/2210.07913).

    Args:
        config: The geometry.
        head: A key of `HEADS`.
        floats: The weights by name, as the portable file has them.
        fit: Texts for the moments and for the search.
        selection: Texts that decide.
        scratch: A folder for files that are not kept.
        progress: Called with (what, done, total).
    """
    texts = fit.inputs[:: max(1, len(fit.inputs) // _TEXTS)][:_TEXTS]
    moments = measure_moments(config, head, floats, texts, scratch, progress)
    layers = Layers(config, floats, moments)
    candidates = Candidates(config, head, layers, scratch, progress)
    _search(layers, candidates, fit)
    found = _surest_first(candidates.trials)
    widths = [layers.full, *(trial.width for trial in found)]
    ladder = _with_halfway(widths, layers.head_choices(), candidates, fit)
    passed = takewhile(lambda width: candidates.passes(width, selection), ladder)
    (*_, accepted) = layers.full, *passed
    if accepted != layers.full:
        path, *_ = layers.write(accepted, head, Plan(), scratch / "narrowed.onnx")
        floats = StoredWeights(path)
    return Narrowed(
        accepted.of(config),
        floats,
        selection.work(config, head),
        selection.work(accepted.of(config), head),
        tuple(candidates.trials),
        "" if accepted != layers.full else _reason(found),
    )


def _search(layers: Layers, candidates: Candidates, fit: Part) -> None:
    """Try widths to find the narrowest that passes.

    Neurons are cheaper than heads. So the least number of neurons is searched first; then how many
    heads can go if some more neurons stay; then how many neurons with these heads.
    """
    full, counts = layers.full, layers.neuron_counts()
    least = _last_passing([replace(full, neurons=count) for count in counts], candidates, fit)
    room = least.neurons + _ROOM * (full.neurons - least.neurons)
    roomy = replace(full, neurons=min(count for count in counts if count >= room))
    choices = [replace(roomy, pruned_heads=pruned) for pruned in layers.head_choices()]
    fewer = _last_passing(choices, candidates, fit)
    if fewer != roomy:
        narrower = [count for count in counts if count <= roomy.neurons]
        _last_passing([replace(fewer, neurons=count) for count in narrower], candidates, fit)


def _last_passing(path: Sequence[Width], candidates: Candidates, fit: Part) -> Width:
    """Return the last width of a path that passes, by bisection; the first is known to."""
    saved = [candidates.saved(width, fit) for width in path]
    low, high = 0, len(path)  # the first passes; the one after the last would not
    while high - low > 1 and saved[high - 1] - saved[low] >= _RESOLUTION:
        if saved[high - 1] < _LEAST_SAVED:
            break
        middle = (low + high) // 2
        if candidates.passes(path[middle], fit):
            low = middle
        else:
            high = middle
    return path[low]


def _surest_first(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that passed and save more than all with the same or a higher agreement.

    They are ordered by falling agreement. What saves too little is left out.
    """
    passed = [trial for trial in trials if trial.judgement.passes]
    front: list[Trial] = []
    for trial in sorted(passed, key=lambda trial: (-trial.judgement.agreement, -trial.saved)):
        if trial.saved > max((other.saved for other in front), default=_LEAST_SAVED):
            front.append(trial)
    return front


def _with_halfway(
    widths: Sequence[Width], choices: Sequence[Heads], candidates: Candidates, fit: Part
) -> Iterator[Width]:
    """Yield all widths but the first, and before each of them one between it and the last.

    Args:
        widths: Each saves more than the one before.
        choices: The result of `Layers.head_choices`.
        candidates: Says what widths save.
        fit: The texts they save it on.
    """
    for before, width in pairwise(widths):
        counts = before.neurons, width.neurons
        neurons = min(max(counts), NEURONS * ceil(sum(counts) / 2 / NEURONS))
        heads = sum(choices.index(each.pruned_heads) for each in (before, width)) // 2
        between = Width(neurons, choices[heads])
        saved = [candidates.saved(each, fit) for each in (before, between, width)]
        if min(np.diff(saved)) > _RESOLUTION:
            yield between
        yield width


def _reason(found: Sequence[Trial]) -> str:
    if not found:
        return "without a few of the neurons and heads the answers to these texts change"
    return "what the texts of the search can do without, those that decide cannot"
