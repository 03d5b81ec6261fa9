"""What was seen of the activations that enter each matrix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.compress.rounding import Floats, groups


@dataclass(frozen=True, slots=True)
class Seen:
    """Statistics of what enters one matrix, over all texts, tokens and applications of a layer.

    Attributes:
        mean: Of every feature, (features,).
        largest: The largest magnitude of every feature, (features,).
        covariance: Of the features within each group of `rounding.groups`, (group, group) each.
    """

    mean: Floats
    largest: Floats
    covariance: list[Floats]

    def scaled(self, factor: Floats) -> Seen:
        """The same with every feature multiplied by a positive factor."""
        cuts = groups(len(factor))
        return Seen(
            self.mean * factor,
            self.largest * factor,
            [
                one * np.outer(factor[cut], factor[cut])
                for one, cut in zip(self.covariance, cuts, strict=True)
            ],
        )


def gather(runs: Iterable[Mapping[str, npt.NDArray[Any]]]) -> dict[str, Seen]:
    """Gather statistics from runs of a graph that was authored with `Plan.observed`.

    Args:
        runs: Outputs by name; those named "WEIGHT:COUNT" are activations, (..., features).

    Returns:
        What enters each matrix, by the name of its weight.
    """
    gatherers: dict[str, _Gatherer] = {}
    for outputs in runs:
        for name, rows in _activations(outputs):
            if name not in gatherers:
                gatherers[name] = _Gatherer(rows.mean(axis=0))
            gatherers[name].add(rows)
    return {name: gatherer.finish() for name, gatherer in gatherers.items()}


def _activations(outputs: Mapping[str, npt.NDArray[Any]]) -> Iterator[tuple[str, Floats]]:
    """All that entered a matrix during a run, (rows, features), with the name of its weight."""
    parts: dict[str, list[Floats]] = {}
    for output, values in outputs.items():
        name, colon, _ = output.rpartition(":")
        if colon:
            parts.setdefault(name, []).append(values.reshape(-1, values.shape[-1]))
    for name, rows in parts.items():
        yield name, np.concatenate(rows)


class _Gatherer:
    """Sums up the rows that enter one matrix.

    Args:
        about: (features,). Sums are taken about it: had they to be told from a mean far larger
            than what varies, little of that would be left of them in 32 bits.
    """

    def __init__(self, about: Floats) -> None:
        self._about = about
        self._cuts = groups(len(about))
        self._count = 0
        self._sum = np.zeros(len(about))
        sizes = [cut.stop - cut.start for cut in self._cuts]
        self._products = [np.zeros((size, size), np.float32) for size in sizes]
        self._largest = np.zeros(len(about), np.float32)

    def add(self, rows: Floats) -> None:
        """Take note of (rows, features), which are changed."""
        self._count += len(rows)
        np.maximum(self._largest, np.abs(rows).max(axis=0), out=self._largest)
        rows -= self._about
        self._sum += rows.sum(axis=0, dtype=np.float64)
        for total, cut in zip(self._products, self._cuts, strict=True):
            total += rows[:, cut].T @ rows[:, cut]

    def finish(self) -> Seen:
        """The statistics of all rows; the sums are used up."""
        mean = (self._sum / self._count).astype(np.float32)
        for total, cut in zip(self._products, self._cuts, strict=True):
            total /= self._count
            total -= np.outer(mean[cut], mean[cut])
        return Seen(self._about + mean, self._largest, self._products)
