"""When the answer of a model counts as that of the full model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import HEADS, Decision
from albert_edge.check.quality import Outputs
from albert_edge.runtime.vectors import cosine

Floats = npt.NDArray[np.floating[Any]]

# Numbers agree within this share of the standard deviation of the full model's numbers.
TOLERANCE = 0.1
# Vectors agree from this cosine on.
LEAST_COSINE = 0.999


@dataclass(frozen=True, slots=True)
class Agreement:
    """Compares answers with those of the full model.

    Classes and choices agree if the largest logit is the same. Labels agree each by itself: the
    loss of a text is the share of its labels that differ. Numbers agree if they differ by at most
    a tolerance.

    Attributes:
        decision: How logits turn into decisions.
        tolerance: The largest difference of numbers that agree; without a use for classes.
        every_token: Whether a text has a decision for every token, from the second to the one
            before the last: [CLS] and [SEP] are not answered. The loss of the text is their mean.
    """

    decision: Decision | None
    tolerance: float = 0.0
    every_token: bool = False

    @property
    def is_binary(self) -> bool:
        """Whether a text agrees or does not, with nothing between."""
        return self.decision != "positive" and not self.every_token

    def answered(self, rows: Floats) -> Floats:
        """Return the rows, (..., rows, classes), of a text that are answers."""
        return rows[..., 1:-1, :] if self.every_token else rows

    def text_losses(self, answers: Floats, reference: Floats) -> Floats:
        """Return the loss of a text, 0 to 1: the mean of those of its rows.

        Args:
            answers: Logits, (..., rows, classes).
            reference: Logits of the full model, which broadcast to them.

        Returns:
            (...); 0 for a text without tokens that are answered.
        """
        losses = self.losses(self.answered(answers), self.answered(reference))
        return np.asarray(losses.mean(axis=-1)) if losses.size else np.zeros(losses.shape[:-1])

    def losses(self, answers: Floats, reference: Floats) -> Floats:
        """Return the loss of every answer, 0 to 1.

        Args:
            answers: Logits, (..., classes).
            reference: Logits of the full model, which broadcast to them.

        Returns:
            (...). What is not a number agrees with nothing.
        """
        match self.decision:
            case "largest":
                same = answers.argmax(axis=-1) == reference.argmax(axis=-1)
            case "positive":
                differing = ((answers > 0) != (reference > 0)).mean(axis=-1)
                return np.where(np.isfinite(answers).all(axis=-1), differing, 1.0)
            case _:
                same = (np.abs(answers - reference) <= self.tolerance).all(axis=-1)
        return np.where(same & np.isfinite(answers).all(axis=-1), 0.0, 1.0)


def compare_with(reference: Floats, config: AlbertConfig, head: str, output: str) -> Agreement:
    """Return what agreement means for an output of a model.

    Args:
        reference: The output of the full model for a sample; numbers vary as much as these.
        config: The configuration, on which the kind of decision depends.
        head: A key of `HEADS`.
        output: One of its decisive outputs.
    """
    spec = HEADS[head]
    decision = spec.decision(config)
    spread = float(reference.std()) if decision is None else 0.0
    _, *rows, _ = spec.outputs[output]
    return Agreement(decision, TOLERANCE * spread, every_token="sequence_length" in rows)


def is_binary(config: AlbertConfig, head: str) -> bool:
    """Return whether the answers to a text agree or do not, with nothing between."""
    names = HEADS[head].decisive
    comparisons = [compare_with(np.zeros(1), config, head, name) for name in names]
    return len(names) < 2 and all(each.is_binary for each in comparisons)


def text_losses(
    config: AlbertConfig, head: str, expected: Sequence[Outputs], answers: Sequence[Outputs]
) -> Floats:
    """Return the share of each text's decisions that differ from those of the full model.

    Args:
        config: The configuration, on which the kind of decision depends.
        head: A key of `HEADS`.
        expected: Outputs of the full model for each text, reduced by `quality.thin`.
        answers: Those of another model, reduced in the same way.

    Returns:
        (texts,), 0 to 1. Outputs of a head without decisions, such as embeddings, differ if the
        cosine of any of their vectors is below `LEAST_COSINE`.
    """
    names = HEADS[head].decisive
    if not names:
        return np.array([_differs(a, b) for a, b in zip(expected, answers, strict=True)])
    losses = []
    for name in names:
        reference = [outputs[name] for outputs in expected]
        every = np.concatenate([np.ravel(values) for values in reference])
        agreement = compare_with(every, config, head, name)
        pairs = zip(answers, reference, strict=True)
        losses.append(
            [agreement.text_losses(outputs[name], values).mean() for outputs, values in pairs]
        )
    return np.asarray(np.mean(losses, axis=0))


def _differs(expected: Outputs, answers: Outputs) -> float:
    cosines = [cosine(expected[name], answers[name]).min() for name in expected]
    return 0.0 if min(cosines) >= LEAST_COSINE else 1.0
