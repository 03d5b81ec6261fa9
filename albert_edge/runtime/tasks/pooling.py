"""Pool the hidden states of a text's tokens into one vector, as sentence-transformers does."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

POOLER = "pooler"
"""ALBERT's own output for its first token, pooler_output, in place of pooled hidden states."""


def _weighted_mean(tokens: Vector, start: int) -> Vector:
    positions = np.arange(start + 1, start + 1 + len(tokens), dtype=np.float32)
    mean: Vector = positions @ tokens / positions.sum()
    return mean


POOLINGS: dict[str, Callable[[Vector, int], Vector]] = {
    "cls": lambda tokens, start: tokens[0],
    "max": lambda tokens, start: tokens.max(axis=0),
    "mean": lambda tokens, start: tokens.mean(axis=0),
    "mean_sqrt_len_tokens": lambda tokens, start: tokens.sum(axis=0) / math.sqrt(len(tokens)),
    "weightedmean": _weighted_mean,
    "lasttoken": lambda tokens, start: tokens[-1],
}
"""(tokens, hidden_size) and the position of the first of them in its text -> (hidden_size,)."""
