"""The losses that heads are fitted with, one for each way that logits turn into decisions.

Each is the negative log-likelihood of an exponential family: with logits z and targets t it is
A(z) - t·z, where A is the cumulant; its gradient is A'(z) - t and its curvature A''(z).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.heads import Decision

Doubles = npt.NDArray[np.float64]


class Likelihood(Protocol):
    """A family of distributions; arrays are (rows, classes).

    Attributes:
        curvature_bound: No second derivative of the cumulant is larger.
    """

    curvature_bound: float

    def cumulant(self, logits: Doubles) -> Doubles:
        """Return A of every row, (rows,)."""

    def mean(self, logits: Doubles) -> Doubles:
        """Return A', the expected targets."""

    def curve(self, mean: Doubles, direction: Doubles) -> Doubles:
        """Multiply A'', at logits with this mean, by a direction."""


class Softmax:
    """One of several classes, or one of several choices."""

    curvature_bound = 0.5  # Böhning 1992, https://doi.org/10.1007/BF00048682

    def cumulant(self, logits: Doubles) -> Doubles:
        largest = logits.max(axis=-1)
        return np.asarray(largest + np.log(np.exp(logits - largest[:, None]).sum(axis=-1)))

    def mean(self, logits: Doubles) -> Doubles:
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))

    def curve(self, mean: Doubles, direction: Doubles) -> Doubles:
        weighted = mean * direction
        return np.asarray(weighted - mean * weighted.sum(axis=-1, keepdims=True))


class Logistic:
    """Any number of labels, each true or not."""

    curvature_bound = 0.25

    def cumulant(self, logits: Doubles) -> Doubles:
        return np.asarray(np.logaddexp(0, logits).sum(axis=-1))

    def mean(self, logits: Doubles) -> Doubles:
        return np.asarray(np.exp(-np.logaddexp(0, -logits)))

    def curve(self, mean: Doubles, direction: Doubles) -> Doubles:
        return np.asarray(mean * (1 - mean) * direction)


class Normal:
    """A number with normal errors: least squares."""

    curvature_bound = 1.0

    def cumulant(self, logits: Doubles) -> Doubles:
        return np.asarray((logits**2).sum(axis=-1) / 2)

    def mean(self, logits: Doubles) -> Doubles:
        return logits

    def curve(self, mean: Doubles, direction: Doubles) -> Doubles:
        return direction


def likelihood_of(decision: Decision | None) -> Likelihood:
    """Return the likelihood for a way of deciding."""
    families: dict[Decision | None, Likelihood] = {"largest": Softmax(), "positive": Logistic()}
    return families.get(decision, Normal())


def mean_loss(likelihood: Likelihood, logits: Doubles, targets: Doubles) -> float:
    """Return the negative log-likelihood, mean over rows and up to a constant of the targets."""
    return float((likelihood.cumulant(logits) - (targets * logits).sum(axis=-1)).mean())
