"""How narrow a model can be: fewer neurons and heads, as long as its answers are good enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from albert_edge.architecture.config import AlbertConfig
from albert_edge.graph.plan import Plan
from albert_edge.onnx_format.stored_weights import StoredWeights
from albert_edge.progress import Progress
from albert_edge.pruning.candidates import Candidates, Part, Trial
from albert_edge.pruning.covariance import Floats
from albert_edge.pruning.layers import Layers, Width
from albert_edge.pruning.moments import measure_moments

__all__ = ["Narrowed", "Part", "Trial", "narrow", "what_is_kept"]

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

    How many is searched on `fit`. Only the narrowest that passes there is tested on `selection`:
    with a choice among several, those texts could not prove anything about the model any more.

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
    found = _narrowest(candidates.trials)
    accepted = layers.full
    if found is not None and candidates.passes(found.width, selection):
        accepted = found.width
        path, *_ = layers.write(accepted, head, Plan(), scratch / "narrowed.onnx")
        floats = StoredWeights(path)
    return Narrowed(
        accepted.of(config),
        floats,
        selection.work(config, head),
        selection.work(accepted.of(config), head),
        tuple(candidates.trials),
        _reason(found) if accepted == layers.full else "",
    )


def what_is_kept(full: AlbertConfig, narrower: AlbertConfig) -> str:
    """Describe how wide a narrower model is."""
    neurons = f"{narrower.intermediate_size:,} of {full.intermediate_size:,} neurons"
    kept, total = (
        sum(map(config.heads, range(config.distinct_layers))) for config in (narrower, full)
    )
    return f"{neurons} and {kept} of {total} attention heads kept"


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


def _narrowest(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial that saves most of those that passed; None if none saves enough."""
    passed = [trial for trial in trials if trial.passes and trial.saved >= _LEAST_SAVED]
    return max(passed, key=lambda trial: trial.saved, default=None)


def _reason(found: Trial | None) -> str:
    if found is None:
        return "without a few of the neurons and heads the answers to these texts change"
    return "what the texts of the search can do without, those that decide cannot"
