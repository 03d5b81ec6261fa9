"""Correct the mean error of compressed outputs through the biases of the head.

Rounding activations shifts what all tokens share by a constant, which is often the largest error
of the outputs. It is measured by running the compressed model: empirical bias correction (Nagel et
al. 2019, https://arxiv.org/abs/1906.04721). Only outputs are corrected, since a bias inside the
shared layer serves applications with different errors.
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
    found: Sequence[Outputs],
) -> dict[str, Floats]:
    """Measure the mean error of outputs over all texts and tokens.

    Args:
        head: A key of `HEADS`.
        weights: The float weights by name.
        expected: The float model's outputs for some texts.
        found: The compressed model's for the same texts.

    Returns:
        What to subtract from every output that a bias can correct: a number for each entry of its
        last axis, or one number where the bias is a single number.
    """
    off = {}
    for bias, outputs in HEADS[head].biases.items():
        features = len(weights[bias]) // len(outputs)
        for name in outputs:
            errors = [
                (b[name] - a[name]).reshape(-1, features)
                for a, b in zip(expected, found, strict=True)
            ]
            off[name] = np.concatenate(errors).mean(axis=0)
    return off


def without(outputs: Outputs, off: Mapping[str, Floats]) -> Outputs:
    """Return the outputs that the corrected biases would give."""
    return {name: y - off[name] if name in off else y for name, y in outputs.items()}


def correct(
    head: str, weights: Mapping[str, Floats], off: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Return the biases corrected by `off`."""
    return {
        bias: weights[bias] - np.concatenate([off[name] for name in outputs])
        for bias, outputs in HEADS[head].biases.items()
        if off
    }
