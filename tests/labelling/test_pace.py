"""The pace of a job: rate and time left since it began to answer."""

from __future__ import annotations

from unittest import mock

import pytest

from albert_edge.labelling.progress import Pace


@pytest.mark.parametrize(
    ("total", "expected"),
    [(1_000_000, "1,500  50 texts/s  1:01:40 left"), (None, "1,500  50 texts/s")],
)
def test_the_pace_counts_from_the_first_new_answer(total: int | None, expected: str) -> None:
    with mock.patch("time.monotonic") as clock:
        clock.return_value = 100.0
        pace = Pace(total)
        clock.return_value = 150.0  # 1,000 records were read again until then
        pace.restart(1000, 258_000)
        clock.return_value = 160.0
        assert pace.describe(1500, 260_000) == expected
