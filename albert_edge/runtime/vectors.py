"""Vector arithmetic: softmax, sigmoid, normalization and cosine similarity."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_SMALLEST_NORM = 1e-12


def softmax(logits: Floats) -> Floats:
    """Turn (..., classes) logits into probabilities that sum to 1."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Floats = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def sigmoid(logits: Floats) -> Floats:
    """Turn each logit into a probability of its own, without overflow; any shape."""
    scores: Floats = np.exp(np.minimum(logits, 0)) / (1 + np.exp(-np.abs(logits)))
    return scores


def unit(vectors: Floats) -> Floats:
    """Scale vectors, (..., size), to Euclidean length 1; zero vectors stay as they are."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Floats = vectors / np.maximum(lengths, _SMALLEST_NORM)
    return scaled


def cosine(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Compute cosine similarities along the last axis.

    The cosine of a zero vector is undefined. Here it is 1 with another zero vector and 0 with any
    other vector. Equal vectors have exactly 1. A value that is not finite gives NaN.

    Args:
        first: Vectors, (..., size).
        second: As many vectors of the same size.

    Returns:
        One float64 for each pair, (...).
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosines: npt.NDArray[np.float64] = (a * b).sum(axis=-1) / np.where(lengths == 0, 1, lengths)
    return np.where((a == b).all(axis=-1) & np.isfinite(lengths), 1.0, cosines)
