"""Give a model early exits that keep a promise, or find that they are not worth it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import HEADS
from albert_edge.check.agreement import Floats, compare_with, is_binary
from albert_edge.check.quality import Outputs, thin
from albert_edge.check.sample import Arrays
from albert_edge.errors import Argument, Message, QualityError, UsageError
from albert_edge.exits.heads import ExitHeads, fit_heads, fitted_items
from albert_edge.exits.promise import Promise, choose_threshold, lower_bound
from albert_edge.exits.scores import Scores, like_answers, mean_work
from albert_edge.graph.authored import Authored
from albert_edge.graph.plan import Plan

Layers = npt.NDArray[np.int64]

# By what share of its size exits may make a file larger, or by how many bytes if that is more: the
# operators alone are over 3 % of a file of 0.4 MB.
_LARGEST_GROWTH, _SMALL_GROWTH = 0.03, 16_384
# Work that exits must save, as a share of that of the model without them.
_LEAST_SAVED = 0.05
# Thresholds that are tried in the graph, ever more cautious ones, until the promise holds.
_TRIES = 4
# Numbers in the states that heads are fitted on, 64 MB: of more tokens, a sample of each text is.
_MOST_NUMBERS = 2**24


class Models(Protocol):
    """Writes the graphs of a model, with exits or traces, and runs them.

    Attributes:
        config: The geometry.
        head: A key of `HEADS`.
    """

    config: AlbertConfig
    head: str

    def run(
        self, plan: Plan, inputs: Sequence[Arrays], added: Mapping[str, Floats] = ...
    ) -> Iterator[Outputs]:
        """Write a model with weights added, and yield its outputs for every text."""


@dataclass(frozen=True, slots=True)
class AnsweredTexts:
    """Texts with the answers of the full model.

    Attributes:
        inputs: One text each, or one pair, or one question with its choices.
        answers: The decisive output of the full model for each, reduced by `quality.thin`.
        counted: What the loss of each is multiplied by, (texts,): 1, or 0 where any answer will do.
    """

    inputs: Sequence[Arrays]
    answers: Sequence[Floats]
    counted: Floats

    def rows(self) -> Iterator[Floats]:
        """Yield the answers as (rows, classes): one row for a text, or one for each token."""
        return map(_rows, self.answers)

    def from_text(self, text: int) -> AnsweredTexts:
        """Return the texts without the first ones."""
        return AnsweredTexts(self.inputs[text:], self.answers[text:], self.counted[text:])


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured of the graph with exits on texts held out.

    Attributes:
        agreement: Share of the decisions that are those of the full model.
        agreement_low: Lower bound of that share for all such texts, at the promise's confidence.
        texts: How many texts there were.
        mean_layers: Mean number of applications of the layer.
        layers: How many texts took 1, 2, ... applications.
    """

    agreement: float
    agreement_low: float
    texts: int
    mean_layers: float
    layers: list[int]


@dataclass(frozen=True, slots=True)
class Exits:
    """Exits that keep the promise.

    Attributes:
        plan: How to author the graph with them.
        heads: A head for each exit.
        threshold: The least certainty with which a text ends, exact in float32.
        evidence: What was measured of that graph.
    """

    plan: Plan
    heads: ExitHeads
    threshold: float
    evidence: Evidence

    @property
    def weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """The weights to add to those of the model."""
        return exit_weights(self.heads, self.threshold)


def exit_weights(heads: ExitHeads, threshold: float) -> dict[str, npt.NDArray[np.float32]]:
    """Return the weights that a graph with exits has besides those of the model."""
    return {
        "exits.weight": heads.weight,
        "exits.bias": heads.bias,
        "exits.threshold": np.array([threshold], np.float32),
    }


