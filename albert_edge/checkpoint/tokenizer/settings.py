"""tokenizer_config.json, special_tokens_map.json and added_tokens.json -> Settings.

The three overlap. A tokenizer_config.json with `added_tokens_decoder` (transformers 4.34 and
later) stands alone; without it special_tokens_map.json overrides it and added_tokens.json adds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tokenizers import AddedToken

from albert_edge.errors import CheckpointError

JsonObject = dict[str, Any]
# A bare text, or a token that says how it is matched.
Token: TypeAlias = str | AddedToken

# In the order in which transformers gives ids to special tokens that the vocabulary lacks.
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
    """How a checkpoint wants its text cut.

    Attributes:
        config: tokenizer_config.json as it stands, empty when there is none.
        special: The special tokens by role (`cls_token`, ...), in the order of `ROLES`.
        extra: Further special tokens.
        added: Added tokens by the id the checkpoint gave them.
    """

    config: JsonObject
    special: dict[str, Token]
    extra: tuple[Token, ...]
    added: dict[int, AddedToken]

    def tokens(self) -> list[AddedToken]:
        """The tokens to match before those of the vocabulary, in the order they are given ids."""
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

    def flag(self, name: str, default: bool | None) -> bool | None:
        """A switch of tokenizer_config.json.

        Raises:
            CheckpointError: It is neither true, false nor the default.
        """
        value = self.config.get(name, default)
        if value is default or isinstance(value, bool):
            return value
        raise _malformed(name, "true or false", value)


def read_settings(folder: Path, defaults: Mapping[str, Token]) -> Settings:
    """Read what lies beside a vocabulary, as transformers reads it.

    Args:
        folder: The checkpoint.
        defaults: The special tokens by role where the checkpoint names none.

    Raises:
        CheckpointError: A file is not a JSON object, a field is malformed, or remote code is named.
    """
    config = read_json(folder / "tokenizer_config.json")
    if config.get("auto_map"):
        raise CheckpointError(
            f"{folder / 'tokenizer_config.json'} names code to run (auto_map), "
            "and no code from a checkpoint is ever run.",
            tip="Save the tokenizer as tokenizer.json, remove auto_map and try again.",
        )
    alone = "added_tokens_decoder" in config
    overrides = {} if alone else read_json(folder / "special_tokens_map.json")
    named = {
        role: _token(role, value, like=defaults.get(role)) if value else None
        for role, value in (config | overrides).items()
        if role in ROLES
    }
    extra = _extra_tokens(config, overrides)
    if alone:
        added = _added_tokens(config["added_tokens_decoder"])
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


def read_json(path: Path) -> JsonObject:
    """Read a JSON object; a file that does not exist is an empty one.

    Raises:
        CheckpointError: The file is not a JSON object.
    """
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not readable JSON: {error}", tip="Copy the checkpoint again."
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is not a JSON object.", tip="Copy the checkpoint again.")
    return value


def _extra_tokens(*sources: JsonObject) -> tuple[Token, ...]:
    tokens = []
    for field in ("additional_special_tokens", "extra_special_tokens"):
        for source in sources:
            values = source.get(field) or []
            # transformers 4 writes extra_special_tokens as an object, transformers 5 as a list.
            values = list(values.values()) if isinstance(values, dict) else values
            if not isinstance(values, list):
                raise _malformed(field, "a list of tokens", values)
            tokens += [_token(field, value) for value in values]
    return tuple(tokens)


def _added_tokens(by_id: Any) -> dict[int, AddedToken]:
    field = "added_tokens_decoder"
    if not isinstance(by_id, dict) or not all(token_id.isdecimal() for token_id in by_id):
        raise _malformed(field, "an object from ids to tokens", by_id)
    return {int(token_id): _added_token(field, value) for token_id, value in by_id.items()}


def _legacy_added_tokens(path: Path, special: set[str]) -> dict[int, AddedToken]:
    added = {}
    for text, token_id in read_json(path).items():
        if not isinstance(token_id, int):
            raise _malformed(path.name, "an object from tokens to ids", token_id)
        added[token_id] = AddedToken(text, special=text in special, normalized=text not in special)
    return added


def _token(field: str, value: Any, *, like: Token | None = None) -> Token:
    """A special token; a bare text takes the flags, if any, of the one it stands in for."""
    if not isinstance(value, str):
        return _added_token(field, value, special=True)
    if isinstance(like, AddedToken):
        return _added_token(field, like.__getstate__(), content=value)
    return value


def _added_token(field: str, value: Any, **changes: Any) -> AddedToken:
    try:
        flags = {name: value[name] for name in _TOKEN_FLAGS if name in value}
        return AddedToken(**{"content": value["content"], **flags, **changes})
    except (TypeError, KeyError):
        raise _malformed(field, "a text or an object with content and flags", value) from None


def _malformed(field: str, expected: str, found: Any) -> CheckpointError:
    return CheckpointError(
        f"{field} of the tokenizer should be {expected}, found {json.dumps(found)[:80]}.",
        tip="Correct it in the tokenizer's JSON files, or copy the checkpoint again.",
    )
