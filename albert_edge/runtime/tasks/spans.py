"""Find the spans of a window that answer a question best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding

from albert_edge.runtime.vectors import softmax

Scores = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Window:
    """A question with the part of its context that one run covers.

    Attributes:
        context: Which tokens belong to the context, (sequence,).
        candidates: Which tokens an answer may begin or end with, (sequence,): those of the context
            and [CLS], which stands for no answer.
        words: The index of the word that each token belongs to, (sequence,); -1 for no word.
        offsets: Where each token begins and ends in its text, in characters.
    """

    context: Mask
    candidates: Mask
    words: npt.NDArray[np.int64]
    offsets: list[tuple[int, int]]

    def probabilities(self, logits: Scores) -> Scores:
        """Return the softmax over the candidates; both arrays are (sequence,)."""
        # Low enough for a probability of 0; finite, to avoid NaN in a window without candidates.
        return softmax(np.where(self.candidates, logits, np.float32(-10_000)))

    def best_spans(
        self, start: Scores, end: Scores, *, count: int, longest: int
    ) -> Iterator[tuple[int, int, float]]:
        """Find the best spans: first token, last token and score, best first.

        Args:
            start: The probability of each token to begin the answer, (sequence,).
            end: The probability of each token to end it, (sequence,).
            count: How many spans to consider; those that cannot be an answer are left out.
            longest: The most tokens of a span.
        """
        scores = np.tril(np.triu(np.outer(start, end)), longest - 1)
        for first, last in _largest(scores, count):
            # With few tokens `count` may exceed the valid spans. As in transformers the rest have
            # score 0: they begin with [CLS], are too long or end before they begin.
            if self.candidates[first] and self.candidates[last]:
                yield first, last, scores[first, last].item()

    def characters(self, first: int, last: int, *, align_to_words: bool) -> tuple[int, int]:
        """Return where in the context a span of tokens begins and ends."""
        if align_to_words:
            words = self._word(first), self._word(last)
            if words[0] and words[1]:
                return words[0][0], words[1][1]
        return self.offsets[first][0], self.offsets[last][1]

    def _word(self, token: int) -> tuple[int, int] | None:
        """Return where the word of a token begins and ends; None if it is not in the context."""
        same = np.flatnonzero(self.context & (self.words == self.words[token]))
        if self.words[token] < 0 or same.size == 0:
            return None
        return self.offsets[same[0]][0], self.offsets[same[-1]][1]


def read_window(encoding: Encoding, *, context_first: bool, cls: int | None) -> Window:
    """Read from an encoding what the search for answers needs.

    Args:
        encoding: A pair, one segment of which is the context.
        context_first: Whether the context is the first segment.
        cls: The id of [CLS].
    """
    # In segments tokenized one by one, only the second has reliable sequence_ids.
    second = np.array([segment == 1 for segment in encoding.sequence_ids])
    special = np.array(encoding.special_tokens_mask, dtype=np.bool_)
    context = ~(second | special) if context_first else second
    return Window(
        context=context,
        candidates=context | np.array([token == cls for token in encoding.ids]),
        words=np.array([-1 if word is None else word for word in encoding.word_ids]),
        offsets=encoding.offsets,
    )


def _largest(scores: Scores, count: int) -> list[tuple[int, int]]:
    """Return row and column of the `count` largest scores, largest first."""
    flat = -scores.ravel()
    if count == 1:
        chosen = np.array([flat.argmin()])
    elif count < flat.size:
        chosen = flat.argpartition(count)[:count]
        chosen = chosen[flat[chosen].argsort()]
    else:
        chosen = flat.argsort()
    rows, columns = np.unravel_index(chosen, scores.shape)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))
