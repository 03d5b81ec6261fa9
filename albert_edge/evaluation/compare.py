"""Precisions beside each other: their metrics, the differences, and where they disagree."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from albert_edge.evaluation.bootstrap import Interval, intervals, mcnemar
from albert_edge.evaluation.report import Difference, Disagreement, PrecisionResult
from albert_edge.evaluation.subject import Example, Metric, Subject


def compare(
    subject: Subject,
    gold: Sequence[Any],
    answers: Sequence[Sequence[Any]],
    names: Sequence[tuple[str, str]],
    progress: Callable[[int, int], None],
) -> list[PrecisionResult]:
    """Score the answers of precisions, and compare all with the first.

    Args:
        subject: Scores them.
        gold: What is right, for each example.
        answers: For each precision the answer to each example.
        names: For each precision its name and that of its variant.
        progress: Told how many resamples of how many are done.
    """
    scores = [subject.score(gold, found) for found in answers]
    outcomes = [
        [subject.outcome(*pair) for pair in zip(gold, found, strict=True)] for found in answers
    ]
    found = intervals(outcomes, subject.measure, progress) if len(answers) > 1 else []
    right = [list(map(subject.is_right, one)) for one in outcomes] if subject.share else []
    results = []
    for index, (precision, variant) in enumerate(names):
        differences = []
        if index:
            p_values = {subject.share: mcnemar(right[0], right[index])} if right else {}
            differences = list(_differences(scores[0], scores[index], found[index - 1], p_values))
        metrics = scores[index]
        results.append(
            PrecisionResult(
                precision=precision,
                variant=variant,
                metrics={name: _value(metric) for name, metric in metrics.items()},
                undefined={name: why for name, why in metrics.items() if isinstance(why, str)},
                differences=differences,
            )
        )
    return results


def _value(metric: Metric) -> float | None:
    return None if isinstance(metric, str) else metric


def _differences(
    first: dict[str, Metric],
    other: dict[str, Metric],
    found: dict[str, Interval],
    p_values: dict[str, float],
) -> Iterator[Difference]:
    for name, metric in other.items():
        base = first[name]
        value = None if isinstance(metric, str) or isinstance(base, str) else metric - base
        low, high = found.get(name, (None, None)) if value is not None else (None, None)
        yield Difference(name, value, low, high, p_values.get(name))


def find_disagreements(
    subject: Subject, answers: Sequence[Sequence[Any]], most: int
) -> tuple[int | None, list[int]]:
    """How many examples are not answered alike, and the places of some of them.

    Args:
        subject: Says whether answers are numbers.
        answers: For each precision the answer to each example.
        most: How many places to give: the first ones, or of numbers those farthest apart.
    """
    if subject.kind in ("number", "similarity"):
        apart = np.ptp(np.array(answers, np.float64), axis=0)
        farthest = np.argsort(-apart, kind="stable")[:most]
        return None, [int(place) for place in farthest if apart[place] > 0]
    places = [place for place, each in enumerate(zip(*answers, strict=True)) if len(set(each)) > 1]
    return len(places), places[:most]


def show_disagreements(
    subject: Subject,
    examples: Iterator[Example],
    places: Sequence[int],
    answers: Mapping[str, Sequence[Any]],
) -> list[Disagreement]:
    """The examples at some places as people read them.

    Args:
        subject: Knows what the answers mean.
        examples: The data, read again.
        places: Which of them.
        answers: For each precision, by its name, the answer to each example.
    """
    wanted = dict.fromkeys(places)
    shown = {}
    for place, example in enumerate(itertools.islice(examples, max(places, default=-1) + 1)):
        if place in wanted:
            given = [found[place] for found in answers.values()]
            right, ours = subject.show(example, given)
            shown[place] = Disagreement(
                number=place + 1,
                text=example.text,
                expected=right,
                answers=dict(zip(answers, ours, strict=True)),
            )
    return [shown[place] for place in places if place in shown]
