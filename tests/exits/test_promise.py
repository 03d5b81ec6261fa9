"""Promises: p-values and intervals against formulas, thresholds against cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from albert_edge.errors import UsageError
from albert_edge.exits.promise import (
    Promise,
    choose_threshold,
    interval,
    lower_bound,
    p_value,
)
from albert_edge.exits.scores import Scores

Doubles = npt.NDArray[np.float64]

CASES = [(0, 300, 0.01), (6, 1200, 0.01), (30, 1200, 0.01), (1, 20, 0.5), (150, 20_000, 0.01)]


def failures(count: int, texts: int) -> Doubles:
    losses = np.zeros(texts)
    losses[:count] = 1.0
    return losses


@pytest.mark.parametrize(("count", "texts", "risk"), CASES)
def test_decisions_are_tested_by_the_exact_binomial(count: int, texts: int, risk: float) -> None:
    expected = stats.binom.cdf(count, texts, risk)
    assert p_value(failures(count, texts), risk, binary=True) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("count", "texts"), [(0, 300), (3, 300), (40, 300), (299, 300)])
def test_intervals_of_decisions_are_those_of_clopper_and_pearson(count: int, texts: int) -> None:
    low, high = interval(failures(count, texts), 0.95, binary=True)
    exact = stats.binomtest(texts - count, texts).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    one_sided = stats.binomtest(texts - count, texts, alternative="greater")
    bound = lower_bound(failures(count, texts), 0.95, binary=True)
    assert bound == pytest.approx(one_sided.proportion_ci(0.95, method="exact").low, abs=1e-9)


def capital_after_bets(losses: Doubles, risk: float) -> float:
    """Bet loss by loss, by the definition."""
    capital, seen, squares = 1.0, 0.0, 0.0
    variance = 0.25
    for count, loss in enumerate(losses, 1):
        stake = math.sqrt(2 * math.log(20) / (len(losses) * variance))
        capital *= 1 + min(stake, 0.9 / (1 - risk)) * (risk - loss)
        seen += loss
        squares += (loss - (0.5 + seen) / (count + 1)) ** 2
        variance = (0.25 + squares) / (count + 1)
    return capital


def test_fractions_are_tested_by_betting_on_them_one_after_another() -> None:
    random = np.random.default_rng(0)
    for share in (0.0, 0.1, 0.5):
        losses = random.random(400) * (random.random(400) < share) / 20
        expected = min(1.0, 1 / capital_after_bets(losses, 0.02))
        assert p_value(losses, 0.02, binary=False) == pytest.approx(expected, rel=1e-9)
    assert p_value(np.full(400, 0.05), 0.05, binary=False) == 1.0
    assert p_value(np.full(400, 0.9), 0.05, binary=False) == 1.0


@pytest.mark.parametrize("decisions", [2, 5, 27])
def test_a_wrong_claim_about_fractions_is_made_at_most_once_in_twenty_times(decisions: int) -> None:
    risk, random = 0.05, np.random.default_rng(0)

    def share_of_claims(loss: float) -> float:
        samples = random.binomial(decisions, loss, (1000, 400)) / decisions
        return float(np.mean([p_value(each, risk, binary=False) <= 0.05 for each in samples]))

    assert share_of_claims(risk) <= 0.05
    assert share_of_claims(risk / 2) > 0.6


def test_small_losses_are_told_from_rare_ones() -> None:
    # Both agree in 99.6 %: in every tenth text 1 of 25 tokens differs, or all do in few texts.
    small, rare = np.zeros(1000), np.zeros(1000)
    small[::10], rare[::250] = 0.04, 1.0
    bounds = [lower_bound(losses, 0.95, binary=False) for losses in (small, rare)]
    assert bounds[0] > 0.992 > 0.99 > bounds[1] > 0.98


@pytest.mark.parametrize("differing", [0.0, 1 / 27, 150.0, 300 - 1 / 27, 300.0])
def test_intervals_of_fractions_surround_the_mean(differing: float) -> None:
    low, high = interval(np.full(300, differing / 300), 0.95, binary=False)
    assert 0 <= low <= 1 - differing / 300 <= high <= 1
    assert high - low < 0.2


@pytest.mark.parametrize("agreement", [0.9, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("binary", [True, False])
def test_the_least_number_of_texts_is_where_perfect_agreement_starts_to_prove_it(
    agreement: float, binary: bool
) -> None:
    promise = Promise(agreement)
    needed = promise.texts_needed(binary=binary)
    assert promise.holds(np.zeros(needed), binary=binary)
    assert not promise.holds(np.zeros(needed - 1), binary=binary)


def test_at_99_percent_it_is_299_texts() -> None:
    assert Promise(0.99).texts_needed(binary=True) == 299 == math.ceil(math.log(0.05, 0.99))
    assert Promise(0.99).texts_needed(binary=False) == 337


@pytest.mark.parametrize("value", [0.0, 1.0, 1.2, -0.1, math.nan])
def test_what_no_sample_can_prove_is_not_promised(value: float) -> None:
    with pytest.raises(UsageError, match="min_agreement"):
        Promise(value)
    with pytest.raises(UsageError, match="confidence"):
        Promise(0.9, value)


def scores(certainties: list[float], wrong: list[int]) -> Scores:
    """One exit; the answers of the last application are all right."""
    losses = np.zeros((2, len(certainties)))
    losses[0, wrong] = 1.0
    return Scores(np.array([certainties]), losses)


def test_the_threshold_is_the_least_before_the_first_that_fails() -> None:
    # Ten of 1000 texts are uncertain and wrong; with nine of 1000 wrong nothing is proved at 0.99.
    certainties = [0.9] * 500 + [0.5] * 490 + [0.1] * 10
    held = scores(certainties, [*range(990, 1000)])
    promise = Promise(0.99)
    assert choose_threshold([0.8, 0.4, 0.05], held, promise, binary=True) == 0.4
    assert choose_threshold([0.8], held, promise, binary=True) == 0.8
    assert choose_threshold([0.05, 0.4], held, promise, binary=True) is None
    assert choose_threshold([], held, promise, binary=True) is None


def test_a_later_threshold_that_would_pass_again_is_not_reached() -> None:
    held = scores([0.9] * 990 + [0.5] * 10, [*range(990, 1000)])
    held.losses[1, :10] = 1.0  # without exits, other texts are wrong
    # None ends: 10 wrong. At 0.8 the first 990 end, right: none is wrong but the last ten pass.
    assert choose_threshold([0.95, 0.8], held, Promise(0.99), binary=True) is None
    assert choose_threshold([0.8], held, Promise(0.99), binary=True) == 0.8
