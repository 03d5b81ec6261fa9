"""What has to be known to hold the answers to one kind of data against what is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from albert_edge.bundle.bundle import Bundle
from albert_edge.runtime.session import Session
from albert_edge.runtime.text import TextEncoder, load_text_encoder

Floats = npt.NDArray[np.float64]
# A metric, or in words why the examples do not define it.
Metric = float | str
# The metrics of resamples, (resamples,) each, from how often each has every example,
# (resamples, examples); NaN where a resample does not define one.
Measure = Callable[[Floats], dict[str, Floats]]


@dataclass(frozen=True, slots=True)
class Example:
    """A record, sentence or question of the data.

    Attributes:
        item: What is answered, as the pipeline takes it.
        gold: What is right, as the metrics take it.
        text: What people are shown of it.
    """

    item: Any
    gold: Any
    text: str


class Subject(Protocol):
    """One kind of data, and how answers to it are scored.

    What is right and what was answered are kept for all examples, so both are small; texts are
    read again where they are needed.
    """

    task: ClassVar[str]
    """The pipeline that answers."""
    kind: ClassVar[str]
    """What an example's right answer is; see `EvaluateReport.kind`."""
    windows: ClassVar[bool]
    """Whether texts over the limit are seen through windows instead of being cut."""
    share: ClassVar[str]
    """The metric that is the share of examples answered rightly; "" if there is none."""

    def __init__(self, bundle: Bundle) -> None:
        """Take from the bundle what the scores need."""

    def examples(self, path: Path) -> Iterator[Example]:
        """Read the data.

        Raises:
            UsageError: The file cannot be opened, or is of a format that cannot hold such data.
            RecordError: A record is not what it should be; the message says which.
        """

    def encoder(self, bundle: Bundle) -> TextEncoder:
        """The tokenizer as the pipeline has it."""
        return load_text_encoder(bundle)

    def is_long(self, encoder: TextEncoder, item: Any) -> bool:
        """Whether an item is over the model's limit."""

    def answers(self, session: Session, items: Iterable[Any]) -> Iterator[Any]:
        """Answer items, in order and in bounded memory, as the metrics take it."""

    def score(self, gold: Sequence[Any], found: Sequence[Any]) -> dict[str, Metric]:
        """Every metric."""

    def outcome(self, gold: Any, found: Any) -> tuple[Any, ...]:
        """All the metrics need to know of an example, hashable."""

    def is_right(self, outcome: tuple[Any, ...]) -> bool:
        """Whether an example was answered rightly, which `share` is the share of."""

    def measure(self, outcomes: Sequence[tuple[Any, ...]]) -> Measure:
        """What computes the same metrics for resamples of examples with these outcomes."""

    def show(self, example: Example, answers: Sequence[Any]) -> tuple[str, list[str]]:
        """What is right and what was answered, for people."""
