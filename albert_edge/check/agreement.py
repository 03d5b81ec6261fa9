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
        every_token: Whether a text has a decision for every token. The loss of the text is then
            their mean.
    """

    decision: Decision | None
    tolerance: float = 0.0
    every_token: bool = False

    @property
    def is_binary(self) -> bool:
        """Whether a text agrees or does not, with nothing between."""
        return self.decision != "positive" and not self.every_token

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


def compare_with(reference: Floats, config: AlbertConfig, head: str) -> Agreement:
    """Return what agreement means for a model.

    Args:
        reference: Logits of the full model for a sample, (rows, classes).
        config: The configuration, on which the kind of decision depends.
        head: A key of `HEADS`.
    """
    decision = HEADS[head].decision(config)
    spread = float(reference.std()) if decision is None else 0.0
    spec = HEADS[head]
    every_token = any("sequence_length" in spec.outputs[name] for name in spec.decisive)
    return Agreement(decision, TOLERANCE * spread, every_token)


def is_binary(config: AlbertConfig, head: str) -> bool:
    """Return whether the answers to a text agree or do not, with nothing between."""
    return compare_with(np.zeros(1), config, head).is_binary


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
        rows = np.concatenate([np.ravel(values) for values in reference])
        agreement = compare_with(rows, config, head)
        pairs = zip(answers, reference, strict=True)
        losses.append([agreement.losses(outputs[name], values).mean() for outputs, values in pairs])
    return np.asarray(np.mean(losses, axis=0))


def _differs(expected: Outputs, answers: Outputs) -> float:
    cosines = [cosine(expected[name], answers[name]).min() for name in expected]
    return 0.0 if min(cosines) >= LEAST_COSINE else 1.0
