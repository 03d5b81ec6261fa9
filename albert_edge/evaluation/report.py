"""What an evaluation found."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a metric of one precision is from that of the first one, on the same examples.

    Attributes:
        metric: The metric.
        value: That of this precision minus that of the first; None if one of them is undefined.
        low: Lower end of the interval the difference is in, by a paired bootstrap over the
            examples; None if there is no difference or too few resamples have one.
        high: Its upper end.
        p_value: Of metrics that are a share of right examples, the exact McNemar test: how likely
            it is that two equally good models differ this much; None for other metrics.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class PrecisionResult:
    """What one precision was measured to be.

    Attributes:
        precision: The precision, such as "int8".
        variant: The variant of the bundle that answered.
        metrics: Every metric by name, from 0 or -1 to 1; None if the examples do not define it.
        undefined: Why, for each that is None.
        differences: From the first precision, one for each metric; none for the first itself.
    """

    precision: str
    variant: str
    metrics: dict[str, float | None]
    undefined: dict[str, str]
    differences: list[Difference]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An example that two precisions answer differently.

    Attributes:
        number: Which record, sentence or question of the data it is, counted from 1.
        text: What was asked: a text or pair, the words of a sentence, a question, a prompt.
        expected: What the data says is right.
        answers: What each precision answers, by its name. Of sentences, as in `expected`, only
            the words that are not labelled alike, with their labels.
    """

    number: int
    text: str
    expected: str
    answers: dict[str, str]


@dataclass(frozen=True, slots=True)
class EvaluateReport:
    """What was evaluated, on what, and how right it was.

    Attributes:
        bundle: The bundle.
        data: The file.
        task: What was answered, such as "text-classification".
        kind: What an example's right answer is: "label", "labels", "number", "words", "answers",
            "choice" or "similarity".
        device: The device it ran on.
        examples: How many records, sentences or questions were answered.
        truncated: How many of them were over the model's limit and cut to it.
        windowed: How many of them were over it and seen through several windows, nothing cut.
        precisions: The results. The first one is what the others are compared with.
        confidence: What share of intervals like those of the differences hold the true one.
        resamples: How many resamples the intervals are made of; they are the same in every run.
        disagreeing: How many examples are not answered alike by all precisions; None where answers
            are numbers.
        disagreements: The first of them; where answers are numbers, those farthest apart.
    """

    bundle: str | os.PathLike[str]
    data: str | os.PathLike[str]
    task: str
    kind: str
    device: str
    examples: int
    truncated: int
    windowed: int
    precisions: list[PrecisionResult]
    confidence: float
    resamples: int
    disagreeing: int | None
    disagreements: list[Disagreement]
