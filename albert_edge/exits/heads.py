"""Fit a linear head to the hidden states after each application of the layer.

The targets are the answers of the full model, so texts without labels are enough, and nothing of
the model itself is trained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.heads import Decision
from albert_edge.errors import QualityError
from albert_edge.exits.likelihood import Doubles, Likelihood, likelihood_of, mean_loss
from albert_edge.exits.newton import minimize

Floats = npt.NDArray[np.floating[Any]]

# Penalties tried, the largest first; each fit starts from the one before.
_PENALTIES = (1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-5)
# Share of the rows that weights are fitted on; the rest choose the penalty and the temperature.
_FITTED = 0.75
# Bounds of the temperature's logarithm, and halvings of what is between them.
_LOG_RANGE, _HALVINGS = 3.0, 40
# A spread that is rounding only, relative to the largest value.
_NEGLIGIBLE = 1e-6


@dataclass(frozen=True, slots=True)
class ExitHeads:
    """A linear head for each exit, its temperature folded in.

    Attributes:
        weight: (exits, hidden_size, classes), float32.
        bias: (exits, classes), float32.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.weight)

    def logits(self, states: Floats) -> Floats:
        """Map states of the first applications, (exits, rows, hidden_size), to logits."""
        return np.asarray(states[: len(self)] @ self.weight + self.bias[:, None])

    def first(self, exits: int) -> ExitHeads:
        """Return the heads of the first exits only."""
        return ExitHeads(self.weight[:exits], self.bias[:exits])


def fitted_items(items: int) -> int:
    """Return how many items, from the first on, weights are fitted on."""
    return max(1, round(_FITTED * items))


def fit_heads(states: Iterable[Floats], answers: Floats, decision: Decision | None) -> ExitHeads:
    """Fit a head to the states after each application.

    Args:
        states: (rows, hidden_size) for each application, in the order of the texts, which should be
            random: rows at the end are held out to choose the penalty and the temperature.
        answers: Logits of the full model, (rows, classes); for multiple choice (items, choices),
            with as many rows of states for each item.
        decision: How logits turn into decisions.

    Raises:
        QualityError: A state or an answer is not a finite number.
    """
    likelihood = likelihood_of(decision)
    targets = likelihood.mean(_finite("answers", answers))
    heads = [_fit(_finite("hidden states", rows), targets, likelihood) for rows in states]
    weight, bias = (np.stack(parts).astype(np.float32) for parts in zip(*heads, strict=True))
    return ExitHeads(weight, bias)


def _finite(what: str, values: Floats) -> Doubles:
    if not np.isfinite(values).all():
        raise QualityError(
            f"The {what} of the model are not finite numbers on these texts.",
            tip="Compare the variant with fp32 on them; it may overflow.",
        )
    return values.astype(np.float64)


def _fit(rows: Doubles, targets: Doubles, likelihood: Likelihood) -> tuple[Doubles, Doubles]:
    items = len(targets)
    per_item = len(rows) // items  # several only for multiple choice, with one logit each
    fitted = fitted_items(items)
    axes = _Axes(rows[: fitted * per_item])
    features = axes.features(rows)
    own, held = np.split(features, [fitted * per_item])
    own_targets, held_targets = np.split(targets, [fitted])
    outputs = 1 if per_item > 1 else targets.shape[1]
    weights = best = np.zeros((features.shape[1], outputs))
    least = np.inf
    for penalty in _PENALTIES:
        penalties = np.full((features.shape[1], 1), penalty)
        penalties[-1] = 0.0  # of the bias
        weights = minimize(own, own_targets, likelihood, penalties, weights)
        logits = (held @ weights).reshape(held_targets.shape)
        factor = _inverse_temperature(logits, held_targets, likelihood)
        loss = mean_loss(likelihood, factor * logits, held_targets)
        if loss < least:
            best, least = factor * weights, loss
    return axes.fold_back(best)


class _Axes:
    """The principal axes of standardized features: on them, least squares are diagonal.

    Args:
        rows: (rows, features). Features that do not vary have no part in any axis.
    """

    def __init__(self, rows: Doubles) -> None:
        self._center = rows.mean(axis=0)
        spread = rows.std(axis=0)
        varies = spread > _NEGLIGIBLE * np.abs(rows).max(axis=0, initial=0.0)
        self._scale = np.where(varies, 1 / np.where(varies, spread, 1.0), 0.0)
        standard = (rows - self._center) * self._scale
        _, sizes, axes = np.linalg.svd(standard, full_matrices=False)
        self._axes = axes[sizes > _NEGLIGIBLE * sizes.max(initial=0.0)].T

    def features(self, rows: Doubles) -> Doubles:
        """Return coordinates on the axes, and a column of ones for the bias."""
        coordinates = ((rows - self._center) * self._scale) @ self._axes
        return np.column_stack([coordinates, np.ones(len(rows))])

    def fold_back(self, weights: Doubles) -> tuple[Doubles, Doubles]:
        """Return weights and biases for the features themselves."""
        weight = self._scale[:, None] * (self._axes @ weights[:-1])
        return weight, weights[-1] - self._center @ weight


def _inverse_temperature(logits: Doubles, targets: Doubles, likelihood: Likelihood) -> float:
    """Find the factor of the logits with the least loss (Guo et al. 2017, arXiv 1706.04599)."""
    low, high = -_LOG_RANGE, _LOG_RANGE
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        slope = ((likelihood.mean(np.exp(middle) * logits) - targets) * logits).sum()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(np.exp((low + high) / 2))
