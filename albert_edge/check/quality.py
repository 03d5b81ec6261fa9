"""Accuracy and agreement of a compressed model, compared with fp32 on the same texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.heads import HEADS
from albert_edge.runtime.vectors import cosine

Outputs = Mapping[str, npt.NDArray[Any]]
Array = npt.NDArray[Any]

# Tokens of a text that are compared, evenly spaced: all outputs would not fit into memory.
_TOKENS = 16
_TOKENS_OF_A_VOCABULARY = 2
_VOCABULARY = 4096


@dataclass(frozen=True, slots=True)
class Quality:
    """How close the answers of a compressed model are to those of fp32.

    Attributes:
        texts: How many texts were compared.
        agreement: Share of decisions that are the same, 0 to 1, or None if the head makes none.
        cosine: Mean cosine of the outputs, over all tokens compared.
        worst_cosine: The lowest of them.
        largest_difference: Largest absolute difference of any output.
        reference_accuracy: Accuracy of fp32, 0 to 1, or None without labels.
        accuracy: Accuracy of the compressed model.
    """

    texts: int
    agreement: float | None
    cosine: float
    worst_cosine: float
    largest_difference: float
    reference_accuracy: float | None = None
    accuracy: float | None = None

    @property
    def drop(self) -> float | None:
        """Loss of accuracy in percentage points, or None without labels."""
        if self.accuracy is None or self.reference_accuracy is None:
            return None
        return 100 * (self.reference_accuracy - self.accuracy)


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits that a compressed model has to meet.

    Attributes:
        min_agreement: Minimum share of decisions that stay the same, 0 to 1.
        min_cosine: Minimum mean cosine.
        max_drop: Maximum loss of accuracy in percentage points; None without labels.
    """

    min_agreement: float = 0.99
    min_cosine: float = 0.999
    max_drop: float | None = None

    def misses(self, quality: Quality) -> list[str]:
        """List the limits that a quality fails, in words. NaN fails every limit."""
        missed = []  # `not >=` rather than `<`, so that NaN fails
        if not quality.cosine >= self.min_cosine:
            missed.append(f"cosine {quality.cosine:.5f} is below {self.min_cosine:g}")
        if quality.agreement is not None and not quality.agreement >= self.min_agreement:
            missed.append(f"agreement {quality.agreement:.2%} is below {self.min_agreement:.2%}")
        drop = quality.drop
        if self.max_drop is not None and drop is not None and not drop <= self.max_drop:
            missed.append(f"accuracy drops by {drop:.2f} points, over {self.max_drop:g}")
        return missed


class Reference:
    """The answers of fp32, to compare those of compressed models with.

    Args:
        config: The configuration, on which the kind of decision depends.
        head: A key of `HEADS`.
        expected: Outputs of fp32 for every text, reduced by `thin`.
        labels: The labelled class of every text, if known.
    """

    def __init__(
        self,
        config: AlbertConfig,
        head: str,
        expected: Sequence[Outputs],
        labels: Sequence[int] | None = None,
    ) -> None:
        self._decide = _decider(config, head)
        self._are_numbers = bool(HEADS[head].decisive) and HEADS[head].decision(config) is None
        self._expected = expected
        self._labels = None if labels is None else np.asarray(labels)

    def compare(self, candidate: Sequence[Outputs]) -> Quality:
        """Compare the outputs of a compressed model for the same texts, also reduced by `thin`."""
        pairs = list(zip(self._expected, candidate, strict=True))
        names = list(self._expected[0])
        cosines = np.concatenate([self._cosines([(a[n], b[n]) for a, b in pairs]) for n in names])
        largest = [np.abs(a[n] - b[n]).max(initial=0.0) for a, b in pairs for n in names]
        reference, ours = (
            np.concatenate([self._decide(arrays) for arrays in outputs])
            for outputs in (self._expected, candidate)
        )
        return Quality(
            texts=len(pairs),
            agreement=float((reference == ours).mean()) if reference.size else None,
            cosine=float(cosines.mean()),
            worst_cosine=float(cosines.min()),
            largest_difference=float(np.max(largest)),
            reference_accuracy=self._accuracy(reference),
            accuracy=self._accuracy(ours),
        )

    def _cosines(self, pairs: Sequence[tuple[Array, Array]]) -> Array:
        """Compute the cosine of every vector, along the last axis.

        A single number has no direction, nor have the numbers of a regression, each of which has a
        scale of its own; those of all texts are compared as one vector.
        """
        if self._are_numbers or all(a.shape[-1] == 1 for a, _ in pairs):
            rows = [[pair[i].reshape(-1, pair[i].shape[-1]) for pair in pairs] for i in (0, 1)]
            first, second = (np.concatenate(side).T for side in rows)
            pairs = [(first, second)]
        return np.concatenate([cosine(a, b).ravel() for a, b in pairs])

    def _accuracy(self, decisions: Array) -> float | None:
        return None if self._labels is None else float((decisions == self._labels).mean())


def thin(outputs: Outputs) -> Outputs:
    """Keep only a few tokens of the outputs that have a vector for each token."""
    return {name: _thinned(values) for name, values in outputs.items()}


def _thinned(values: Array) -> Array:
    if values.ndim < 3:
        return values
    most = _TOKENS_OF_A_VOCABULARY if values.shape[-1] > _VOCABULARY else _TOKENS
    count = values.shape[1]
    spread = np.linspace(0, count - 1, min(count, most)).astype(int)
    kept = np.union1d(spread, count // 2)  # where a sample of fill-mask has its mask
    return values[:, kept].copy()  # a view would keep the rest in memory


def _decider(config: AlbertConfig, head: str) -> Callable[[Outputs], Array]:
    names = HEADS[head].decisive
    match HEADS[head].decision(config):
        case "positive":
            return lambda outputs: np.concatenate([(outputs[name] > 0).ravel() for name in names])
        case "largest":
            return lambda outputs: np.concatenate(
                [outputs[name].argmax(axis=-1).ravel() for name in names]
            )
        case _:
            return lambda outputs: np.empty(0, int)
