"""What a benchmark runs: shapes of inputs, and token ids of these shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import HEADS
from albert_edge.errors import Argument, Message, UsageError

Shape = tuple[int, int]  # sequences, tokens of each
Inputs = dict[str, npt.NDArray[np.int64]]

DEFAULT_SHAPES: tuple[Shape, ...] = ((1, 8), (1, 32), (1, 128), (1, 384), (8, 128))
FIRST: Shape = (1, 16)  # what a fresh process answers first, and what outputs are compared on
WARM: Shape = (1, 128)  # what it answers before its memory is read again
WARM_GPU: Shape = (32, 128)  # the same on a GPU, which takes larger batches
CHOICES = 2  # of each item, for a multiple-choice model


def parse_shapes(text: str) -> list[Shape]:
    """Read shapes such as "1x8,8x128": batch x length, separated by commas.

    Raises:
        UsageError: One is not such a pair.
    """
    shapes = []
    for part in text.split(","):
        match = re.fullmatch(r"([1-9][0-9]{0,6})x([1-9][0-9]{0,6})", part.strip())
        if match is None:
            raise UsageError(
                f"{part!r} is not a shape.",
                tip=Message("Write batch x length, such as ", Argument("shapes", "1x8,8x128"), "."),
            )
        shapes.append((int(match[1]), int(match[2])))
    return shapes


def choose_shapes(wanted: Sequence[Shape] | None, config: AlbertConfig) -> list[Shape]:
    """The shapes to measure, each once: those wanted, or the defaults that the model can take.

    Raises:
        UsageError: There are none, or the model cannot take one of them.
    """
    longest = config.max_position_embeddings
    if wanted is None:
        fitting = [shape for shape in DEFAULT_SHAPES if shape[1] <= longest]
        return fitting or [(1, longest)]
    if not wanted:
        raise UsageError(
            Message(Argument("shapes", []), ": there is no shape to measure."),
            tip=Message("Leave ", Argument("shapes"), " out for the defaults."),
        )
    for batch, length in wanted:
        if batch < 1 or not 1 <= length <= longest:
            raise UsageError(
                f"{batch}x{length} cannot be measured: the model takes 1 to {longest} tokens.",
                tip=f"Write batch x length with lengths up to {longest}.",
            )
    return list(dict.fromkeys((batch, length) for batch, length in wanted))


def make_inputs(shape: Shape, config: AlbertConfig, head: str) -> Inputs:
    """Random token ids of a shape, nothing padded; the second half is the second segment.

    Args:
        shape: A length over what the model takes is cut to that.
        config: Gives the ranges of the ids.
        head: A key of `HEADS`; an item of choices gets `CHOICES` of them.
    """
    batch, length = shape[0], min(shape[1], config.max_position_embeddings)
    shape_of_ids = HEADS[head].ids_shape(batch, length, CHOICES)
    ids = np.random.default_rng(0).integers(0, config.vocab_size, shape_of_ids)
    segments = np.arange(length) >= (length + 1) // 2
    last = min(1, config.type_vocab_size - 1)
    return {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.broadcast_to(last * segments, ids.shape).astype(np.int64),
    }
