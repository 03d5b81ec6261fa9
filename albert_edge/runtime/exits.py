"""Run models that may answer a text before all layers were applied, and say after how many.

Such a model takes one row at a time, so that no text waits for another and no answer depends on
what else is in a batch. A row of a multiple-choice model has all choices of an item, since the
model is certain of the best of them, not of each. Padding at the end is cut off, which makes the
answer to a row the same in any batch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from albert_edge.runtime.inputs import Arrays

_MASK = "attention_mask"


def mean_layers(counts: Mapping[int, int]) -> float | None:
    """Return the mean of layers, by how many rows took so many; None if there are no rows."""
    rows = sum(counts.values())
    return sum(layers * count for layers, count in counts.items()) / rows if rows else None


def split_rows(inputs: Arrays) -> list[Arrays]:
    """Split the inputs of a batch into rows, without the padding at their end.

    Args:
        inputs: Arrays of a batch, attention_mask among them.

    Returns:
        The inputs of each row, of batch size 1. A row that is padding only keeps its length.
    """
    batch = len(inputs[_MASK])
    if batch == 1:
        return [_trimmed(inputs)]
    return [
        _trimmed({name: array[row : row + 1] for name, array in inputs.items()})
        for row in range(batch)
    ]


def _trimmed(row: Arrays) -> Arrays:
    mask = row[_MASK]
    if mask[..., -1].any():
        return row
    tokens = np.flatnonzero(mask.reshape(-1, mask.shape[-1]).any(axis=0))
    length = tokens[-1] + 1 if tokens.size else mask.shape[-1]
    return {name: np.ascontiguousarray(array[..., :length]) for name, array in row.items()}


def stack_rows(rows: Sequence[Arrays], token_outputs: Collection[str], length: int) -> Arrays:
    """Put the outputs of rows together to those of a batch.

    Args:
        rows: The outputs of each row.
        token_outputs: The outputs with a row for every token, (1, sequence, ...).
        length: The sequence length of the batch, to which these are padded with zeros.
    """
    padded = [
        {n: _padded(v, length) if n in token_outputs else v for n, v in row.items()} for row in rows
    ]
    if len(rows) == 1:
        return padded[0]
    return {name: np.concatenate([row[name] for row in padded]) for name in rows[0]}


def _padded(values: npt.NDArray[np.generic], length: int) -> npt.NDArray[np.generic]:
    missing = length - values.shape[1]
    if not missing:
        return values
    return np.pad(values, [(0, 0), (0, missing)] + [(0, 0)] * (values.ndim - 2))


def join_choices(runs: Sequence[Arrays]) -> Arrays:
    """Put the choices of an item, each (1, 1, sequence), into one run, (1, choices, sequence)."""
    length = max(run[_MASK].shape[-1] for run in runs)
    return {
        name: np.concatenate(
            [
                np.pad(run[name], [(0, 0), (0, 0), (0, length - run[name].shape[-1])])
                for run in runs
            ],
            axis=1,
        )
        for name in runs[0]
    }


def split_choices(outputs: Arrays) -> list[Arrays]:
    """Split the outputs of `join_choices`' run into those of each choice."""
    logits = outputs["logits"]
    return [
        {**outputs, "logits": logits[:, choice : choice + 1]} for choice in range(logits.shape[1])
    ]
