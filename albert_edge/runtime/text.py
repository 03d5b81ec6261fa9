"""Turn strings into token arrays with the tokenizers library."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from albert_edge.bundle.bundle import Bundle
from albert_edge.errors import Argument, BundleError, InputError, Message, UsageError
from albert_edge.runtime.memory import return_freed_memory
from albert_edge.runtime.parameters import WHOLE, Cut, Padding, Tokenization
from albert_edge.validation.tokenizer import check_tokenizer_json
from albert_edge.validation.tokenizer_library import library_faults, parse_tokenizer

T = TypeVar("T")
Arrays = dict[str, npt.NDArray[np.int64]]

_FILE = "tokenizer.json"
_SIDES = ("left", "right")

as_bundle_error = partial(
    BundleError, tip="Export the model again, from a checkpoint that you trust."
)


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """The tokenizer of a bundle.

    Attributes:
        tokenizer: The tokenizer, without padding and truncation of its own.
        max_length: The most tokens the model takes, special tokens included.
        truncation_side: The end that is cut off, "left" or "right".
        settings: The contents of tokenizer_config.json.
        place: Where the tokenizer comes from, for errors.
    """

    tokenizer: Tokenizer
    max_length: int
    truncation_side: str = "right"
    settings: Mapping[str, Any] = field(default_factory=dict)
    place: str = "tokenizer.json"

    def setting(self, name: str, default: T) -> T:
        """Return a setting, or the default if it is absent or of another type."""
        value = self.settings.get(name)
        return value if isinstance(value, type(default)) else default

    def encode(self, text: str, text_pair: str | None = None, cut: Cut = WHOLE) -> Arrays:
        """Tokenize one text, or one pair of texts.

        Args:
            text: The text.
            text_pair: A second segment, or None.
            cut: What to do with a text over the limit.

        Returns:
            input_ids, attention_mask and token_type_ids, each (1, sequence).

        Raises:
            TypeError: A text is not a string.
            InputError: A text is not valid Unicode, or over the limit and not to be cut.
        """
        return token_arrays(self.encoding(text, text_pair, cut=cut))

    def tokenize(self, text: Any, text_pair: Any, how: Tokenization) -> Arrays:
        """Tokenize as `encode` does, with all settings that a tokenizer of transformers takes.

        Args:
            text: The text; a list of its words if the text is split.
            text_pair: A second segment, or None for that of `how`.
            how: The settings.

        Raises:
            TypeError: A text is not a string, or not a list of strings if it is split.
            InputError: A text is not valid Unicode, or over the limit and not to be cut.
        """
        second = how.pair if text_pair is None else text_pair
        encoding = self.encoding(
            text, second, cut=how.cut, split=how.split, special_tokens=how.special_tokens
        )
        if how.padding is not None:
            self._pad(encoding, how.padding)
        arrays = token_arrays(encoding)
        if not how.token_types:
            arrays["token_type_ids"] = np.zeros_like(arrays["token_type_ids"])
        if not how.mask:
            arrays["attention_mask"] = np.ones_like(arrays["attention_mask"])
        return arrays

    def _pad(self, encoding: Encoding, padding: Padding) -> None:
        """Pad an encoding, if the answer depends on it."""
        side = padding.side or self.setting("padding_side", "right")
        if not padding.visible and side == "right":
            return
        wanted = len(encoding.ids) if padding.length is None else padding.length or self.max_length
        token = self.setting("pad_token", "<pad>")
        with self.faults():
            encoding.pad(
                wanted + -wanted % padding.multiple,
                direction=side,
                pad_id=self.tokenizer.token_to_id(token) or 0,
                pad_token=token,
            )

    def encoding(
        self,
        text: Any,
        text_pair: Any = None,
        *,
        cut: Cut = WHOLE,
        split: bool = False,
        special_tokens: bool = True,
    ) -> Encoding:
        """Tokenize as `encode` does, and return all the tokenizer gives, such as offsets.

        Args:
            text: The text; a list of its words if `split`.
            text_pair: A second segment, or None.
            cut: What to do with a text over the limit.
            split: Whether the text and the second segment are split into words.
            special_tokens: Whether to put [CLS] and [SEP] around the segments.

        Raises:
            TypeError: A text is not a string, or not a list of strings if `split`.
            InputError: A text is not valid Unicode, or over the limit and not to be cut.
        """
        first = self._tokenize(text, split=split)
        second = None if text_pair is None else self._tokenize(text_pair, split=split)
        segments = [first] if second is None else [first, second]
        added = self.tokenizer.num_special_tokens_to_add(len(segments) == 2)
        self._fit(segments, cut, added if special_tokens else 0)
        with self.faults():
            return self.tokenizer.post_process(*segments, add_special_tokens=special_tokens)

    def faults(self) -> AbstractContextManager[None]:
        """Turn what the tokenizers library raises at a text into a BundleError."""
        return library_faults(f"{self.place} fails on a text", as_bundle_error)

    def _fit(self, segments: list[Encoding], cut: Cut, special: int) -> None:
        """Cut one or two segments, before `special` tokens are added, to the limit."""
        limit = self._limit(cut)
        lengths = [len(segment.ids) for segment in segments]
        if sum(lengths) + special <= limit:
            return
        if cut.strategy == "do_not_truncate":
            raise InputError(
                f"The text has {sum(lengths) + special} tokens; the model takes at most {limit}.",
                tip=Message("Pass ", Argument("truncation", True), " to cut it, or split it."),
            )
        kept = _STRATEGIES[cut.strategy](lengths[0], sum(lengths[1:]), limit - special)
        if limit < special or min(kept) < 0:
            raise InputError(
                f"A max_length of {limit} leaves no room for the text beside the special tokens.",
                tip="Raise max_length, or use truncation='longest_first' to cut the longer.",
            )
        # Tokenizer.enable_truncation would also change the tokenizer for other threads.
        for segment, count in zip(segments, kept, strict=False):
            # In parts of one length, and post_process pairs all parts of two texts. The first cut
            # leaves one token for the second, and so one part.
            segment.truncate(count + 1, direction=self.truncation_side)
            segment.truncate(count, direction=self.truncation_side)

    def windows(
        self, text: Any, stride: int, *, cut: Cut = WHOLE, split: bool = False
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
            UsageError: A window has room for no more than the stride.
        """
        room = self._limit(cut) - self.tokenizer.num_special_tokens_to_add(False)
        _check_stride(stride, room)
        whole = self._tokenize(text, split=split)
        whole.truncate(room, stride, self.truncation_side)
        with self.faults():
            first = self.tokenizer.post_process(whole)
        return [first, *first.overflowing]

    def pair_windows(self, text: str, text_pair: str, stride: int, *, cut: Cut) -> list[Encoding]:
        """Tokenize two segments: one is whole in every window, the other is cut into the windows.

        Args:
            text: The first segment.
            text_pair: The second segment; it may be empty.
            stride: How many tokens of that segment each window shares with the one before it.
            cut: Its `max_length` bounds the windows; its `strategy`, "only_first" or
                "only_second", is the segment that is cut into windows. Nothing is dropped.

        Raises:
            TypeError: A segment is not a string.
            InputError: A segment is not valid Unicode, or beside the whole segment a window has
                room for no more than the stride.
            UsageError: A window has room for no more than the stride, whatever the segments are.
        """
        limit = self._limit(cut)
        _check_stride(stride, limit - self.tokenizer.num_special_tokens_to_add(False))
        first = self._tokenize(text)
        second = self._tokenize(text_pair)
        long, whole = (first, second) if cut.strategy == "only_first" else (second, first)
        room = limit - self.tokenizer.num_special_tokens_to_add(True) - len(whole.ids)
        if len(long.ids) > room:
            if room <= stride:
                raise InputError(
                    f"Beside a text of {len(whole.ids)} tokens a window of {limit} has room for "
                    f"{max(room, 0)}, which is not more than the stride, {stride}.",
                    tip="Shorten that text, allow longer windows or choose a smaller stride.",
                )
            long.truncate(room, stride, self.truncation_side)
        # Processed one by one, because post_process sets no token types in overflowing parts.
        parts = [long, *long.overflowing]
        with self.faults():
            if long is first:
                return [self.tokenizer.post_process(part, second) for part in parts]
            return [self.tokenizer.post_process(first, part) for part in parts]

    def _limit(self, cut: Cut) -> int:
        return min(self.max_length, cut.max_length or self.max_length)

    def _tokenize(self, text: Any, *, split: bool = False) -> Encoding:
        """Tokenize a segment, without special tokens."""
        _check_types(text, split)
        try:
            with self.faults():
                return self.tokenizer.encode(text, is_pretokenized=split, add_special_tokens=False)
        except TypeError as error:  # types are checked above, so only invalid Unicode is left
            raise InputError(
                f"The text is not valid Unicode: {error}", tip="Replace its lone surrogates."
            ) from error


