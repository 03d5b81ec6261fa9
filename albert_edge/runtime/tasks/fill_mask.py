"""Fill-mask: the tokens that fit best in place of a mask."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

import numpy as np
import numpy.typing as npt

from albert_edge.errors import InputError, UsageError
from albert_edge.runtime.parameters import (
    Tokenization,
    Tokenizing,
    Truncation,
    invalid,
    read_count,
    read_tokenization,
)
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.task import Items, Many, Task, WindowOutputs, Windows
from albert_edge.runtime.text import TextEncoder
from albert_edge.runtime.vectors import softmax

Ids = npt.NDArray[np.int64]

# Where transformers removes spaces from decoded texts, in its order.
_CLEAN_UP = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


class Fill(TypedDict):
    """A token in place of a mask, how well it fits, and the text with it."""

    score: float
    token: int
    token_str: str
    sequence: str


class Parameters(Truncation, total=False):
    """The parameters of a call.

    Attributes:
        top_k: How many tokens to return for a mask, best first; by default 5.
        targets: A word or words to choose from instead of all tokens. Of a word that is not a
            token the first token is used, with a warning.
        tokenizer_kwargs: Parameters of the tokenizer, which have precedence over those beside it.
    """

    top_k: int | None
    targets: str | Collection[str] | None
    tokenizer_kwargs: Tokenizing | None


@dataclass(frozen=True, slots=True)
class Checked:
    """The checked parameters of a call."""

    top_k: int
    targets: tuple[str, ...] | None
    tokenization: Tokenization


class FillMask(Task):
    """See `transformers.FillMaskPipeline`, whose answers these are."""

    accepts = Parameters
    unset_by_none = frozenset(Parameters.__annotations__)

    def parameters(self, given: Parameters) -> Checked:
        words = given.get("targets")
        words = (words,) if isinstance(words, str) else words
        if words is not None and not (
            isinstance(words, Collection) and all(isinstance(word, str) for word in words)
        ):
            raise invalid("targets", words, "Give a string or a list of strings.")
        return Checked(
            top_k=read_count(given, "top_k") or 5,
            targets=None if words is None else tuple(words),
            tokenization=read_tokenization({**given, **(given.get("tokenizer_kwargs") or {})}),
        )

    def arrange(self, inputs: Any, parameters: Checked) -> Any:
        """Unpack a list of one text, which transformers answers without a list around it."""
        match inputs:
            case [str(text)] if isinstance(inputs, list):
                return text
        return inputs

    def encode(self, encoder: TextEncoder, item: Any, parameters: Checked) -> Windows:
        """Tokenize a text and find its masks."""
        words = parameters.targets
        targets = None if words is None else _target_ids(words, encoder)
        inputs = encoder.tokenize(item, None, parameters.tokenization)
        return Windows((inputs,), _masked_text(encoder, inputs["input_ids"][0], targets))

    def answer(self, outputs: WindowOutputs, parameters: Checked) -> Any:
        """Map logits, (1, sequence, vocab_size), to the tokens that fit best."""
        text: MaskedText = outputs.context
        logits = outputs.only["logits"][0]
        answers = [
            [
                text.proposal(mask, token, score)
                for token, score in _best(logits[mask], parameters.top_k, text.targets)
            ]
            for mask in text.masks
        ]
        return answers[0] if len(answers) == 1 else answers


@dataclass(frozen=True, slots=True)
class MaskedText:
    """A tokenized text, the positions of its masks, and the ids to choose from (None: all)."""

    encoder: TextEncoder
    ids: Ids
    masks: tuple[int, ...]
    targets: Ids | None

    def proposal(self, mask: int, token: int, score: float) -> dict[str, Any]:
        """Return the answer with a token in place of the mask at one position."""
        ids = self.ids.copy()
        ids[mask] = token
        padding = self.encoder.tokenizer.token_to_id(self.encoder.setting("pad_token", ""))
        shown = ids[ids != padding].tolist()
        return {
            "score": score,
            "token": token,
            "token_str": self._decode([token]),
            # Other masks are special tokens too, and have to stay visible.
            "sequence": self._decode(shown, skip_special_tokens=len(self.masks) == 1),
        }

    def _decode(self, ids: list[int], *, skip_special_tokens: bool = False) -> str:
        tokenizer = self.encoder.tokenizer
        with self.encoder.faults():
            text: str = tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        if self.encoder.setting("clean_up_tokenization_spaces", False):
            for spaced in _CLEAN_UP:
                text = text.replace(spaced, spaced.strip())
        return text


def _masked_text(encoder: TextEncoder, ids: Ids, targets: Ids | None) -> MaskedText:
    mask = encoder.setting("mask_token", "[MASK]")
    masks = np.flatnonzero(ids == encoder.tokenizer.token_to_id(mask)).tolist()
    if not masks:
        raise InputError(
            f"The text has no {mask}, so there is nothing to fill.",
            tip=f"Write {mask} where a word is missing, within what truncation leaves.",
        )
    return MaskedText(encoder, ids, tuple(masks), targets)


def _target_ids(words: tuple[str, ...], encoder: TextEncoder) -> Ids:
    """Return the ids of words, without duplicates."""
    tokens = {_target_id(word, encoder) for word in words}
    ids = sorted(token for token in tokens if token is not None)
    if not ids:
        raise UsageError(
            f"targets is {list(words)!r}, and nothing in it is a token.",
            tip="Give at least one word, or leave targets out to choose from all tokens.",
        )
    return np.array(ids, dtype=np.int64)


def _target_id(word: str, encoder: TextEncoder) -> int | None:
    """Return the id of a word, else of its first token; None if it has no tokens."""
    try:
        whole: int | None = encoder.tokenizer.token_to_id(word)
        encoding = encoder.tokenizer.encode(word, add_special_tokens=False)
    except (TypeError, UnicodeError) as error:
        raise UsageError(
            f"The target {word!r} is not valid Unicode.", tip="Replace its lone surrogates."
        ) from error
    if whole is not None:
        return whole
    encoding.truncate(1, direction=encoder.truncation_side)
    instead = f"{encoding.tokens[0]!r} stands in for it" if encoding.ids else "it is ignored"
    warnings.warn(f"The target {word!r} is not in the vocabulary; {instead}.", stacklevel=2)
    return encoding.ids[0] if encoding.ids else None


def _best(logits: npt.NDArray[Any], top_k: int, targets: Ids | None) -> list[tuple[int, float]]:
    """Return the best tokens at a mask with their scores, best first."""
    if targets is None and top_k > len(logits):
        tip = "Lower top_k, or choose from targets."
        raise UsageError(f"top_k is {top_k}; the model has {len(logits)} tokens.", tip=tip)
    tokens = np.arange(len(logits)) if targets is None else targets
    scores = softmax(logits)[tokens]
    # Sorting the whole vocabulary would take longer than selecting the best of it.
    best = np.argpartition(-scores, min(top_k, len(scores)) - 1)[:top_k]
    best = best[np.argsort(-scores[best], kind="stable")]
    return list(zip(tokens[best].tolist(), scores[best].tolist(), strict=True))


# A list of tokens; for a text with several masks, a list of such lists.
Answer = list[Fill] | Any
Given = Parameters


class FillMaskPipeline(Pipeline):
    """Finds the tokens that fit best where a text has a mask, best first.

    See `Parameters` for the parameters of a call.
    """

    task = "fill-mask"
    kind = FillMask

    if TYPE_CHECKING:

        @overload
        def __call__(self, inputs: str, **given: Unpack[Given]) -> Answer: ...
        @overload
        def __call__(self, inputs: list[str], **given: Unpack[Given]) -> list[Answer]: ...
        @overload
        def __call__(self, inputs: Items[str], **given: Unpack[Given]) -> Iterator[Answer]: ...
        def __call__(self, inputs: Any, **given: Any) -> Any: ...
        @overload
        async def acall(self, inputs: str, **given: Unpack[Given]) -> Answer: ...
        @overload
        async def acall(self, inputs: Many[str], **given: Unpack[Given]) -> list[Answer]: ...
        async def acall(self, inputs: Any, **given: Any) -> Any: ...
        def answer(self, item: str, **given: Unpack[Given]) -> Answer: ...
        def stream(self, items: Iterable[str], **given: Unpack[Given]) -> Iterator[Answer]: ...
