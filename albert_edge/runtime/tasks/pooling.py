"""Pool the hidden states of a text's tokens into one vector, as sentence-transformers does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
Features = dict[str, Vector]
"""What modules read and write of one text, by sentence-transformers' names."""

TOKENS = "token_embeddings"
"""The feature (tokens, size), at first the hidden states."""
EMBEDDING = "sentence_embedding"
"""The feature (size,) that is a text's embedding after the last module."""
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
"""(tokens, size) and the position of the first of them in its text -> (size,)."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """The module that makes an embedding of the tokens.

    Attributes:
        modes: Keys of `POOLINGS` or `POOLER`, whose vectors are concatenated.
        include_prompt: Whether the tokens of a prompt are pooled too.
    """

    modes: tuple[str, ...] = ("mean",)
    include_prompt: bool = True

    def __call__(self, features: Features, prompt: int) -> None:
        """Add the embedding to the features of a text whose prompt has `prompt` tokens."""
        start = 0 if self.include_prompt else prompt
        tokens = features[TOKENS][start:]
        features[EMBEDDING] = np.concatenate(
            [
                features[POOLER] if mode == POOLER else POOLINGS[mode](tokens, start)
                for mode in self.modes
            ]
        )
