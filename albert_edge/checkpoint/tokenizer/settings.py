"""tokenizer_config.json, special_tokens_map.json and added_tokens.json -> Settings.

The three overlap. A tokenizer_config.json with `added_tokens_decoder` (transformers 4.34 and
later) is complete; without it special_tokens_map.json overrides it and added_tokens.json adds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from tokenizers import AddedToken

from albert_edge.errors import CheckpointError
from albert_edge.json_fields import JsonObject, read_object

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
_TOKEN_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True, slots=True)
class Settings:
    """The tokenizer settings of a checkpoint.

    Attributes:
        config: tokenizer_config.json; empty if there is none.
        special: The special tokens by role (`cls_token`, ...), in the order of `ROLES`.
        extra: Further special tokens.
        added: Added tokens by the id the checkpoint gave them.
    """

    config: JsonObject
    special: dict[str, Token]
    extra: tuple[Token, ...]
    added: dict[int, AddedToken]

    def tokens(self) -> list[AddedToken]:
        """List the tokens matched before those of the vocabulary, in the order of their ids."""
        tokens = {str(token): token for _, token in sorted(self.added.items())}
        special: dict[str, Token] = {}
        for token in (*self.special.values(), *self.extra):
            special.setdefault(str(token), token)
        for text, token in special.items():
            if isinstance(token, AddedToken):
                tokens[text] = token
            else:
                tokens.setdefault(text, AddedToken(text, special=True))
        return list(tokens.values())


def read_settings(folder: Path, defaults: Mapping[str, Token]) -> Settings:
    """Read the settings beside a vocabulary, as transformers reads them.

    Args:
        folder: The checkpoint.
        defaults: The special tokens by role, for those that the checkpoint does not name.

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
    sources = [config]
    if "added_tokens_decoder" not in config.values:
        sources.append(read_tokenizer_file(folder / "special_tokens_map.json"))
    named: dict[str, Token | None] = {}
    for source in sources:
        for role in ROLES & source.values.keys():
            value, like = source.values[role], defaults.get(role)
            named[role] = _parse_token(value, source, role, like=like) if value else None
    extra = tuple(
        token
        for field in ("additional_special_tokens", "extra_special_tokens")
        for source in sources
        for token in _extra_tokens(source, field)
    )
    if len(sources) == 1:
        added = _added_tokens(config)
        by_text = {str(token): token for token in added.values()}
        named = {role: by_text.get(str(token), token) for role, token in named.items()}
    else:
        texts = {str(token) for token in (*named.values(), *extra)}
        added = _legacy_added_tokens(folder / "added_tokens.json", special=texts)
    merged = {**defaults, **named}
    special = {role: token for role in ROLES if (token := merged.get(role))}
    special_texts = {str(token) for token in (*special.values(), *extra)}
    for token in added.values():
        token.special |= str(token) in special_texts
    return Settings(config, special, extra, added)


def read_tokenizer_file(path: Path) -> JsonObject:
    """Read a JSON object of the tokenizer; a file that does not exist is an empty one.

    Raises:
        CheckpointError: The file is not a JSON object.
    """
    tip = "Correct it, or copy the checkpoint again."
    return read_object(path, partial(CheckpointError, tip=tip), optional=True)


def _extra_tokens(source: JsonObject, field: str) -> Iterator[Token]:
    values = source.values.get(field) or []
    # transformers 4 writes extra_special_tokens as an object, transformers 5 as a list.
    values = list(values.values()) if isinstance(values, dict) else values
    if not isinstance(values, list):
        raise source.fault(field, "a list of tokens")
    yield from (_parse_token(value, source, field) for value in values)


def _added_tokens(config: JsonObject) -> dict[int, AddedToken]:
    by_id = config.object("added_tokens_decoder")
    if not all(token_id.isdecimal() for token_id in by_id.values):
        raise config.fault("added_tokens_decoder", "an object from ids to tokens")
    return {
        int(token_id): _parse_added_token(value, by_id, token_id)
        for token_id, value in by_id.values.items()
    }


def _legacy_added_tokens(path: Path, special: set[str]) -> dict[int, AddedToken]:
    ids = read_tokenizer_file(path)
    return {
        ids.integer(text): AddedToken(text, special=text in special, normalized=text not in special)
        for text in ids.values
    }


def _parse_token(value: Any, source: JsonObject, field: str, *, like: Token | None = None) -> Token:
    """Parse a special token; a text takes the flags of the default that it replaces."""
    if not isinstance(value, str):
        return _parse_added_token(value, source, field, special=True)
    if isinstance(like, AddedToken):
        return _parse_added_token(like.__getstate__(), source, field, content=value)
    return value


def _parse_added_token(value: Any, source: JsonObject, field: str, **changes: Any) -> AddedToken:
    try:
        flags = {name: value[name] for name in _TOKEN_FLAGS if name in value}
        return AddedToken(**{"content": value["content"], **flags, **changes})
    except (TypeError, KeyError):
        raise source.fault(field, "a text or an object with content and flags") from None
