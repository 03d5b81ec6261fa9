"""Times of runs summed up, ratios of rounds, and how ratios are written."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert_edge.benchmark.statistics import FAR_OUT, compare, format_ratio, summarize


def test_times_by_hand() -> None:
    found = summarize([[3.0, 1.0], [4.0, 2.0]])
    assert (found.p50, found.best, found.mean) == (2.5, 1.0, 2.5)
    assert found.p95 == pytest.approx(3.85)  # 0.95 * 3 = 2.85: from the third to the fourth
    assert (found.runs, found.outliers) == (4, 0)


@pytest.mark.parametrize(("slowest", "left_out"), [(10.0, 0), (10.001, 1), (1e6, 1)])
def test_outliers_by_hand(slowest: float, left_out: int) -> None:
    # The quartiles of 1, 2, 3, 4, x are 2 and 4, so the limit is 4 + 3 * (4 - 2).
    found = summarize([[1.0, 2.0, 3.0], [4.0, slowest]])
    assert (found.runs, found.outliers) == (5, left_out)
    assert found.p50 == (2.5 if left_out else 3.0)
    assert found.mean == (2.5 if left_out else 4.0)


def test_a_fast_run_is_no_outlier() -> None:
    found = summarize([[100.0, 101.0, 102.0, 103.0, 1e-6]])
    assert (found.best, found.outliers) == (1e-6, 0)


def test_one_run_is_all_there_is_to_say() -> None:
    found = summarize([[0.25]])
    assert (found.p50, found.p95, found.best, found.mean) == (0.25,) * 4
    assert (found.runs, found.outliers) == (1, 0)


seconds = st.floats(1e-6, 1e4)
turns = st.lists(st.lists(seconds, min_size=1, max_size=12), min_size=1, max_size=6)


def percentile(values: Sequence[float], percent: int) -> float:
    """By Python's own quantiles."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


@given(turns)
def test_times_are_those_of_the_runs_that_are_kept(taken: list[list[float]]) -> None:
    found = summarize(taken)
    runs = sorted(second for turn in taken for second in turn)
    low, high = percentile(runs, 25), percentile(runs, 75)
    limit = high + FAR_OUT * (high - low)
    # What lies at the limit itself may fall on either side by rounding.
    kept = runs[: found.runs - found.outliers]
    assert found.runs == len(runs)
    assert kept[-1] <= limit * (1 + 1e-9)
    assert all(second >= limit * (1 - 1e-9) for second in runs[len(kept) :])
    assert found.outliers <= len(runs) / 4
    assert found.p50 == pytest.approx(statistics.median(kept), rel=1e-12)
    assert found.p95 == pytest.approx(percentile(kept, 95), rel=1e-9)
    assert found.best == runs[0]
    assert found.mean == pytest.approx(statistics.fmean(kept), rel=1e-12)


def test_ratio_by_hand() -> None:
    # Rounds: 2 / 1, 3 / 1 and 8 / 2; their quartiles lie halfway between them.
    found = compare([[1.0, 1.0, 50.0], [1.0], [2.0]], [[2.0], [3.0, 1.0, 9.0], [8.0]])
    assert (found.median, found.low, found.high) == (3.0, 2.5, 3.5)


@given(turns, st.floats(0.1, 10))
def test_ratio_to_a_multiple_of_itself(own: list[list[float]], factor: float) -> None:
    found = compare(own, [[factor * second for second in turn] for turn in own])
    assert [found.low, found.median, found.high] == pytest.approx([factor] * 3)


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ((3.3219, 3.2, 3.4, 3), "3.32 x"),
        ((490.0, 489.0, 491.0, 5), "490.00 x"),
        ((490.4, 80.0, 700.0, 5), "~490 x"),
        ((494.9, 490.0, 496.0, 2), "490 x (n=2)"),
        ((0.4567, 0.1, 0.9, 1), "~0.46 x (n=1)"),
        ((9.96, 9.9, 10.0, 2), "10 x (n=2)"),
        ((2.0, 1.75, 2.25, 3), "2.00 x"),  # the quartiles may be a quarter of the ratio apart
        ((2.0, 1.75, 2.2501, 3), "~2.0 x"),
        ((1.0, 1.0, 1.0, 1), "1.00 x"),  # the baseline itself
        ((1.75, None, None, 8), "1.75 x"),
        ((1.75, None, None, None), "1.75 x"),
        ((None, None, None, 1), ""),
    ],
)
def test_ratios_that_cannot_be_relied_on_are_marked(
    figures: tuple[float | None, float | None, float | None, int | None], text: str
) -> None:
    assert format_ratio(*figures) == text