def build_exits(
    models: Models,
    plan: Plan,
    fit: AnsweredTexts,
    calibration: AnsweredTexts,
    promise: Promise,
) -> Exits:
    """Fit exits, choose how many and from which certainty on, and measure the graph with them.

    Args:
        models: Writes and runs the model that is given exits.
        plan: How to author it without exits; its layout is "loop".
        fit: Texts that heads are fitted on and their number is chosen on, in random order.
        calibration: Other texts, on which the threshold is chosen and the promise proved.
        promise: What is to hold of agreement with the full model, whose answers the texts have.

    Raises:
        UsageError: There are too few texts for the promise.
        QualityError: No threshold keeps the promise, exits save too little, or states or answers
            are not finite numbers.
    """
    needed = promise.texts_needed(binary=is_binary(models.config, models.head))
    if len(calibration.inputs) < needed:
        raise UsageError(
            f"An agreement of {promise.min_agreement:.2%} takes at least {needed} texts "
            f"held out to prove; there are {len(calibration.inputs)}.",
            tip=Message("Give more texts, or lower ", Argument("min_agreement"), "."),
        )
    return _Builder(models, plan, fit, promise).build(calibration)


class _Traced(NamedTuple):
    """A text: states that exits read, (exits, rows, hidden_size), and logits of its rows."""

    states: Floats
    last: Floats
    reference: Floats


