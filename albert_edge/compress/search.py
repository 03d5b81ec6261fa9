"""Search for the best precision of each matrix within a budget of quality.

An ALBERT has seven distinct matrices, so all 16,384 assignments of four precisions can be ranked.
First the cost of each matrix is measured: it is compressed by itself and judged on a few texts.
Errors nearly add up, so whole models are then tried from the best predicted assignment down, and
judged on all texts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from albert_edge.architecture.weights import Matrix
from albert_edge.check.quality import Budget, Quality
from albert_edge.compress.compressor import Compressor, Trial
from albert_edge.compress.options import Goal, Mixed, Precisions
from albert_edge.graph.plan import INTEGERS, Precision

# After a failure, only assignments with a clearly smaller predicted error are tried.
_PROGRESS = 0.75


@dataclass(frozen=True, slots=True)
class MatrixCost:
    """The effect of compressing a single matrix.

    Attributes:
        matrix: The matrix.
        precision: Its precision.
        bytes_saved: By how much the fp32 file shrinks.
        seconds_saved: By how much the median time to answer a text shrinks.
        quality: How good the answers still are.
    """

    matrix: Matrix
    precision: Precision
    bytes_saved: int
    seconds_saved: float
    quality: Quality

    @property
    def error(self) -> float:
        """1 - cosine: errors of several matrices add up."""
        cosine = self.quality.cosine
        return max(0.0, 1 - cosine) if math.isfinite(cosine) else math.inf


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search.

    Attributes:
        best: The best model within the budget, or None if only fp32 is.
        costs: The effects of compressing each matrix.
        tried: How many assignments were judged as a whole.
    """

    best: Trial | None
    costs: list[MatrixCost]
    tried: int


def search(compressor: Compressor, budget: Budget, options: Mixed) -> SearchResult:
    """Find the smallest or the fastest model within a budget.

    Args:
        compressor: Builds and judges models.
        budget: The least quality of the answers.
        options: What is best within the budget, and how to author it.
    """
    costs = _measure_costs(compressor, options)
    ranked = list(_ranked(costs, options.prefer))
    best, rank, tried = _best_uniform(compressor, budget, options, ranked)
    too_large = math.inf  # a predicted error that failed, or nearly did
    for precisions, error in ranked[:rank]:
        if error >= too_large:
            continue
        tried += 1
        trial = compressor.try_out(options.plan(precisions))
        if not budget.misses(trial.quality):
            return SearchResult(trial, costs, tried)
        too_large = _PROGRESS * error
    return SearchResult(best, costs, tried)


def _best_uniform(
    compressor: Compressor,
    budget: Budget,
    options: Mixed,
    ranked: list[tuple[Precisions, float]],
) -> tuple[Trial | None, int, int]:
    """Find the best model with the same precision for all matrices, for others to beat.

    Returns:
        The model, or None if none is within the budget; its rank among the assignments; how many
        were tried.
    """
    uniform = [dict.fromkeys(Matrix, precision) for precision in INTEGERS]
    tried = 0
    for rank, (precisions, _) in enumerate(ranked):
        if precisions in uniform:
            tried += 1
            trial = compressor.try_out(options.plan(precisions))
            if not budget.misses(trial.quality):
                return trial, rank, tried
    return None, len(ranked), tried


def _measure_costs(compressor: Compressor, options: Mixed) -> list[MatrixCost]:
    """Compress every matrix by itself, to every precision."""
    fp32 = compressor.try_out(options.plan(), briefly=True)
    costs = []
    for matrix, precision in itertools.product(Matrix, INTEGERS):
        trial = compressor.try_out(options.plan({matrix: precision}), briefly=True)
        saved = fp32.bytes - trial.bytes, fp32.seconds - trial.seconds
        costs.append(MatrixCost(matrix, precision, *saved, trial.quality))
    return costs


def _ranked(costs: list[MatrixCost], goal: Goal) -> Iterator[tuple[Precisions, float]]:
    """Yield every assignment that compresses something, the best first, and its error."""
    gain = attrgetter({"smallest": "bytes_saved", "fastest": "seconds_saved"}[goal])
    options = [[None, *(c for c in costs if c.matrix is matrix)] for matrix in Matrix]
    assignments = [list(filter(None, chosen)) for chosen in itertools.product(*options)]
    assignments.sort(key=lambda chosen: -sum(map(gain, chosen)))
    for chosen in filter(None, assignments):
        precisions = {cost.matrix: cost.precision for cost in chosen}
        yield precisions, sum(cost.error for cost in chosen)
