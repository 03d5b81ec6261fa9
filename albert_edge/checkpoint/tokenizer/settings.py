"""Read what stands beside a vocabulary or a tokenizer.json -> Settings.

    tokenizer_config.json      class, flags, special tokens, added_tokens_decoder
    special_tokens_map.json    special tokens, if tokenizer_config.json has no added_tokens_decoder
    added_tokens.json          added tokens, likewise
    config.json                class, if tokenizer_config.json names none

transformers 4.34 and later writes `added_tokens_decoder`, and then reads neither of the other two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from tokenizers import AddedToken

from albert_edge.errors import CheckpointError
from albert_edge.json_fields import JsonObject, is_unicode, read_object
from albert_edge.validation.tokenizer import MOST_ADDED
from albert_edge.validation.tokenizer_models import LONGEST_PIECE

# A text, or a token with flags that say how it is matched.
Token: TypeAlias = str | AddedToken

# transformers assigns ids in this order to special tokens that the vocabulary lacks.
ROLES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
_ID = re.compile("[0-9]{1,9}")
_HIGHEST_ID = 10**9 - 1
_TOKEN_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True, slots=True)
class Settings:
    """The tokenizer settings of a checkpoint, without the defaults of its class.

    Attributes:
        config: tokenizer_config.json; empty if there is none.
        model: config.json; empty if there is none.
        named: The special tokens that the checkpoint names, by role (`cls_token`, ...); None for a
            role that it says it does not have.
        extra: Further special tokens.
        added: Added tokens by the id the checkpoint gave them.
    """

    config: JsonObject
    model: JsonObject
    named: Mapping[str, Token | None] = field(default_factory=dict)
    extra: tuple[Token, ...] = ()
    added: Mapping[int, AddedToken] = field(default_factory=dict)

    @property
    def tokenizer_class(self) -> str | None:
        """The transformers class that the checkpoint names, without the suffix "Fast"."""
        name = self.config.text("tokenizer_class", None) or self.model.text("tokenizer_class", None)
        # The suffix is part of this one: it has no other form.
        return name if name in (None, "PreTrainedTokenizerFast") else name.removesuffix("Fast")

    @property
    def is_saved_by_5(self) -> bool:
        """Whether transformers 5 wrote tokenizer_config.json; only it writes this field."""
        return "backend" in self.config.values or self.tokenizer_class == "TokenizersBackend"

    def special(self, defaults: Mapping[str, Token]) -> dict[str, Token]:
        """Return the special tokens by role, in the order of `ROLES`.

        Args:
            defaults: Those of the class. A name given as a text takes the flags of the default.
        """
        merged: dict[str, Token | None] = {**defaults, **self.named}
        for role, token in self.named.items():
            default = defaults.get(role)
            if isinstance(token, str) and isinstance(default, AddedToken):
                merged[role] = changed(default, content=token)
        return {role: token for role in ROLES if (token := merged.get(role))}


def read_settings(folder: Path, known: Mapping[int, AddedToken] | None = None) -> Settings:
    """Read the settings in a folder, as transformers reads them.

    Args:
        folder: The checkpoint.
        known: The added tokens of its tokenizer.json by id. Without an `added_tokens_decoder`
            their flags are decisive.

    Raises:
        CheckpointError: A file is not a JSON object, a field is malformed, or remote code is named.
    """
    config = read_tokenizer_file(folder / "tokenizer_config.json")
    if config.values.get("auto_map"):
        raise CheckpointError(
            f"{config.place} names code to run (auto_map), "
            "and no code from a checkpoint is ever run.",
            tip="Save the tokenizer as tokenizer.json, remove auto_map and try again.",
        )
    # What a bundle is later read by.
    for name in ("model_max_length", "max_len"):
        config.number(name, None, above=0)
    config.choice("truncation_side", ("left", "right"), None)
    model = read_tokenizer_file(folder / "config.json")
    sources = [config]
    if "added_tokens_decoder" not in config.values:
        sources.append(read_tokenizer_file(folder / "special_tokens_map.json"))
    named: dict[str, Token | None] = {}
    for source in sources:
        for role in ROLES & source.values.keys():
            value = source.values[role]
            named[role] = _parse_token(value, source, role) if value else None
    extra = tuple(
        token
        for name in ("additional_special_tokens", "extra_special_tokens")
        for source in sources
        for token in _extra_tokens(source, name)
    )
    if len(sources) == 1:
        flagged = added = _added_tokens(config)
    else:
        texts = {str(token) for token in (*named.values(), *extra)}
        flagged = dict(known or {})
        added = _legacy_added_tokens(folder / "added_tokens.json", special=texts) | flagged
    by_text = {str(token): token for token in flagged.values()}
    named = {role: by_text.get(str(token), token) for role, token in named.items()}
    return Settings(config, model, named, extra, added)


def changed(token: AddedToken, **fields: Any) -> AddedToken:
    """Return a token with other content or flags."""
    return AddedToken(**{**token.__getstate__(), **fields})


def read_tokenizer_file(path: Path) -> JsonObject:
    """Read a JSON object of the tokenizer; a file that does not exist is an empty one.

    Raises:
        CheckpointError: The file is not a JSON object.
    """
    tip = "Correct it, or copy the checkpoint again."
    return read_object(path, partial(CheckpointError, tip=tip), optional=True)


def _extra_tokens(source: JsonObject, name: str) -> Iterator[Token]:
    values = source.values.get(name) or []
    # transformers 4 writes extra_special_tokens as an object, transformers 5 as a list.
    values = list(values.values()) if isinstance(values, dict) else values
    if not isinstance(values, list) or len(values) > MOST_ADDED:
        raise source.fault(name, f"a list of at most {MOST_ADDED:,} tokens")
    yield from (_parse_token(value, source, name) for value in values)


def _added_tokens(config: JsonObject) -> dict[int, AddedToken]:
    by_id = config.object("added_tokens_decoder")
    if len(by_id.values) > MOST_ADDED or not all(map(_ID.fullmatch, by_id.values)):
        raise config.fault("added_tokens_decoder", "an object from ids to tokens")
    return {
        int(token_id): _parse_added_token(value, by_id, token_id)
        for token_id, value in by_id.values.items()
    }


def _legacy_added_tokens(path: Path, special: set[str]) -> dict[int, AddedToken]:
    ids = read_tokenizer_file(path)
    if len(ids.values) > MOST_ADDED:
        raise ids.error(f"{path} has over {MOST_ADDED:,} tokens.")
    for text in ids.values:
        _check_content(text, ids, text)
    return {
        ids.integer(text, low=0, high=_HIGHEST_ID): AddedToken(
            text, special=text in special, normalized=text not in special
        )
        for text in ids.values
    }


def _parse_token(value: Any, source: JsonObject, name: str) -> Token:
    if isinstance(value, str):
        _check_content(value, source, name)
        return value
    return _parse_added_token(value, source, name, special=True)


def _parse_added_token(value: Any, source: JsonObject, name: str, **changes: Any) -> AddedToken:
    try:
        flags = {flag: value[flag] for flag in _TOKEN_FLAGS if flag in value}
        fields = {"content": value["content"], **flags, **changes}
        _check_content(fields["content"], source, name)
        return AddedToken(**fields)
    except (TypeError, KeyError):
        raise source.fault(name, "a text or an object with content and flags") from None


def _check_content(text: str, source: JsonObject, name: str) -> None:
    if len(text) > LONGEST_PIECE or not is_unicode(text):
        raise source.fault(name, f"a token of at most {LONGEST_PIECE} characters")
