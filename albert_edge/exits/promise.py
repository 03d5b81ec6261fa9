"""What can be promised about agreement with the full model, from texts that are held out.

A promise is a claim about texts drawn like the sample: their mean loss, the share of decisions that
differ, is at most 1 - min_agreement. It is made only if its contrary is rejected by a test whose
chance of a false promise is at most 1 - confidence, whatever the model and the distribution
(Bates et al. 2021, https://arxiv.org/abs/2101.02703).
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

# Halvings of an interval until its ends are the same float.
_HALVINGS = 60


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

    @property
    def texts_needed(self) -> int:
        """The least number of texts with which it can be kept: if all of them agree."""
        return math.ceil(math.log(1 - self.confidence) / math.log(self.min_agreement))

    def holds(self, losses: Floats, *, binary: bool) -> bool:
        """Return whether losses, (texts,), prove it."""
        return p_value(losses, 1 - self.min_agreement, binary=binary) <= 1 - self.confidence


def p_value(losses: Floats, risk: float, *, binary: bool) -> float:
    """Test whether the expected loss is above a risk.

    Args:
        losses: Of independent texts, (texts,), from 0 to 1.
        risk: The expected loss to reject, above 0 and below 1.
        binary: Whether every loss is 0 or 1 by its nature. The test is then the exact binomial;
            otherwise the bound of Hoeffding and Bentkus (Bates et al. 2021, theorem 4).

    Returns:
        The largest chance, of all distributions with a larger expected loss, that the mean of so
        many losses is as small as this.
    """
    texts, total = len(losses), float(losses.sum())
    if binary:
        return _binomial_tail(round(total), texts, risk)
    if total >= risk * texts:
        return 1.0
    # Sums of fractions such as 1/3 end a rounding error above a whole number.
    bentkus = math.e * _binomial_tail(math.ceil(total - 1e-9), texts, risk)
    return min(1.0, bentkus, _hoeffding(total / texts, texts, risk))


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
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rejected = p_value(losses, middle, binary=binary) <= level
        low, high = (low, middle) if rejected else (middle, high)
    return high


def _hoeffding(mean: float, texts: int, risk: float) -> float:
    divergence = (1 - mean) * math.log((1 - mean) / (1 - risk))
    if mean > 0:
        divergence += mean * math.log(mean / risk)
    return math.exp(-texts * divergence)


def _binomial_tail(most: int, texts: int, chance: float) -> float:
    """Return the chance of at most so many successes."""
    if most >= texts:
        return 1.0
    counts = np.arange(1, most + 1)
    # Each probability follows from the one before; logarithms, as the first can underflow.
    ratios = np.log(texts - counts + 1) - np.log(counts) + math.log(chance / (1 - chance))
    logs = texts * math.log1p(-chance) + np.concatenate([[0.0], np.cumsum(ratios)])
    return min(1.0, float(np.exp(logs).sum()))
