"""The search for the best assignment of precisions, on costs that are made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from albert_edge.architecture.weights import Matrix
from albert_edge.check.quality import Budget, Quality
from albert_edge.compress.compressor import Trial
from albert_edge.compress.options import Mixed
from albert_edge.compress.search import search
from albert_edge.graph.plan import INTEGERS, Plan, Precision

ANYTHING = Budget(min_agreement=0.0, min_cosine=0.0)


class Compressor:
    """One whose models take `seconds` and turn the answers by `errors`, matrix by matrix."""

    def __init__(
        self,
        seconds: Callable[[Matrix, Precision], float],
        errors: Callable[[Matrix, Precision], float] = lambda matrix, precision: 0.0,
    ) -> None:
        self.seconds = seconds
        self.errors = errors

    def try_out(self, plan: Plan, *, briefly: bool = False) -> Trial:
        seconds = 1.0 + sum(self.seconds(*pair) for pair in plan.precisions.items())
        cosine = 1.0 - sum(self.errors(*pair) for pair in plan.precisions.items())
        return Trial(plan, Quality(1, 1.0, cosine, cosine, 0.0), 100, seconds, {})


def find(compressor: Compressor, budget: Budget = ANYTHING) -> Any:
    stand_in: Any = compressor
    best = search(stand_in, budget, Mixed(prefer="fastest")).best
    return best and best.plan.precisions


def test_the_fastest_leaves_alone_what_gets_slower() -> None:
    def seconds(matrix: Matrix, precision: Precision) -> float:
        return 0.01 if matrix is Matrix.HEAD else -0.01 * (precision is Precision.INT8)

    found = find(Compressor(seconds))
    assert found == dict.fromkeys(set(Matrix) - {Matrix.HEAD}, Precision.INT8)


def test_where_all_get_slower_the_least_slow_is_the_fastest() -> None:
    def seconds(matrix: Matrix, precision: Precision) -> float:
        least = matrix is Matrix.FFN and precision is Precision.INT4
        return 0.001 if least else 0.002

    assert find(Compressor(seconds)) == {Matrix.FFN: Precision.INT4}


@pytest.mark.parametrize("allowed", INTEGERS)
def test_the_budget_decides(allowed: Precision) -> None:
    compressor = Compressor(
        lambda matrix, precision: -0.01,
        lambda matrix, precision: 0.0 if precision is allowed else 0.1,
    )
    assert find(compressor, Budget(0.0, 0.99)) == dict.fromkeys(Matrix, allowed)
    too_much = Compressor(lambda matrix, precision: -0.01, lambda matrix, precision: 0.1)
    assert find(too_much, Budget(0.0, 0.99)) is None
