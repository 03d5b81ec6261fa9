"""What compressed answers are off by on average, and taking it back by the biases of the head.

Rounding activations moves what all tokens share the same way in every text. Where the answer is
read off that is a constant, often larger than all else that rounding does. It is known once the
compressed model has run: empirical bias correction (Nagel et al. 2019,
https://arxiv.org/abs/1906.04721), of the answers alone, since a bias inside the layer serves
applications that are off by different amounts.
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
    """How far outputs are off on average over all texts and tokens.

    Args:
        head: A key of `HEADS`.
        weights: The float weights by name.
        expected: The float model's outputs for some texts.
        found: The compressed model's for the same texts.

    Returns:
        For every output that a bias could correct, what to subtract from it: one number for each
        of its last axis, or for all of it where the bias is a single number.
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
    """Outputs as they are once the biases have taken `off` back."""
    return {name: y - off[name] if name in off else y for name, y in outputs.items()}


def correct(
    head: str, weights: Mapping[str, Floats], off: Mapping[str, Floats]
) -> dict[str, Floats]:
    """The biases that take `off` back."""
    return {
        bias: weights[bias] - np.concatenate([off[name] for name in outputs])
        for bias, outputs in HEADS[head].biases.items()
        if off
    }
