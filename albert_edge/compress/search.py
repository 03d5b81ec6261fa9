"""Search for the best precision of each matrix within a budget of quality.

An ALBERT has seven distinct matrices, so all 16,384 assignments of four precisions can be ranked.
Each matrix is first compressed by itself and judged on a few texts, which gives its cost. Errors
nearly add up, so assignments are then tried from the best predicted one down. The chosen model was
built and judged as a whole, on all texts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from albert_edge.architecture.weights import Matrix
from albert_edge.check.quality import Budget, Quality
from albert_edge.compress.compressor import Compressor, Trial
from albert_edge.compress.options import Goal, Mixed, Precisions
from albert_edge.graph.plan import INTEGERS, Precision

# After a failure, only assignments with a clearly smaller predicted error are tried.
_PROGRESS = 0.75


@dataclass(frozen=True, slots=True)
class MatrixCost:
    """The effect of compressing one matrix by itself.

    Attributes:
        matrix: Which one.
        precision: To what.
        bytes_saved: Of the fp32 file.
        seconds_saved: Of the median time to answer a text.
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
class Found:
    """The result of a search.

    Attributes:
        best: The best model within the budget, or None if there is none but fp32.
        costs: What each matrix costs.
        tried: How many assignments were judged as a whole.
    """

    best: Trial | None
    costs: list[MatrixCost]
    tried: int


def search(compressor: Compressor, budget: Budget, options: Mixed) -> Found:
    """Find the smallest or the fastest model within a budget.

    Args:
        compressor: Makes and judges models.
        budget: What the answers may cost.
        options: What to look for among those within the budget, and how to author it.
    """
    costs = _price(compressor, options)
    ranked = list(_ranked(costs, options.prefer))
    best, rank, tried = _best_uniform(compressor, budget, options, ranked)
    hopeless = float("inf")  # a predicted error known to be too large
    for precisions, error in ranked[:rank]:
        if error >= hopeless:
            continue
        tried += 1
        trial = compressor.try_out(options.plan(precisions))
        if not budget.misses(trial.quality):
            return Found(trial, costs, tried)
        hopeless = _PROGRESS * error
    return Found(best, costs, tried)


def _best_uniform(
    compressor: Compressor,
    budget: Budget,
    options: Mixed,
    ranked: list[tuple[Precisions, float]],
) -> tuple[Trial | None, int, int]:
    """Find the best model with one precision for all matrices, which others have to beat.

    Returns:
        The model, or None if none of them is within the budget; its place among the assignments;
        how many were tried.
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


def _price(compressor: Compressor, options: Mixed) -> list[MatrixCost]:
    """Compress every matrix by itself."""
    whole = compressor.try_out(options.plan(), briefly=True)
    costs = []
    for matrix, precision in itertools.product(Matrix, INTEGERS):
        trial = compressor.try_out(options.plan({matrix: precision}), briefly=True)
        saved = whole.bytes - trial.bytes
        faster = whole.seconds - trial.seconds
        costs.append(MatrixCost(matrix, precision, saved, faster, trial.quality))
    return costs


def _ranked(costs: list[MatrixCost], goal: Goal) -> Iterator[tuple[Precisions, float]]:
    """Yield every assignment that compresses something, the best first, and its error."""
    gain: Callable[[MatrixCost], float] = {
        "smallest": lambda cost: cost.bytes_saved,
        "fastest": lambda cost: cost.seconds_saved,
    }[goal]
    options = [[None, *(c for c in costs if c.matrix is matrix)] for matrix in Matrix]
    assignments = [
        [cost for cost in chosen if cost is not None] for chosen in itertools.product(*options)
    ]
    assignments.sort(key=lambda chosen: -sum(map(gain, chosen)))
    for chosen in filter(None, assignments):
        precisions = {cost.matrix: cost.precision for cost in chosen}
        yield precisions, sum(cost.error for cost in chosen)
