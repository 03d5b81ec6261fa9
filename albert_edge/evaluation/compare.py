"""Comparing precisions: their metrics, the differences, and the examples they disagree on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from albert_edge.evaluation.report import Difference, Disagreement, PrecisionResult
from albert_edge.evaluation.scorer import Example, Metric, Scorer
from albert_edge.evaluation.significance import Interval, intervals, mcnemar
from albert_edge.progress import Progress


@dataclass(frozen=True, slots=True)
class PrecisionAnswers:
    """The answers of one precision.

    Attributes:
        precision: The precision.
        variant: The variant of the bundle that answered.
        device: The device it ran on.
        answers: The answer to each example, in the form the metrics take.
        mean_layers: See `PrecisionResult.mean_layers`.
    """

    precision: str
    variant: str
    device: str
    answers: Sequence[Any]
    mean_layers: float | None = None


def compare(
    scorer: Scorer,
    expected: Sequence[Any],
    answered: Sequence[PrecisionAnswers],
    progress: Progress,
) -> list[PrecisionResult]:
    """Score the answers of precisions, and compare all with the first.

    Args:
        scorer: Scores them.
        expected: The correct answer to each example.
        answered: The answers of each precision.
        progress: Called with how many resamples are done, and of how many.
    """
    outcomes = [[*map(scorer.outcome, expected, given.answers)] for given in answered]
    scores = [scorer.score(expected, given.answers) for given in answered]
    differences: list[list[Difference]] = [[]]
    if len(answered) > 1:
        ranges = intervals(outcomes, scorer.measure, partial(progress, "resampling"))
        for metrics, own, interval in zip(scores[1:], outcomes[1:], ranges, strict=True):
            p_value = _p_value(scorer, outcomes[0], own)
            differences.append([*_differences(scores[0], metrics, interval, p_value)])
    return [
        PrecisionResult(
            precision=given.precision,
            variant=given.variant,
            metrics={name: _value(metric) for name, metric in metrics.items()},
            undefined={name: why for name, why in metrics.items() if isinstance(why, str)},
            differences=own,
            mean_layers=given.mean_layers,
        )
        for given, metrics, own in zip(answered, scores, differences, strict=True)
    ]


def _value(metric: Metric) -> float | None:
    return None if isinstance(metric, str) else metric


def _p_value(scorer: Scorer, *outcomes: Sequence[tuple[Any, ...]]) -> dict[str, float]:
    if not scorer.share:
        return {}
    return {scorer.share: mcnemar(*([*map(scorer.is_right, own)] for own in outcomes))}


def _differences(
    first: dict[str, Metric],
    other: dict[str, Metric],
    ranges: dict[str, Interval],
    p_value: dict[str, float],
) -> Iterator[Difference]:
    for name, metric in other.items():
        base = first[name]
        value = None if isinstance(metric, str) or isinstance(base, str) else metric - base
        low, high = ranges.get(name, (None, None)) if value is not None else (None, None)
        yield Difference(name, value, low, high, p_value.get(name))


def find_disagreements(
    scorer: Scorer,
    answered: Sequence[PrecisionAnswers],
    examples: Iterable[Example],
    most: int,
) -> tuple[int | None, list[Disagreement]]:
    """Find the examples that precisions answer differently.

    Args:
        scorer: Puts answers into words.
        answered: The answers of each precision.
        examples: The data, read again as far as needed.
        most: How many to describe: the first ones, or of numbers those farthest apart.

    Returns:
        How many there are, None if answers are numbers, and descriptions of some.
    """
    answers = [given.answers for given in answered]
    count = None
    if scorer.kind in ("number", "similarity"):
        apart = np.ptp(np.array(answers, np.float64), axis=0)
        farthest = np.argsort(-apart, kind="stable").tolist()
        places = [place for place in farthest[:most] if apart[place] > 0]
    else:
        places = [at for at, row in enumerate(zip(*answers, strict=True)) if len(set(row)) > 1]
        count, places = len(places), places[:most]
    shown = {}
    for place, example in enumerate(itertools.islice(examples, max(places, default=-1) + 1)):
        if place in places:
            expected, words = scorer.show(example, [column[place] for column in answers])
            by_precision = dict(zip((given.precision for given in answered), words, strict=True))
            shown[place] = Disagreement(place + 1, example.text, expected, by_precision)
    return count, [shown[place] for place in places if place in shown]