def token_arrays(encoding: Encoding) -> Arrays:
    """Return the model inputs of an encoding, as `TextEncoder.encode` does."""
    return {
        "input_ids": np.array([encoding.ids], dtype=np.int64),
        "attention_mask": np.array([encoding.attention_mask], dtype=np.int64),
        "token_type_ids": np.array([encoding.type_ids], dtype=np.int64),
    }


def load_text_encoder(bundle: Bundle) -> TextEncoder:
    """Load the tokenizer of a bundle.

    Raises:
        BundleError: The bundle has no tokenizer, or one that no ALBERT has; see
            `albert_edge.validation.tokenizer`. Or its settings are malformed.
    """
    text = bundle.read_text(_FILE)
    if text is None:
        raise BundleError(
            f"{bundle.path} has no {_FILE}.",
            tip="Export again from a folder with tokenizer.json, spiece.model or vocab.txt; "
            "or run token ids through albert_edge.Session.",
        )
    config = bundle.read_config()
    place = str(bundle.path / _FILE)
    check_tokenizer_json(text, place, as_bundle_error, vocab_size=config.vocab_size)
    # The library takes 30 MB for ALBERT's 30,000 pieces: what the check took is given back before,
    # and the text is parsed as it is in the file, not decoded.
    del text
    gc.collect()
    return_freed_memory()
    tokenizer = parse_tokenizer(bundle.read(_FILE), place, as_bundle_error)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return_freed_memory()  # what parsing took: 6 MB with ALBERT's 30,000 pieces
    settings = bundle.read_object("tokenizer_config.json")
    positions = config.max_position_embeddings
    # A tokenizer without a limit has a model_max_length around 1e30.
    limit = int(min(positions, settings.number("model_max_length", None, above=0) or positions))
    side = settings.choice("truncation_side", _SIDES, None) or "right"
    settings.choice("padding_side", _SIDES, None)  # read where texts are padded
    return TextEncoder(tokenizer, limit, side, settings.values, place)


