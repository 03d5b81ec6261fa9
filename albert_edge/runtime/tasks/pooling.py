"""The hidden states of a text's tokens -> one vector, in the ways sentence-transformers has."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

POOLER = "pooler"
"""What ALBERT itself makes of its first token, instead of a way of pooling."""


def _first(tokens: Vector, start: int) -> Vector:
    first: Vector = tokens[0]
    return first


def _last(tokens: Vector, start: int) -> Vector:
    last: Vector = tokens[-1]
    return last


def _max(tokens: Vector, start: int) -> Vector:
    largest: Vector = tokens.max(axis=0)
    return largest


def _mean(tokens: Vector, start: int) -> Vector:
    mean: Vector = tokens.mean(axis=0)
    return mean


def _mean_sqrt_length(tokens: Vector, start: int) -> Vector:
    scaled: Vector = tokens.sum(axis=0) / math.sqrt(len(tokens))
    return scaled


def _weighted_mean(tokens: Vector, start: int) -> Vector:
    positions = np.arange(start + 1, start + 1 + len(tokens), dtype=np.float32)
    mean: Vector = positions @ tokens / positions.sum()
    return mean


POOLINGS: dict[str, Callable[[Vector, int], Vector]] = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_length,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}
"""(tokens, hidden_size) and the position of the first of them in its text -> (hidden_size,)."""
