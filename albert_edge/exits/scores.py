"""Certainties and losses of texts at every exit: all that the choice of exits depends on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from albert_edge.check.agreement import Agreement, Floats
from albert_edge.check.quality import thin
from albert_edge.exits.certainty import certainty

Places = npt.NDArray[np.int64]

# Work to ask an exit, as a share of an application of the layer. It multiplies far less than this,
# but its few operators each cost time of their own: 1 % of that of a layer of base size, 6 % of
# that of one with 256 features and 192 neurons.
_EXIT_COST = 0.05
# The most thresholds that are tried.
_GRID = 400


@dataclass(frozen=True, slots=True)
class Scores:
    """How texts fare at every exit.

    Attributes:
        certainties: (exits, texts).
        losses: If a text ends at an exit, or after the last application, (exits + 1, texts).
    """

    certainties: Floats
    losses: Floats

    @classmethod
    def of(cls, texts: Iterable[tuple[Floats, Floats, Floats]], agreement: Agreement) -> Scores:
        """Score texts.

        Args:
            texts: For each text the logits of the exits, (exits, rows, classes), those after the
                last application, (rows, classes), and those of the full model. A text has one row,
                or one for each token; of many tokens, the latter two have those that
                `quality.thin` keeps, the first and the last among them.
            agreement: Compares answers.
        """
        columns = []
        for exits, last, reference in texts:
            answers = agreement.answered(exits)
            certainties = certainty(answers, agreement.decision).min(axis=-1, initial=np.inf)
            compared = np.concatenate([like_answers(exits, len(last)), last[None]])
            columns.append((certainties, agreement.text_losses(compared, reference)))
        certainties, losses = (np.stack(parts, axis=-1) for parts in zip(*columns, strict=True))
        return cls(certainties, losses)

    def counting(self, counted: Floats) -> Scores:
        """Return the scores with the loss of each text multiplied by a number, (texts,)."""
        return Scores(self.certainties, self.losses * counted)

    def first(self, exits: int) -> Scores:
        """Return the scores of a model that has the first exits only."""
        return Scores(
            self.certainties[:exits], np.concatenate([self.losses[:exits], self.losses[-1:]])
        )

    def ends(self, threshold: float) -> Places:
        """Return at which exit each text ends, from 0 on; the number of exits if at none."""
        certain = self.certainties >= threshold
        return np.where(certain.any(axis=0), certain.argmax(axis=0), len(certain))

    def losses_at(self, ends: Places) -> Floats:
        """Return the loss of each text if it ends there, (texts,)."""
        return np.asarray(self.losses[ends, np.arange(len(ends))])

    def work(self, ends: Places, applications: int) -> float:
        """Return the mean work per text, in applications of the layer, of which all are given."""
        exits = len(self.certainties)
        return mean_work(np.where(ends < exits, ends + 1, applications), exits)

    def thresholds(self) -> list[float]:
        """Return thresholds that end ever more of these texts, falling, exact in float32."""
        finite = self.certainties[np.isfinite(self.certainties)].astype(np.float32)
        if not finite.size:
            return []
        # Between the texts rather than at them, where rounding would decide.
        quantiles = np.quantile(finite, (np.arange(_GRID) + 0.5) / _GRID).astype(np.float32)
        return [float(value) for value in np.unique(quantiles)[::-1]]


def mean_work(used: Places, exits: int) -> float:
    """Return the mean work per text, in applications of the layer, of which so many were used."""
    return float((used + _EXIT_COST * np.minimum(used, exits)).mean())


def like_answers(values: Floats, rows: int) -> Floats:
    """Keep of (exits, tokens, features) the tokens that answers of so many rows have."""
    return values if values.shape[1] == rows else thin({"values": values})["values"]