def _check_types(text: Any, split: bool) -> None:
    if split and not isinstance(text, list):
        raise TypeError(f"a text split into words must be a list, not {type(text).__name__}")
    for part in text if split else [text]:
        if not isinstance(part, str):
            name = "word" if split else "text"
            raise TypeError(f"a {name} must be a string, not {type(part).__name__}")


def _check_stride(stride: int, room: int) -> None:
    if not 0 <= stride < room:
        raise UsageError(
            f"stride is {stride}; a window has {max(room, 0)} tokens beside the special ones.",
            tip="Give at least 0 and less than a window has.",
        )


def _longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Cut the longer segment until the lengths are equal, then both."""
    shorter = min(first, second, room // 2)
    longer = min(max(first, second), room - shorter)
    return (shorter, longer) if first <= second else (longer, shorter)


def _rest(room: int) -> int:
    """Return how many tokens of the cut segment are kept; -1 if none would be left."""
    return room if room > 0 else -1


# For each strategy: the lengths of two segments and the room for both -> the lengths kept.
_STRATEGIES: dict[str, Callable[[int, int, int], tuple[int, int]]] = {
    "longest_first": _longest_first,
    "only_first": lambda first, second, room: (_rest(room - second), second),
    "only_second": lambda first, second, room: (first, _rest(room - first)),
    "do_not_truncate": lambda first, second, room: (first, second),
}
