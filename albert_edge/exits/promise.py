"""What can be promised about agreement with the full model, from texts that are held out.

A promise is a claim about texts drawn like the sample: their mean loss, the share of decisions that
differ, is at most 1 - min_agreement. It is made only if its contrary is rejected by a test whose
chance of a false promise is at most 1 - confidence, whatever the model and the distribution
(Bates et al. 2021, https://arxiv.org/abs/2101.02703): the exact binomial one where a text agrees or
does not, and otherwise, where each token or label of a text has a part in its loss, a bet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from albert_edge.check.agreement import Floats
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.exits.scores import Scores

# How sure a promise and an interval are.
CONFIDENCE = 0.95

# Of the largest bet, this share is bet at most: the largest would end a test with one loss of 1.
_LARGEST_BET = 0.9


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised about a model.

    Attributes:
        min_agreement: Least share of decisions that are those of the full model.
        confidence: The chance is at least this that no false promise is made.
    """

    min_agreement: float = 0.99
    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        """Check that it can be kept.

        Raises:
            UsageError: A share is not above 0 and below 1.
        """
        for name in ("min_agreement", "confidence"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise UsageError(
                    Message(Argument(name), f" is {value}."),
                    tip="Give a share above 0 and below 1: texts held out cannot prove that a "
                    "model never differs.",
                )

    def texts_needed(self, *, binary: bool) -> int:
        """Return the least number of texts with which it can be kept: if all of them agree.

        Args:
            binary: See `p_value`.
        """
        few, enough = 0, math.ceil(1 / (1 - self.min_agreement))
        while not self.holds(np.zeros(enough), binary=binary):
            few, enough = enough, 2 * enough
        while enough - few > 1:
            middle = (few + enough) // 2
            proved = self.holds(np.zeros(middle), binary=binary)
            few, enough = (few, middle) if proved else (middle, enough)
        return enough

    def holds(self, losses: Floats, *, binary: bool) -> bool:
        """Return whether losses, (texts,), prove it."""
        return p_value(losses, 1 - self.min_agreement, binary=binary) <= 1 - self.confidence


def p_value(losses: Floats, risk: float, *, binary: bool) -> float:
    """Test whether the expected loss is above a risk.

    Args:
        losses: Of independent texts in random order, (texts,), from 0 to 1.
        risk: The expected loss to reject, above 0 and below 1.
        binary: Whether every loss is 0 or 1 by its nature. The test is then the exact binomial;
            otherwise it bets, which tells small losses from rare ones (Waudby-Smith and Ramdas
            2024, https://arxiv.org/abs/2010.09686).

    Returns:
        At most any level with at most that chance, whatever distribution of a larger expected loss
        the losses are from.
    """
    texts, total = len(losses), float(losses.sum())
    if binary:
        return _binomial_tail(round(total), texts, risk)
    if total >= risk * texts:
        return 1.0
    return math.exp(min(0.0, -_log_capital(losses, risk)))


def lower_bound(losses: Floats, confidence: float, *, binary: bool) -> float:
    """Return the largest agreement, 1 - loss, that a promise with this confidence can have."""
    return 1 - _largest_risk(losses, 1 - confidence, binary=binary)


def interval(losses: Floats, confidence: float, *, binary: bool) -> tuple[float, float]:
    """Return a two-sided confidence interval of the agreement, 1 - loss, of all such texts.

    It inverts `p_value`: for binary losses it is that of Clopper and Pearson (1934).
    """
    tail = (1 - confidence) / 2
    low = 1 - _largest_risk(losses, tail, binary=binary)
    return low, _largest_risk(1 - losses, tail, binary=binary)


def choose_threshold(
    thresholds: Sequence[float], scores: Scores, promise: Promise, *, binary: bool
) -> float | None:
    """Choose the least threshold of certainty with which the promise can be made.

    Thresholds are tested in a fixed order, from the most cautious on, up to the first that fails:
    so each is tested at the full level, without a correction for their number (Angelopoulos et al.
    2021, https://arxiv.org/abs/2110.01052, fixed sequence testing).

    Args:
        thresholds: Falling; they must not depend on the texts of the scores.
        scores: Of texts held out.
        promise: What is to hold.
        binary: See `p_value`.

    Returns:
        The threshold, or None if the promise cannot be made even with the most cautious.
    """
    chosen = None
    for threshold in thresholds:
        if not promise.holds(scores.losses_at(scores.ends(threshold)), binary=binary):
            break
        chosen = threshold
    return chosen


def _largest_risk(losses: Floats, level: float, *, binary: bool) -> float:
    """Return the largest risk that a test at this level does not reject."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        rejected = p_value(losses, middle, binary=binary) <= level
        low, high = (low, middle) if rejected else (middle, high)
    return high


def _log_capital(losses: Floats, risk: float) -> float:
    """Return the logarithm of what a capital of 1 becomes by betting that losses are below a risk.

    If the expected loss is above the risk, the expected capital is at most 1, so that it reaches
    1 / level with a chance of at most the level. What is bet on a loss depends on the variance of
    those before it.
    """
    counts = np.arange(1, len(losses) + 1)
    means = (0.5 + np.cumsum(losses)) / (counts + 1)
    variances = (0.25 + np.cumsum(np.square(losses - means))) / (counts + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    bets = np.sqrt(2 * math.log(1 / (1 - CONFIDENCE)) / (len(losses) * before))
    bets = np.minimum(bets, _LARGEST_BET / (1 - risk))
    return float(np.log1p(bets * (risk - losses)).sum())


def _binomial_tail(most: int, texts: int, chance: float) -> float:
    """Return the chance of at most so many successes."""
    if most >= texts:
        return 1.0
    counts = np.arange(1, most + 1)
    # Each probability follows from the one before; logarithms, as the first can underflow.
    ratios = np.log(texts - counts + 1) - np.log(counts) + math.log(chance / (1 - chance))
    logs = texts * math.log1p(-chance) + np.concatenate([[0.0], np.cumsum(ratios)])
    return min(1.0, float(np.exp(logs).sum()))
