"""Shared by tests: metrics."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from math import sqrt


def f1_of(hits: int, gold: int, found: int) -> Fraction | None:
    """The harmonic mean of precision and recall; None if there is nothing to find or found."""
    if not gold + found:
        return None
    if not hits:
        return Fraction(0)
    precision, recall = Fraction(hits, found), Fraction(hits, gold)
    return 2 * precision * recall / (precision + recall)


def mean(values: Sequence[Fraction | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(sum(defined) / Fraction(len(defined))) if defined else None


def macro_f1_of(gold: Sequence[int], found: Sequence[int]) -> float | None:
    scores = []
    for label in {*gold, *found}:
        hits = sum(one == other == label for one, other in zip(gold, found, strict=True))
        scores.append(f1_of(hits, list(gold).count(label), list(found).count(label)))
    return mean(scores)


def matthews_of(gold: Sequence[int], found: Sequence[int]) -> float | None:
    """The correlation of the two as indicator vectors, each number less its mean."""
    labels = sorted({*gold, *found})
    one, other = (
        [[value == label for label in labels] for value in side] for side in (gold, found)
    )

    def centred(rows: list[list[bool]]) -> list[list[Fraction]]:
        means = [Fraction(sum(column), len(rows)) for column in zip(*rows, strict=True)]
        return [[value - mean for value, mean in zip(row, means, strict=True)] for row in rows]

    def product(a: list[list[Fraction]], b: list[list[Fraction]]) -> Fraction:
        flat = itertools.chain.from_iterable
        return sum((x * y for x, y in zip(flat(a), flat(b), strict=True)), Fraction(0))

    x, y = centred(one), centred(other)
    variances = product(x, x) * product(y, y)
    return float(product(x, y)) / sqrt(variances) if variances else None


def ranks_of(values: Sequence[float]) -> list[float]:
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def entities_of(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Runs of words in which nothing says that one ends or another begins."""
    found = set()
    begin = 0
    for place in range(1, len(tags) + 1):
        before = tags[place - 1]
        here = tags[place] if place < len(tags) else "O"
        ends = before[0] in "ESLU" or here[0] in "BSU" or before[2:] != here[2:]
        if ends or "O" in (before, here):
            if before != "O":
                found.add((before[2:], begin, place))
            begin = place
    return found
