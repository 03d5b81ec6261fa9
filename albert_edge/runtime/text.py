"""Strings -> token arrays, with the tokenizers library alone."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from albert_edge.bundle import Bundle
from albert_edge.errors import BundleError, InputError

Arrays = dict[str, npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """The tokenizer of a bundle.

    Attributes:
        tokenizer: The tokenizer, without padding and truncation of its own.
        max_length: The most tokens the model takes, special tokens included.
    """

    tokenizer: Tokenizer
    max_length: int

    def encode(
        self,
        text: str,
        text_pair: str | None = None,
        *,
        truncation: bool = False,
        max_length: int | None = None,
    ) -> Arrays:
        """Tokenize one text, or one pair of texts.

        Args:
            text: The text.
            text_pair: A second segment, or None.
            truncation: Whether to cut what is over the limit, from the longer segment first.
            max_length: A limit below the model's own, in tokens.

        Returns:
            input_ids, attention_mask and token_type_ids, each (1, sequence).

        Raises:
            TypeError: The text is not a string.
            InputError: The text is not valid Unicode, or over the limit without truncation.
        """
        for part in (text, text_pair):
            if part is not None and not isinstance(part, str):
                raise TypeError(f"a text must be a string, not {type(part).__name__}")
        text_pair = text_pair or None  # as transformers takes an empty second text
        limit = min(self.max_length, max_length or self.max_length)
        try:
            encoding = self.tokenizer.encode(text, text_pair)
        except (UnicodeEncodeError, TypeError) as error:
            raise InputError(
                f"The text is not valid Unicode: {error}", tip="Replace its lone surrogates."
            ) from error
        if len(encoding.ids) > limit:
            if not truncation:
                raise InputError(
                    f"The text has {len(encoding.ids)} tokens; the model takes at most {limit}.",
                    tip="Pass truncation=True (--truncate) to cut it, or split it.",
                )
            encoding = self._truncated(text, text_pair, limit)
        return {
            "input_ids": np.array([encoding.ids], dtype=np.int64),
            "attention_mask": np.array([encoding.attention_mask], dtype=np.int64),
            "token_type_ids": np.array([encoding.type_ids], dtype=np.int64),
        }

    def _truncated(self, text: str, text_pair: str | None, limit: int) -> Encoding:
        # Tokenizer.enable_truncation would change the tokenizer under other threads.
        first = self.tokenizer.encode(text, add_special_tokens=False)
        second = (
            None
            if text_pair is None
            else self.tokenizer.encode(text_pair, add_special_tokens=False)
        )
        room = limit - self.tokenizer.num_special_tokens_to_add(second is not None)
        if room < 0:
            raise InputError(
                f"max_length {limit} leaves no room for the special tokens.", tip="Raise it."
            )
        kept = _longest_first(len(first.ids), len(second.ids) if second else 0, room)
        first.truncate(kept[0])
        if second is not None:
            second.truncate(kept[1])
        return self.tokenizer.post_process(first, second)


def load_text_encoder(bundle: Bundle) -> TextEncoder:
    """Load the tokenizer of a bundle.

    Raises:
        BundleError: The bundle has no tokenizer, or a damaged one.
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
    return TextEncoder(tokenizer, _max_length(bundle))


def _max_length(bundle: Bundle) -> int:
    """The model's number of positions, or less where tokenizer_config.json asks for less."""
    config = json.loads(bundle.read_text("config.json") or "{}")
    settings = json.loads(bundle.read_text("tokenizer_config.json") or "{}")
    positions = int(config.get("max_position_embeddings", 512))
    # A tokenizer without a limit says so with a number around 1e30.
    return int(min(positions, settings.get("model_max_length") or positions))


def _longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of two segments to keep: the longer one is cut until both are equal."""
    shorter = min(first, second, room // 2)
    longer = min(max(first, second), room - shorter)
    return (shorter, longer) if first <= second else (longer, shorter)
