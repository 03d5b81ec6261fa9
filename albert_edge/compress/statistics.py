"""Statistics of the activations that enter each matrix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.compress.rounding import Floats
from albert_edge.graph.observer import groups


@dataclass(frozen=True, slots=True)
class InputStatistics:
    """Statistics of the input of a matrix, over all texts, tokens and applications of a layer.

    Attributes:
        mean: Of every feature, (features,).
        largest: The largest magnitude of every feature, (features,).
        covariance: Of the features within each of `groups`, (group, group) each. If the plan asked
            for moments, also with those of each group before it, which come first.
    """

    mean: Floats
    largest: Floats
    covariance: list[Floats]

    def scaled(self, factor: Floats) -> InputStatistics:
        """Return the statistics of features multiplied by positive factors."""
        parts = [factor[group] for group in groups(len(factor))]
        covariance = [
            within * np.outer(part, part)
            for within, part in zip(self.covariance, parts, strict=True)
        ]
        return InputStatistics(self.mean * factor, self.largest * factor, covariance)


def gather(runs: Iterable[Mapping[str, npt.NDArray[Any]]]) -> dict[str, InputStatistics]:
    """Gather statistics from runs of a graph whose plan is `observed` or asks for `moments`.

    Args:
        runs: Outputs by name; names with a colon are those of `Observer.statistics`.

    Returns:
        The statistics of the input of each matrix, by the name of its weight.
    """
    sums: defaultdict[str, _Sums] = defaultdict(_Sums)
    for outputs in runs:
        _add(outputs, sums)
        del outputs  # before the next run allocates its own
    statistics: dict[str, InputStatistics] = {}
    for names, total in sums.items():
        statistics.update(dict.fromkeys(names.split(), total.finish()))
    return statistics


def _add(outputs: Mapping[str, npt.NDArray[Any]], sums: defaultdict[str, _Sums]) -> None:
    """Add the statistics of a run to the sums, by the names of the weights they belong to."""
    by_weights: defaultdict[str, dict[str, npt.NDArray[Any]]] = defaultdict(dict)
    for output, values in outputs.items():
        statistic, colon, names = output.partition(":")
        if colon:
            by_weights[names][statistic] = values
    for names, statistics in by_weights.items():
        sums[names].add(statistics)


class _Sums:
    """Combines the statistics of many runs (Chan et al. 1979, STAN-CS-79-773).

    Products are of features less the mean of their own run: 32 bits would lose deviations that are
    far smaller than the mean.
    """

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._means: list[Floats] = []
        self._largest: list[Floats] = []
        self._products: dict[str, Floats] = {}

    def add(self, statistics: Mapping[str, npt.NDArray[Any]]) -> None:
        """Add the statistics of a run."""
        self._rows.append(int(statistics["rows"][0]))
        self._means.append(statistics["mean"][0])
        self._largest.append(statistics["largest"][0])
        for name, product in statistics.items():
            if name in self._products:
                self._products[name] += product
            elif name.startswith("products."):
                self._products[name] = product.copy()

    def finish(self) -> InputStatistics:
        """Return the statistics of all rows; the sums are consumed."""
        rows = sum(self._rows)
        mean = np.average(self._means, axis=0, weights=self._rows).astype(np.float32)
        weighted = (np.stack(self._means) - mean) * np.sqrt(self._rows, dtype=np.float32)[:, None]
        cuts = groups(len(mean))
        for name, total in self._products.items():
            first, second = (weighted[:, cuts[int(count)]] for count in name.split(".")[1:])
            total += first.T @ second
            total /= rows
        return InputStatistics(mean, np.max(self._largest, axis=0), [*self._products.values()])
