"""The result of an evaluation."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of a metric of one precision from that of the first, on the same examples.

    Attributes:
        metric: The metric.
        value: That of this precision minus that of the first; None if one of them is undefined.
        low: Lower end of the confidence interval of the difference, by a paired bootstrap over the
            examples; None if there is no difference or too few resamples define one.
        high: Its upper end.
        p_value: For metrics that are a share of correct examples, McNemar's exact test: how likely
            two equally good models are to differ at least this much; None for other metrics.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class PrecisionResult:
    """The metrics of one precision.

    Attributes:
        precision: The precision, such as "int8", or "int8-exits" for one with early exits.
        variant: The variant of the bundle that answered.
        metrics: Every metric by name, from 0 or -1 to 1; None if the examples do not define it.
        undefined: The reason for each that is None.
        differences: From the first precision, one for each metric; empty for the first itself.
        mean_layers: How many layers were applied on average in a run; None without early exits,
            where all are.
    """

    precision: str
    variant: str
    metrics: dict[str, float | None]
    undefined: dict[str, str]
    differences: list[Difference]
    mean_layers: float | None = None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An example that two precisions answer differently.

    Attributes:
        number: The number of its record, sentence or question in the data, counted from 1.
        text: The input: a text or pair, the words of a sentence, a question, a prompt.
        expected: The correct answer according to the data.
        answers: The answer of each precision, by its name. For sentences, as in `expected`, only
            the words that are labelled differently, with their labels.
    """

    number: int
    text: str
    expected: str
    answers: dict[str, str]


@dataclass(frozen=True, slots=True)
class EvaluateReport:
    """What was evaluated, on which data, and the metrics.

    Attributes:
        bundle: The bundle.
        data: The file.
        task: The pipeline that answered, such as "text-classification".
        kind: What an expected answer is: "label", "labels", "number", "words", "answers",
            "choice" or "similarity".
        device: The device it ran on; with "auto", those of all precisions, such as "cuda, cpu".
        examples: How many records, sentences or questions were answered.
        truncated: How many of them were over the model's limit and truncated to it.
        windowed: How many of them were over it and answered in several windows, in full.
        precisions: The results. The others are compared with the first one.
        confidence: The confidence level of the intervals of the differences.
        resamples: How many resamples the intervals are made of; they are the same in every run.
        disagreeing: How many examples precisions answer differently; None where answers are
            numbers.
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
