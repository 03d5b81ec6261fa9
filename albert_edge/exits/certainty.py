"""How certain the answer of an exit is: in numpy, what the graph of a variant with exits computes.

It grows with certainty, and one threshold serves all exits. A text of several rows, its tokens, is
as certain as the least certain of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.architecture.heads import Decision

Floats = npt.NDArray[np.floating[Any]]


def certainty(logits: Floats, decision: Decision | None) -> Floats:
    """Compute the certainty of the answer of every exit.

    Args:
        logits: (exits, rows, classes); for multiple choice (exits, items, choices).
        decision: How logits turn into decisions.

    Returns:
        (exits, rows). For "largest", the log of the largest softmax probability (Schuster et al.
        2021, https://arxiv.org/abs/2104.08803); for "positive", the smallest magnitude of any
        label. Without a decision, for the numbers of a regression: minus the sum of their
        distances from those of the exit before, and minus infinity at the first exit (Zhou et al.
        2020, https://arxiv.org/abs/2006.04152).
    """
    match decision:
        case "largest":
            margins = logits - logits.max(axis=-1, keepdims=True)
            return np.asarray(-np.log(np.exp(margins).sum(axis=-1)))
        case "positive":
            return np.asarray(np.abs(logits).min(axis=-1))
        case _:
            first = np.full_like(logits[:1, :, 0], -np.inf)
            return np.concatenate([first, -np.abs(np.diff(logits, axis=0)).sum(axis=-1)])
