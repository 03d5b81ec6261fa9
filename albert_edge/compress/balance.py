"""Exact rewrites of the float weights that make them quantize better.

The outputs of the float model stay the same. All functions take weights by their name in the
portable file, matrices as (in_features, out_features), and return those that changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.weights import (
    ATTENTION,
    EMBEDDING_NORM,
    LAYER,
    PROJECTION,
    WEIGHTS,
    find_weight,
    with_indices,
)
from albert_edge.compress.rounding import Floats

Weights = Mapping[str, Floats]

# A normalized feature rarely exceeds this many standard deviations.
_SPREAD = np.float32(3)

# Channels below this share of the median are treated as if they had it.
_FAINT = 1e-3


def layers(names: Iterable[str]) -> Iterator[str]:
    """Yield the path of every distinct layer, from the names of its weights."""
    value = WEIGHTS[f"{ATTENTION}.value.weight"]
    yield from (with_indices(LAYER, name) for name in names if find_weight(name) is value)


def balance_values(weights: Weights) -> dict[str, Floats]:
    """Balance the channels between the value and the attention output matrix.

    Cross-layer equalization (Nagel et al. 2019, https://arxiv.org/abs/1906.04721): attention mixes
    tokens, never channels, so a channel may be divided by any number before it and multiplied
    after it.
    """
    changed = {}
    for layer in layers(weights):
        value, dense = f"{layer}.attention.value.weight", f"{layer}.attention.dense.weight"
        bias = f"{layer}.attention.value.bias"
        before = np.hypot(np.linalg.norm(weights[value], axis=0), weights[bias])
        factor = _balance(before, np.abs(weights[dense]).max(axis=1))
        changed[value] = weights[value] / factor
        changed[dense] = weights[dense] * factor[:, None]
        changed[bias] = weights[bias] / factor
    return changed


def balance_embeddings(weights: Weights) -> dict[str, Floats]:
    """Balance the channels between the normalization of the embeddings and their projection."""
    scale, shift = f"{EMBEDDING_NORM}.weight", f"{EMBEDDING_NORM}.bias"
    matrix = f"{PROJECTION}.weight"
    before = _SPREAD * np.abs(weights[scale]) + np.abs(weights[shift])
    factor = _balance(before, np.abs(weights[matrix]).max(axis=1))
    return {
        scale: weights[scale] / factor,
        shift: weights[shift] / factor,
        matrix: weights[matrix] * factor[:, None],
    }


def smooth(weights: Weights, largest: Mapping[str, Floats]) -> dict[str, Floats]:
    """Balance hidden features with the rows of the matrices that read them.

    SmoothQuant (Xiao et al. 2022, https://arxiv.org/abs/2211.10438) with strength one half. The
    hidden states are read again by the residual connection, so they are scaled on their way into
    the matrices only, by one vector for all applications of a layer.

    Args:
        weights: The float weights.
        largest: The largest magnitude of every feature that entered a matrix, by the name of its
            weight.

    Returns:
        The matrices, and the vectors to multiply their inputs with.
    """
    changed: dict[str, Floats] = {}
    for vector, names in readers(weights).items():
        rows = np.max([np.abs(weights[name]).max(axis=1) for name in names], axis=0)
        factor = _balance(np.max([largest[name] for name in names], axis=0), rows)
        changed[vector] = np.float32(1) / factor
        changed.update({name: weights[name] * factor[:, None] for name in names})
    return changed


def readers(names: Iterable[str]) -> dict[str, list[str]]:
    """Group the matrices that read hidden states by the vector that smooths their input."""
    matrices: dict[str, list[str]] = {}
    for name in names:
        spec = find_weight(name)
        if spec and spec.kind == "matrix" and spec.reads and spec.reads.smoothing:
            matrices.setdefault(with_indices(spec.reads.smoothing, name), []).append(name)
    return matrices


def _balance(before: Floats, after: Floats) -> Floats:
    """Return the factor to divide by before, and to multiply with after, to equalize both.

    A channel that is far fainter than the others is treated as less faint: calibration may have
    missed the texts that use it. The overall size of each side stays the same.
    """
    usable = (before > 0) & (after > 0)
    logs = np.log(_at_least_faint(before)) - np.log(_at_least_faint(after))
    factor = np.exp(0.5 * (logs - logs[usable].mean())) if usable.any() else np.ones(len(before))
    return np.where(usable, factor, 1).astype(np.float32)


def _at_least_faint(sizes: Floats) -> npt.NDArray[np.float64]:
    present = sizes[sizes > 0].astype(np.float64)
    floor = _FAINT * np.median(present) if present.size else 1.0
    return np.maximum(sizes.astype(np.float64), floor)
