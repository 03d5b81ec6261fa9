"""How close the answers of a specialized model must be to those of the full one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_edge.architecture.config import AlbertConfig
from albert_edge.check.agreement import Floats, is_binary, text_losses
from albert_edge.check.quality import Outputs, thin
from albert_edge.check.sample import Arrays, Sample, require_labels
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.exits.promise import Promise
from albert_edge.progress import Progress

DEFAULT_AGREEMENT = 0.99

# By what differences are multiplied to leave room.
_ROOM = 3


@dataclass(frozen=True, slots=True)
class Answered:
    """Texts, and the outputs of a model for each, reduced by `thin`."""

    sample: Sample
    outputs: Sequence[Outputs]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is promised, and what counts as a loss.

    Attributes:
        promise: What is promised of the mean loss.
        max_drop: The loss of accuracy that is promised, in percentage points; None if agreement is.
    """

    promise: Promise
    max_drop: float | None = None

    @property
    def by_labels(self) -> bool:
        """Whether only those texts count that the full model gets right."""
        return self.max_drop is not None

    @property
    def min_agreement(self) -> float | None:
        """The agreement with the full model that is promised, or None."""
        return None if self.by_labels else self.promise.min_agreement

    def losses(
        self, config: AlbertConfig, head: str, full: Answered, answers: Sequence[Outputs]
    ) -> Floats:
        """Return the loss of each text, 0 to 1.

        Args:
            config: The configuration of the full model.
            head: A key of `HEADS`.
            full: Texts with the answers of the full model.
            answers: The answers of another model to the same texts, reduced by `thin`.
        """
        return text_losses(config, head, full.outputs, answers) * self.counted(full)

    def holds(self, losses: Floats, config: AlbertConfig, head: str) -> bool:
        """Return whether the losses of texts held out prove the promise."""
        return self.promise.holds(losses, binary=is_binary(config, head))

    def counted(self, full: Answered) -> Floats:
        """Return 1 for each text that counts, and 0 for the others."""
        if not self.by_labels:
            return np.ones(len(full.outputs))
        right = [
            outputs["logits"].argmax() == label
            for outputs, label in zip(full.outputs, full.sample.labels or (), strict=True)
        ]
        return np.array(right, float)


def goal(min_agreement: float | None, max_drop: float | None, data: Any) -> Goal:
    """Check the limits that a caller gives.

    Raises:
        UsageError: One is out of range, both are given, or max_drop without labels.
    """
    if max_drop is None:
        agreement = DEFAULT_AGREEMENT if min_agreement is None else min_agreement
        if not 0.5 <= agreement < 1:
            raise UsageError(
                Message(Argument("min_agreement"), f" is {agreement}."),
                tip="Give a share, from 0.5 to below 1, such as 0.99.",
            )
        return Goal(Promise(agreement))
    if min_agreement is not None:
        raise UsageError(
            Message(
                Argument("min_agreement"), " and ", Argument("max_drop"), " exclude each other."
            ),
            tip="Limit the agreement with the full model, or the loss of accuracy.",
        )
    require_labels(data)
    if not 0 < max_drop <= 50:
        raise UsageError(
            Message(Argument("max_drop"), f" is {max_drop}."),
            tip="It is in percentage points, above 0 and at most 50.",
        )
    return Goal(Promise(1 - max_drop / 100), max_drop)


def exaggerated(answers: Sequence[Outputs], full: Answered) -> list[Outputs]:
    """Return answers that differ from those of the full model several times as much.

    A model that was chosen for some texts answers them better than others, and what follows, such
    as int8 and exits, changes answers too. If such answers are good enough, there is room for both.
    """
    return [
        {
            name: full_values[name] + _ROOM * (values - full_values[name])
            for name, values in each.items()
        }
        for each, full_values in zip(answers, full.outputs, strict=True)
    ]


def as_they_are(outputs: Outputs) -> Outputs:
    """Return outputs that need no change to be compared."""
    return outputs


def answer(
    run: Callable[[Arrays], Outputs],
    sample: Sample,
    what: str,
    progress: Progress,
    restore: Callable[[Outputs], Outputs] = as_they_are,
) -> Answered:
    """Run a model on texts, one by one.

    Args:
        run: The model.
        sample: The texts.
        what: What progress is called.
        progress: Called with (what, texts done, texts in all).
        restore: Makes its outputs comparable with those of the full model.
    """
    outputs = []
    for done, arrays in enumerate(sample.inputs, 1):
        outputs.append(thin(restore(run(arrays))))
        progress(what, done, len(sample.inputs))
    return Answered(sample, outputs)