class _Builder:
    """Fits the heads when it is made, and then finds their threshold."""

    def __init__(self, models: Models, plan: Plan, fit: AnsweredTexts, promise: Promise) -> None:
        self._models = models
        self._plan = plan
        self._promise = promise
        self._layers = models.config.num_hidden_layers
        possible = self._possible_exits()
        (self._output,) = HEADS[models.head].decisive
        # What agreement means may depend on the spread of all answers.
        every = np.concatenate([*fit.rows()])
        self._agreement = compare_with(every, models.config, models.head, self._output)
        heads = self._fit(fit, max(possible))
        held_out = fit.from_text(fitted_items(len(fit.inputs)))
        scores = self._score(held_out, heads)
        exits = self._number_of_exits(scores, possible)
        self._heads = heads.first(exits)
        self._thresholds = scores.first(exits).thresholds()

    def build(self, calibration: AnsweredTexts) -> Exits:
        """Find the least threshold that keeps the promise, of the graph itself."""
        scores = self._score(calibration, self._heads)
        binary = self._agreement.is_binary
        least = choose_threshold(self._thresholds, scores, self._promise, binary=binary)
        if least is None:
            raise self._refused(scores)
        # Rounding can move a text across a threshold: what counts is what the graph answers.
        cautious = [threshold for threshold in self._thresholds if threshold >= least]
        for threshold in [*reversed(cautious)][:_TRIES]:
            losses, layers = self._measure(threshold, calibration)
            if self._promise.holds(losses, binary=binary):
                self._require_gain(mean_work(layers, len(self._heads)))
                plan = replace(self._plan, exits=len(self._heads))
                return Exits(plan, self._heads, threshold, self._evidence(losses, layers))
        raise self._refused(scores)

    def _trace(self, texts: AnsweredTexts, exits: int) -> Iterator[_Traced]:
        plan = replace(self._plan, traced=True)
        outputs = self._models.run(plan, texts.inputs)
        for arrays, reference in zip(outputs, texts.rows(), strict=True):
            last = _rows(thin(arrays)[self._output])
            yield _Traced(arrays["exit_states"][:exits], last, reference)

    def _fit(self, texts: AnsweredTexts, exits: int) -> ExitHeads:
        """Fit heads on the states of texts; of many tokens, on those of some."""
        numbers = exits * self._models.config.hidden_size * len(texts.inputs)
        most, random = max(1, _MOST_NUMBERS // numbers), np.random.default_rng(0)
        states, answers = [], []
        for text in self._trace(texts, exits):
            rows = self._agreement.answered(like_answers(text.states, len(text.last)))
            answer = self._agreement.answered(text.reference)
            if rows.shape[1] == len(answer):  # else an answer is made of several rows: choices
                kept = random.permutation(len(answer))[:most]
                rows, answer = rows[:, kept], answer[kept]
            states.append(rows)
            answers.append(answer)
        # One application after another: all of them are as much memory as the list again.
        applications = (np.concatenate([text[exit] for text in states]) for exit in range(exits))
        return fit_heads(applications, np.concatenate(answers), self._agreement.decision)

    def _score(self, texts: AnsweredTexts, heads: ExitHeads) -> Scores:
        def logits(text: _Traced) -> Floats:
            return heads.logits(text.states).reshape(len(heads), -1, text.last.shape[-1])

        traced = self._trace(texts, len(heads))
        scored = ((logits(text), text.last, text.reference) for text in traced)
        return Scores.of(scored, self._agreement).counting(texts.counted)

    def _possible_exits(self) -> list[int]:
        """Return the numbers of exits with which the file is small enough.

        Raises:
            QualityError: There is none.
        """
        without = self._author(0).file_bytes
        numbers = range(1, max(2, self._layers))  # a graph of one application refuses exits
        sizes = {exits: self._author(exits).file_bytes for exits in numbers}
        limit = without + max(_LARGEST_GROWTH * without, _SMALL_GROWTH)
        possible = [exits for exits, size in sizes.items() if size <= limit]
        if not possible:
            growth = min(sizes.values()) / without - 1
            raise QualityError(
                f"Exits would make a file of {without / 1e6:.1f} MB larger by {growth:.1%}; "
                f"the limit is {_LARGEST_GROWTH:.0%}, or {_SMALL_GROWTH // 1024} kB.",
                tip="Leave exits out: they are for larger models, or for fewer classes.",
            )
        return possible

    def _author(self, exits: int) -> Authored:
        from albert_edge.graph.build import author

        plan = replace(self._plan, exits=exits)
        return author(self._models.config, self._models.head, plan)

    def _number_of_exits(self, scores: Scores, possible: Sequence[int]) -> int:
        """Choose the number with the least work: every later text pays for an exit."""
        allowed = 1 - self._promise.min_agreement
        work = {0: float(self._layers)}
        for exits in possible:
            candidate = scores.first(exits)
            for threshold in candidate.thresholds():
                at = candidate.ends(threshold)
                if candidate.losses_at(at).mean() > allowed:
                    break
                work[exits] = candidate.work(at, self._layers)
        best = min(work, key=lambda exits: work[exits])
        self._require_gain(work[best])
        return best

    def _require_gain(self, work: float) -> None:
        if work > (1 - _LEAST_SAVED) * self._layers:
            raise QualityError(
                f"Exits would save little at an agreement of {self._promise.min_agreement:.2%}: "
                f"with them a text takes as much work as {work:.2f} of {self._layers} applications "
                "of the layer on average.",
                tip=Message("Lower ", Argument("min_agreement"), ", or leave exits out."),
            )

    def _measure(self, threshold: float, texts: AnsweredTexts) -> tuple[Floats, Layers]:
        """Run the graph with exits; return losses and applications used, for each text."""
        plan = replace(self._plan, exits=len(self._heads))
        weights = exit_weights(self._heads, threshold)
        losses, layers = [], []
        outputs = self._models.run(plan, texts.inputs, weights)
        for arrays, reference in zip(outputs, texts.rows(), strict=True):
            answer = _rows(thin(arrays)[self._output])
            losses.append(self._agreement.text_losses(answer, reference))
            layers.append(int(arrays["layers"][0]))
        return np.array(losses) * texts.counted, np.array(layers)

    def _evidence(self, losses: Floats, layers: Layers) -> Evidence:
        confidence, binary = self._promise.confidence, self._agreement.is_binary
        return Evidence(
            agreement=1 - float(losses.mean()),
            agreement_low=lower_bound(losses, confidence, binary=binary),
            texts=len(losses),
            mean_layers=float(layers.mean()),
            layers=np.bincount(layers, minlength=self._layers + 1)[1:].tolist(),
        )

    def _refused(self, scores: Scores) -> QualityError:
        without = 1 - float(scores.losses[-1].mean())
        asked = f"{self._promise.min_agreement:.2%}"
        why = (
            "even where exits are most certain, their answers differ too often"
            if self._promise.holds(scores.losses[-1], binary=self._agreement.is_binary)
            else f"without exits it is {without:.2%} on {scores.losses.shape[1]} texts"
        )
        return QualityError(
            f"An agreement of {asked} cannot be promised with exits: {why}.",
            tip=Message("Give more texts, or lower ", Argument("min_agreement"), "."),
        )


def _rows(logits: Floats) -> Floats:
    return logits.reshape(-1, logits.shape[-1])
