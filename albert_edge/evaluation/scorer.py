"""What every scorer has: reading one kind of labelled data and scoring answers to it."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from albert_edge.bundle.bundle import Bundle
from albert_edge.runtime.session import Session
from albert_edge.runtime.text import TextEncoder, load_text_encoder

Floats = npt.NDArray[np.float64]
# A metric, or the reason why the examples do not define it.
Metric = float | str
# Computes the metrics of weighted examples: from weights, (resamples, examples), the values of
# each metric, (resamples,); NaN where a resample does not define it.
Measure = Callable[[Floats], dict[str, Floats]]


@dataclass(frozen=True, slots=True)
class Example:
    """A record, sentence or question of the data.

    Attributes:
        item: The input of the pipeline.
        expected: The correct answer, in the form the metrics take.
        text: The input as a report shows it.
    """

    item: Any
    expected: Any
    text: str


class Scorer(ABC):
    """Reads one kind of data and scores the answers to it.

    Expected and given answers of all examples are kept in memory, so both are small; texts are
    read again where they are needed.
    """

    task: ClassVar[str]
    """The pipeline that answers."""
    kind: ClassVar[str]
    """What an expected answer is; see `EvaluateReport.kind`."""
    windows: ClassVar[bool] = False
    """Whether texts over the limit are answered in several windows instead of being truncated."""
    share: ClassVar[str] = ""
    """The metric that is the share of correctly answered examples; "" if there is none."""

    def __init__(self, bundle: Bundle) -> None:
        self.labels = tuple(map(str, bundle.manifest.labels))

    @abstractmethod
    def examples(self, path: Path) -> Iterator[Example]:
        """Read the data.

        Raises:
            UsageError: The file cannot be opened, or its format cannot hold such data.
            RecordError: A record is invalid; the message says which.
        """

    def encoder(self, bundle: Bundle) -> TextEncoder:
        """Load the tokenizer as the pipeline uses it."""
        return load_text_encoder(bundle)

    @abstractmethod
    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        """Whether an item is over the model's limit."""

    @abstractmethod
    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[Any]:
        """Answer items in order and in bounded memory, in the form the metrics take."""

    def outcome(self, expected: Any, answer: Any) -> tuple[Any, ...]:
        """Reduce an example to what the metrics need, hashable."""
        return expected, answer

    def is_right(self, outcome: tuple[Any, ...]) -> bool:
        """Whether an example was answered correctly, as `share` counts it."""
        return bool(outcome[0] == outcome[1])

    @abstractmethod
    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        """Prepare the metrics of examples with these outcomes."""

    def undefined(self, expected: Sequence[Any], answers: Sequence[Any]) -> dict[str, str]:
        """Give the reason for each metric that these examples may leave undefined."""
        return {}

    def score(self, expected: Sequence[Any], answers: Sequence[Any]) -> dict[str, Metric]:
        """Compute every metric; one that is undefined is given as the reason why."""
        outcomes = Counter(itertools.starmap(self.outcome, zip(expected, answers, strict=True)))
        values = self.measure(list(outcomes))(np.array([[*outcomes.values()]], np.float64))
        reasons = self.undefined(expected, answers)
        return {
            name: reasons.get(name, "the examples do not define it")
            if np.isnan(value[0])
            else float(value[0])
            for name, value in values.items()
        }

    @abstractmethod
    def show(self, example: Example, answers: Sequence[Any]) -> tuple[str, list[str]]:
        """Put the expected answer and the given ones into words."""
