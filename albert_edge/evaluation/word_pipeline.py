"""Label each word of a sentence of any length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Encoding

from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.task import WindowOutputs, Windows
from albert_edge.runtime.tasks.token_classification import TokenClassification
from albert_edge.runtime.text import TextEncoder, token_arrays

# The window and the place in it of a word's first token; None if it has no token.
_Place = tuple[int, int] | None


class _FirstTokens(TokenClassification):
    def encode(self, encoder: TextEncoder, item: Any, parameters: Any) -> Windows:
        room = encoder.max_length - encoder.tokenizer.num_special_tokens_to_add(False)
        windows = encoder.windows(item, room // 2, split=True)
        encodings = sorted(windows, key=_begin)
        return Windows(tuple(map(token_arrays, encodings)), _first_tokens(encodings, len(item)))

    def answer(self, outputs: WindowOutputs, parameters: Any) -> Any:
        """Map the logits of each window, (1, sequence, num_labels), to the labels' numbers."""
        best = [np.asarray(run["logits"][0]).argmax(axis=-1) for run in outputs.outputs]
        return tuple(
            None if place is None else int(best[place[0]][place[1]]) for place in outputs.context
        )


class WordPipeline(Pipeline):
    """Answers a list of words with the number of each word's label; None for one without a token.

    A word has the label of its first token, as in the token classification example of transformers
    (run_ner.py). A sentence over the model's limit is split into windows that overlap by half; of
    the windows with that token, the one counts in which it is farthest from both edges.
    """

    task = "token-classification"
    kind = _FirstTokens


def _begin(encoding: Encoding) -> tuple[int, int]:
    """Find where a window begins: the word, and the offset in it."""
    words = [
        (word, start)
        for word, (start, _) in zip(encoding.word_ids, encoding.offsets, strict=True)
        if word is not None
    ]
    return words[0] if words else (0, 0)


def _first_tokens(encodings: Sequence[Encoding], count: int) -> list[_Place]:
    """Find for each word the window in which its first token has most context.

    The part of a word at the beginning of a later window may not be its first token. Then the
    window before it has the word too, farther from its edges.
    """
    places: list[_Place] = [None] * count
    margins = [-1] * count
    for window, encoding in enumerate(encodings):
        words = encoding.word_ids
        inside = [place for place, word in enumerate(words) if word is not None]
        seen = set()
        for place in inside:
            word = words[place]
            if word in seen:
                continue
            seen.add(word)
            margin = min(place - inside[0], inside[-1] - place)
            if margin > margins[word]:
                places[word], margins[word] = (window, place), margin
    return places
