"""Correct the mean error of compressed outputs through the biases of the head.

Rounding activations adds nearly the same error to all tokens, often the largest error of the
outputs. It is measured by running the compressed model: empirical bias correction (Nagel et al.
2019, https://arxiv.org/abs/1906.04721). Only outputs are corrected, since the applications of the
shared layer have different errors but the same biases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from albert_edge.architecture.heads import HEADS
from albert_edge.check.quality import Outputs
from albert_edge.compress.rounding import Floats


def offsets(
    head: str,
    weights: Mapping[str, Floats],
    expected: Sequence[Outputs],
    compressed: Sequence[Outputs],
) -> dict[str, Floats]:
    """Measure the mean error of outputs over all texts and tokens.

    Args:
        head: A key of `HEADS`.
        weights: The float weights by name.
        expected: The float model's outputs for some texts.
        compressed: The compressed model's for the same texts.

    Returns:
        The mean error of every output that a bias can correct: a number for each entry of its last
        axis, or a single number if the bias is.
    """
    errors = {}
    for bias, outputs in HEADS[head].biases.items():
        features = len(weights[bias]) // len(outputs)
        for name in outputs:
            of_texts = [
                (b[name] - a[name]).reshape(-1, features)
                for a, b in zip(expected, compressed, strict=True)
            ]
            errors[name] = np.concatenate(of_texts).mean(axis=0)
    return errors


def without(outputs: Outputs, errors: Mapping[str, Floats]) -> Outputs:
    """Return the outputs that the corrected biases would give."""
    return {name: y - errors[name] if name in errors else y for name, y in outputs.items()}


def correct(
    head: str, weights: Mapping[str, Floats], errors: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Return the biases, corrected by the mean errors of their outputs, if there are any."""
    return {
        bias: weights[bias] - np.concatenate([errors[name] for name in outputs])
        for bias, outputs in HEADS[head].biases.items()
        if errors
    }
