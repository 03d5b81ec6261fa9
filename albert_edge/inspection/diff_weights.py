"""Compare the weights of two variants one by one, where the comparison is meaningful."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from albert_edge.architecture.heads import HEADS
from albert_edge.architecture.weights import find_weight
from albert_edge.bundle.manifest import Variant
from albert_edge.inspection.weights import Floats, Weights
from albert_edge.runtime.vectors import cosine


@dataclass(frozen=True, slots=True)
class WeightDiff:
    """A weight that both variants have.

    Attributes:
        name: Its name in the checkpoint.
        first: How the first variant stores it.
        second: How the second does.
        largest: Largest absolute difference of the dequantized values; 0 if all are equal.
        relative: `largest` over the largest magnitude in the first.
        cosine: Of all values as one vector.
    """

    name: str
    first: str
    second: str
    largest: float
    relative: float
    cosine: float


@dataclass(frozen=True, slots=True)
class WeightsDiff:
    """The weights of two variants.

    Attributes:
        shared: Weights that both have and that can be compared.
        incomparable: Weights that both have but whose difference means nothing, with the reason.
        only_first: Weights that only the first has.
        only_second: Weights that only the second has.
    """

    shared: list[WeightDiff]
    incomparable: dict[str, str]
    only_first: list[str]
    only_second: list[str]


def compare_weights(ours: Weights, theirs: Weights) -> WeightsDiff:
    """Compare two variants weight by weight, dequantized."""
    names = [name for name in ours.stored if name in theirs.stored]
    incomparable = dict(_incomparable(names, ours.variant, theirs.variant))
    shared = []
    for name in [name for name in names if name not in incomparable]:
        a, b = ours.floats(name), theirs.floats(name)
        if a.shape == b.shape:
            shared.append(_weight_diff(name, ours.stored[name], theirs.stored[name], a, b))
        else:
            incomparable[name] = f"its shape is {a.shape} and {b.shape}"
    return WeightsDiff(
        shared=shared,
        incomparable=incomparable,
        only_first=[name for name in ours.stored if name not in theirs.stored],
        only_second=[name for name in theirs.stored if name not in ours.stored],
    )


def _incomparable(names: list[str], left: Variant, right: Variant) -> Iterator[tuple[str, str]]:
    """Yield the weights that an exact rewrite changed in only one variant, and the reason.

    Smoothing is not among them: the file has the vector that undoes it.
    """
    answer_biases = {name for head in HEADS.values() for name in head.biases}
    rounded = _integers(left) != _integers(right)
    for name in names:
        spec = find_weight(name)
        rewrite = spec.rewrite if spec else ""
        if spec and spec.kind == "bias" and rounded:
            yield name, "it includes the correction for rounding the matrices"
        elif (rewrite in left.optimizations) != (rewrite in right.optimizations):
            yield name, f"one of the two is scaled by channel ({rewrite})"
        elif left.matrices != right.matrices and name in answer_biases:
            yield name, "it includes the correction of the answers"


def _integers(variant: Variant) -> dict[str, str]:
    """Return the precision of each quantized matrix, and what shares a scale."""
    integers = {name: kind for name, kind in variant.matrices.items() if kind.startswith("int")}
    return {**integers, "activations": variant.activations}


def _weight_diff(name: str, first: str, second: str, a: Floats, b: Floats) -> WeightDiff:
    largest = float(np.abs(a - b).max(initial=0.0))
    magnitude = float(np.abs(a).max(initial=0.0))
    relative = largest / magnitude if magnitude else float(largest > 0)
    return WeightDiff(name, first, second, largest, relative, float(cosine(a.ravel(), b.ravel())))
