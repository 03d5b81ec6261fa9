"""Strings -> token arrays, with the tokenizers library alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from albert_edge.bundle import Bundle
from albert_edge.config import read_config
from albert_edge.errors import BundleError, InputError, UsageError

T = TypeVar("T")
Arrays = dict[str, npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Cut:
    """What to do with texts over the limit.

    Attributes:
        strategy: "longest_first", "only_first", "only_second" or "do_not_truncate", which makes
            such a text an error.
        max_length: A limit below the model's own, in tokens, or None.
    """

    strategy: str = "do_not_truncate"
    max_length: int | None = None


def cut(truncation: bool | str, max_length: int | None, padding: bool | str) -> Cut:
    """Read the arguments of a transformers tokenizer that a pipeline takes.

    Args:
        truncation: A strategy by name, or True for "longest_first", False for none.
        max_length: A limit below the model's own, in tokens.
        padding: Anything that pads to the longest of a batch, which changes no answer here:
            each text runs alone.

    Raises:
        UsageError: An argument has no meaning here.
    """
    if isinstance(truncation, bool):
        truncation = "longest_first" if truncation else "do_not_truncate"
    if truncation not in _STRATEGIES:
        raise UsageError(
            f"truncation is {truncation!r}.",
            tip=f"It is a bool or one of {', '.join(_STRATEGIES)}.",
        )
    if max_length is not None and max_length < 1:
        raise UsageError(f"max_length is {max_length}.", tip="Give 1 or more, or leave it out.")
    if padding not in (True, False, "longest", "do_not_pad"):
        raise UsageError(f"padding is {padding!r}.", tip="Leave it out: each text runs alone.")
    return Cut(truncation, max_length)


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """The tokenizer of a bundle.

    Attributes:
        tokenizer: The tokenizer, without padding and truncation of its own.
        max_length: The most tokens the model takes, special tokens included.
        truncation_side: Which end is cut off: "left" or "right".
        settings: What tokenizer_config.json says.
    """

    tokenizer: Tokenizer
    max_length: int
    truncation_side: str = "right"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def setting(self, name: str, default: T) -> T:
        """A setting, or the default if it is absent or of another type."""
        value = self.settings.get(name)
        return value if isinstance(value, type(default)) else default

    def encode(self, text: str, text_pair: str | None = None, cut: Cut = Cut()) -> Arrays:
        """Tokenize one text, or one pair of texts.

        Args:
            text: The text.
            text_pair: A second segment; none if None or empty.
            cut: What to do with what is over the limit.

        Returns:
            input_ids, attention_mask and token_type_ids, each (1, sequence).

        Raises:
            TypeError: A text is not a string.
            InputError: A text is not valid Unicode, or over the limit and not to be cut.
        """
        return token_arrays(self.encoding(text, text_pair, cut=cut))

    def encoding(
        self, text: Any, text_pair: str | None = None, *, cut: Cut = Cut(), split: bool = False
    ) -> Encoding:
        """Tokenize as `encode` does, and keep what else the tokenizer knows, such as offsets.

        Args:
            text: The text; a list of its words if `split`.
            text_pair: A second segment, of a text that is not split; none if None or empty.
            cut: What to do with what is over the limit.
            split: Whether the text is split into words.

        Raises:
            TypeError: A text is not a string, or not a list of strings if `split`.
            InputError: A text is not valid Unicode, or over the limit and not to be cut.
        """
        text_pair = text_pair or None  # as transformers takes an empty second text
        encoding = self._tokenize(text, text_pair, split=split)
        limit = self._limit(cut)
        if len(encoding.ids) <= limit:
            return encoding
        if cut.strategy == "do_not_truncate":
            raise InputError(
                f"The text has {len(encoding.ids)} tokens; the model takes at most {limit}.",
                tip="Pass truncation=True (--truncate) to cut it, or split it.",
            )
        return self._truncated(text, text_pair, cut.strategy, limit, split)

    def windows(
        self, text: Any, stride: int, *, cut: Cut = Cut(), split: bool = False
    ) -> list[Encoding]:
        """Tokenize a text of any length into overlapping windows within the limit.

        Args:
            text: The text; a list of its words if `split`.
            stride: How many tokens each window shares with the one before it.
            cut: Its `max_length` bounds the windows; nothing is cut off.
            split: Whether the text is split into words.

        Raises:
            TypeError: The text is not a string, or not a list of strings if `split`.
            InputError: The text is not valid Unicode.
            UsageError: A window has no room for more than the stride.
        """
        room = self._limit(cut) - self.tokenizer.num_special_tokens_to_add(False)
        if not 0 <= stride < room:
            raise UsageError(
                f"stride is {stride}; a window has {max(room, 0)} tokens beside the special ones.",
                tip="Give at least 0 and less than a window has.",
            )
        whole = self._tokenize(text, None, split=split, special=False)
        whole.truncate(room, stride, self.truncation_side)
        first = self.tokenizer.post_process(whole)
        return [first, *first.overflowing]

    def _limit(self, cut: Cut) -> int:
        return min(self.max_length, cut.max_length or self.max_length)

    def _tokenize(
        self, text: Any, pair: str | None, *, split: bool, special: bool = True
    ) -> Encoding:
        _check_types(text, pair, split)
        try:
            return self.tokenizer.encode(
                text, pair, is_pretokenized=split, add_special_tokens=special
            )
        except TypeError as error:  # all that is left for tokenizers to object to
            raise InputError(
                f"The text is not valid Unicode: {error}", tip="Replace its lone surrogates."
            ) from error

    def _truncated(
        self, text: Any, pair: str | None, strategy: str, limit: int, split: bool
    ) -> Encoding:
        # Tokenizer.enable_truncation would change the tokenizer under other threads.
        first = self.tokenizer.encode(text, is_pretokenized=split, add_special_tokens=False)
        second = self.tokenizer.encode(pair or "", add_special_tokens=False)
        room = limit - self.tokenizer.num_special_tokens_to_add(pair is not None)
        kept = _STRATEGIES[strategy](len(first.ids), len(second.ids), room)
        if room < 0 or min(kept) < 0:
            raise InputError(
                f"Cut to {limit} tokens, {strategy}, no room is left beside the special tokens.",
                tip="Raise max_length, or use truncation=True, which cuts the longer segment.",
            )
        first.truncate(kept[0], direction=self.truncation_side)
        second.truncate(kept[1], direction=self.truncation_side)
        return self.tokenizer.post_process(first, None if pair is None else second)


def token_arrays(encoding: Encoding) -> Arrays:
    """What the model takes of an encoding: see `TextEncoder.encode`."""
    return {
        "input_ids": np.array([encoding.ids], dtype=np.int64),
        "attention_mask": np.array([encoding.attention_mask], dtype=np.int64),
        "token_type_ids": np.array([encoding.type_ids], dtype=np.int64),
    }


def load_text_encoder(bundle: Bundle) -> TextEncoder:
    """Load the tokenizer of a bundle.

    Raises:
        BundleError: The bundle has no tokenizer.
    """
    text = bundle.read_text("tokenizer.json")
    if text is None:
        raise BundleError(
            f"{bundle.folder} has no tokenizer.json.",
            tip="Export again from a folder with tokenizer.json, spiece.model or vocab.txt; "
            "or run token ids through albert_edge.runtime.session.Session.",
        )
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    settings = json.loads(bundle.read_text("tokenizer_config.json") or "{}")
    positions = read_config(bundle.listed("config.json")).max_position_embeddings
    # A tokenizer without a limit of its own says so with a number around 1e30.
    limit = int(min(positions, settings.get("model_max_length") or positions))
    return TextEncoder(tokenizer, limit, settings.get("truncation_side", "right"), settings)


def _check_types(text: Any, text_pair: Any, split: bool) -> None:
    if split and not isinstance(text, list):
        raise TypeError(f"a text split into words must be a list, not {type(text).__name__}")
    for part in (*(text if split else [text]), *([] if text_pair is None else [text_pair])):
        if not isinstance(part, str):
            name = "word" if split else "text"
            raise TypeError(f"a {name} must be a string, not {type(part).__name__}")


def _longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Cut the longer segment until both are equal, then both."""
    shorter = min(first, second, room // 2)
    longer = min(max(first, second), room - shorter)
    return (shorter, longer) if first <= second else (longer, shorter)


# How many tokens of two segments each strategy keeps, given the room there is for both.
_STRATEGIES: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
    "longest_first": _longest_first,
    "only_first": lambda first, second, room: (room - second, second),
    "only_second": lambda first, second, room: (first, room - first),
    "do_not_truncate": lambda first, second, room: (first, second),
}
