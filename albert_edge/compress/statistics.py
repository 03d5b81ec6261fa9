"""Statistics of the activations that enter each matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.compress.rounding import Floats
from albert_edge.graph.observer import groups


@dataclass(frozen=True, slots=True)
class Seen:
    """Statistics of what enters one matrix, over all texts, tokens and applications of a layer.

    Attributes:
        mean: Of every feature, (features,).
        largest: The largest magnitude of every feature, (features,).
        covariance: Of the features within each of `groups`, (group, group) each.
    """

    mean: Floats
    largest: Floats
    covariance: list[Floats]

    def scaled(self, factor: Floats) -> Seen:
        """Return the statistics of features multiplied by positive factors."""
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
        runs: Outputs by name; those with a colon in it are what `graph.observer` says.

    Returns:
        What enters each matrix, by the name of its weight.
    """
    sums: dict[str, _Sums] = {}
    for outputs in runs:
        _add(outputs, sums)
        del outputs  # before the next run allocates its own
    seen: dict[str, Seen] = {}
    for names, one in sums.items():
        seen.update(dict.fromkeys(names.split(), one.finish()))
    return seen


def _add(outputs: Mapping[str, npt.NDArray[Any]], sums: dict[str, _Sums]) -> None:
    """Add the statistics of a run to the sums, by the names of the weights they belong to."""
    found: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for output, values in outputs.items():
        statistic, colon, names = output.partition(":")
        if colon:
            found.setdefault(names, {})[statistic] = values
    for names, statistics in found.items():
        sums.setdefault(names, _Sums()).add(statistics)


class _Sums:
    """Combines the statistics of many runs (Chan et al. 1979, STAN-CS-79-773).

    Products are of features less the mean of their own run: with a mean far larger than the
    deviations, 32 bits would lose the deviations.
    """

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._means: list[Floats] = []
        self._largest: list[Floats] = []
        self._products: list[Floats] = []

    def add(self, statistics: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add the statistics of a run."""
        self._rows.append(int(statistics["rows"][0]))
        self._means.append(statistics["mean"][0])
        self._largest.append(statistics["largest"][0])
        cuts = groups(len(self._means[0]))
        products = [statistics[f"products.{count}"] for count in range(len(cuts))]
        if not self._products:
            self._products = [np.zeros_like(one) for one in products]
        for total, one in zip(self._products, products, strict=True):
            total += one

    def finish(self) -> Seen:
        """Return the statistics of all rows; the sums are consumed."""
        rows = sum(self._rows)
        mean = np.average(self._means, axis=0, weights=self._rows).astype(np.float32)
        apart = (np.stack(self._means) - mean) * np.sqrt(self._rows, dtype=np.float32)[:, None]
        for total, cut in zip(self._products, groups(len(mean)), strict=True):
            total += apart[:, cut].T @ apart[:, cut]
            total /= rows
        return Seen(mean, np.max(self._largest, axis=0), self._products)
