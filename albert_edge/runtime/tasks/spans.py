"""The spans of a window that answer a question best."""

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
    """A question with as much of its context as one run sees.

    Attributes:
        context: Which tokens are of the context, (sequence,).
        candidates: Which tokens an answer may begin or end with, (sequence,): those of the context
            and [CLS], which stands for no answer.
        words: Which word of its text each token is of, (sequence,); -1 if of none.
        offsets: The first and the end character of each token in its text.
    """

    context: Mask
    candidates: Mask
    words: npt.NDArray[np.int64]
    offsets: list[tuple[int, int]]

    def probabilities(self, logits: Scores) -> Scores:
        """Share 1 among the candidates; both are (sequence,)."""
        # Low enough for a probability of 0; finite, so that no candidates at all make no NaN.
        return softmax(np.where(self.candidates, logits, np.float32(-10_000)))

    def best_spans(
        self, start: Scores, end: Scores, *, count: int, longest: int
    ) -> Iterator[tuple[int, int, float]]:
        """The first and the last token of the best spans, and their scores, best first.

        Args:
            start: The probability of each token to begin the answer, (sequence,).
            end: The probability of each token to end it, (sequence,).
            count: How many spans to consider; what is no answer among them is left out.
            longest: The most tokens of a span.
        """
        scores = np.tril(np.triu(np.outer(start, end)), longest - 1)
        for first, last in _largest(scores, count):
            # Among few tokens `count` is soon reached; transformers then goes on with spans that
            # score 0 because they begin with [CLS], are too long or end before they begin.
            if self.candidates[first] and self.candidates[last]:
                yield first, last, scores[first, last].item()

    def characters(self, first: int, last: int, *, align_to_words: bool) -> tuple[int, int]:
        """Where in the context a span of tokens begins and ends."""
        if align_to_words:
            words = self._word(first), self._word(last)
            if words[0] and words[1]:
                return words[0][0], words[1][1]
        return self.offsets[first][0], self.offsets[last][1]

    def _word(self, token: int) -> tuple[int, int] | None:
        """Where the word of a token begins and ends; None if it is of no word in the context."""
        same = np.flatnonzero(self.context & (self.words == self.words[token]))
        if self.words[token] < 0 or same.size == 0:
            return None
        return self.offsets[same[0]][0], self.offsets[same[-1]][1]


def read_window(encoding: Encoding, *, context_first: bool, cls: int | None) -> Window:
    """What the search for answers needs of a window.

    Args:
        encoding: A pair, one segment of which is the context.
        context_first: Whether that is the first segment.
        cls: The id of [CLS].
    """
    # Of two segments tokenized one by one, sequence_ids tells the second for certain.
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
    """Row and column of the `count` largest scores, largest first."""
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
