"""Newton's method for linear heads, each step by conjugate gradients.

Nocedal and Wright, Numerical Optimization, 2006, algorithm 7.1. The Hessian is only ever multiplied
by a direction, so a head of a hundred classes takes no more memory than its features.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from albert_edge.exits.likelihood import Doubles, Likelihood, mean_loss

_STEPS, _CONJUGATE_STEPS, _HALVINGS = 50, 100, 30
# A step is taken if the loss falls by at least this share of what its slope promises.
_DESCENT = 1e-4


def minimize(
    features: Doubles,
    targets: Doubles,
    likelihood: Likelihood,
    penalty: Doubles,
    start: Doubles,
    *,
    tolerance: float = 1e-3,
) -> Doubles:
    """Find the weights with the least penalized negative log-likelihood.

    Args:
        features: (rows, features); the better if they are uncorrelated.
        targets: (items, classes); logits take this shape before they are compared, so that an item
            may have several rows with one logit each.
        likelihood: The loss.
        penalty: Of the square of each weight, (features, 1).
        start: The first guess, (features, outputs).
        tolerance: Half its square is about how far the loss may be from its least.

    Returns:
        The weights, (features, outputs).
    """
    items = len(targets)
    curvature = likelihood.curvature_bound * np.square(features).sum(axis=0)[:, None] / items
    scale = 1 / (curvature + penalty + np.finfo(np.float64).tiny)

    def loss_at(logits: Doubles, weights: Doubles) -> float:
        loss = mean_loss(likelihood, logits.reshape(targets.shape), targets)
        return loss + float((penalty * weights**2).sum()) / 2

    weights = start
    logits = features @ weights
    loss = loss_at(logits, weights)
    for _ in range(_STEPS):
        mean = likelihood.mean(logits.reshape(targets.shape))
        gradient = features.T @ (mean - targets).reshape(logits.shape) / items + penalty * weights

        def curve(direction: Doubles, mean: Doubles = mean) -> Doubles:
            turned = (features @ direction).reshape(targets.shape)
            curved = likelihood.curve(mean, turned).reshape(len(features), -1)
            return np.asarray(features.T @ curved / items + penalty * direction)

        slope = np.sqrt((gradient * gradient * scale).sum())
        if slope <= tolerance:
            break
        step = _solve(curve, -gradient, scale, min(0.5, float(np.sqrt(slope))))
        promised, turned = float((gradient * step).sum()), features @ step
        for halving in range(_HALVINGS):
            size = 0.5**halving
            trial = loss_at(logits + size * turned, weights + size * step)
            if trial <= loss + _DESCENT * size * promised:
                break
        else:
            break  # rounding leaves nothing to gain
        weights, logits, loss = weights + size * step, logits + size * turned, trial
    return weights


def _solve(
    curve: Callable[[Doubles], Doubles], target: Doubles, scale: Doubles, tolerance: float
) -> Doubles:
    """Solve curve(x) = target by conjugate gradients, preconditioned by `scale`."""
    solution = np.zeros_like(target)
    residual = target
    scaled = scale * residual
    direction = scaled
    size = first = float((residual * scaled).sum())
    for _ in range(_CONJUGATE_STEPS):
        curved = curve(direction)
        along = float((direction * curved).sum())
        if along <= 0:  # flat: nothing depends on this direction
            break
        step = size / along
        solution = solution + step * direction
        residual = residual - step * curved
        scaled = scale * residual
        previous, size = size, float((residual * scaled).sum())
        if size <= tolerance**2 * first:
            break
        direction = scaled + size / previous * direction
    return solution
