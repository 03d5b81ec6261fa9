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

# Tokens of a text that are looked at, evenly spaced: enough to judge by, few enough to keep.
_TOKENS = 16
_TOKENS_OF_A_VOCABULARY = 2
_VOCABULARY = 4096


@dataclass(frozen=True, slots=True)
class Quality:
    """How far compressed answers are from the float model's.

    Attributes:
        texts: How many texts were compared.
        agreement: Share of decisions that are the same, 0 to 1, or None if the task has none.
        cosine: Mean cosine of the outputs, of all tokens looked at.
        worst_cosine: The least of them.
        largest_difference: Largest absolute difference of any output.
        reference_accuracy: Share of labels the float model gets right, or None without labels.
        accuracy: The same of the compressed model.
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
        """Points of accuracy lost, in percent, or None without labels."""
        if self.accuracy is None or self.reference_accuracy is None:
            return None
        return 100 * (self.reference_accuracy - self.accuracy)


@dataclass(frozen=True, slots=True)
class Budget:
    """What compressed answers may cost.

    Attributes:
        min_agreement: Least share of decisions that stay the same, 0 to 1.
        min_cosine: Least mean cosine.
        max_drop: Most points of accuracy lost, in percent; None without labels.
    """

    min_agreement: float = 0.99
    min_cosine: float = 0.999
    max_drop: float | None = None

    def misses(self, quality: Quality) -> list[str]:
        """What a quality lacks, in words; nothing if it is good enough. NaN never is."""
        missed = []
        if not quality.cosine >= self.min_cosine:
            missed.append(f"cosine {quality.cosine:.5f} is below {self.min_cosine:g}")
        if quality.agreement is not None and not quality.agreement >= self.min_agreement:
            missed.append(f"agreement {quality.agreement:.2%} is below {self.min_agreement:.2%}")
        drop = quality.drop
        if self.max_drop is not None and drop is not None and not drop <= self.max_drop:
            missed.append(f"accuracy drops by {drop:.2f} points, over {self.max_drop:g}")
        return missed


class Judge:
    """Compares answers of compressed models with those of fp32.

    Args:
        config: Says what the outputs mean.
        task: What the model answers.
        expected: The float model's outputs for every text, thinned out by `thin`.
        labels: The right class of every text, if known.
    """

    def __init__(
        self,
        config: AlbertConfig,
        task: str,
        expected: Sequence[Outputs],
        labels: Sequence[int] | None = None,
    ) -> None:
        self._decide = _decider(config, task)
        self._expected = expected
        self._labels = None if labels is None else np.asarray(labels)

    def judge(self, found: Sequence[Outputs]) -> Quality:
        """Judge the outputs of a compressed model for the same texts, thinned out likewise."""
        pairs = list(zip(self._expected, found, strict=True))
        names = list(self._expected[0])
        cosines = np.concatenate([_cosines([(a[n], b[n]) for a, b in pairs]) for n in names])
        largest = [np.abs(a[n] - b[n]).max(initial=0.0) for a, b in pairs for n in names]
        right, ours = (self._decisions(outputs) for outputs in (self._expected, found))
        return Quality(
            texts=len(pairs),
            agreement=float((right == ours).mean()) if right.size else None,
            cosine=float(cosines.mean()),
            worst_cosine=float(cosines.min()),
            largest_difference=float(np.max(largest)),
            reference_accuracy=self._accuracy(right),
            accuracy=self._accuracy(ours),
        )

    def _decisions(self, outputs: Sequence[Outputs]) -> Array:
        return np.concatenate([self._decide(one) for one in outputs])

    def _accuracy(self, decisions: Array) -> float | None:
        return None if self._labels is None else float((decisions == self._labels).mean())


def thin(outputs: Outputs) -> Outputs:
    """Keep what is needed to judge by: of outputs per token, those of a few tokens."""
    return {name: _thinned(values) for name, values in outputs.items()}


def _thinned(values: Array) -> Array:
    if values.ndim < 3:
        return values
    most = _TOKENS_OF_A_VOCABULARY if values.shape[-1] > _VOCABULARY else _TOKENS
    count = values.shape[1]
    spread = np.linspace(0, count - 1, min(count, most)).astype(int)
    kept = np.union1d(spread, count // 2)  # where a sample of fill-mask has its mask
    return values[:, kept].copy()  # a view would keep the rest in memory


def _cosines(pairs: list[tuple[Array, Array]]) -> Array:
    """The cosine of every vector, which is the last axis.

    Vectors of one number have no direction; they are taken as one vector of all texts.
    """
    if all(a.shape[-1] == 1 for a, _ in pairs):
        first, second = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
        pairs = [(first, second)]
    return np.concatenate([cosine(a, b).ravel() for a, b in pairs])


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
