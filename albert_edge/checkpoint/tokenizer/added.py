"""Add the tokens that settings name, as transformers adds them when it loads a folder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, processors

from albert_edge.checkpoint.tokenizer.settings import Settings, Token
from albert_edge.errors import CheckpointError
from albert_edge.validation.tokenizer import MOST_ADDED_CHARACTERS
from albert_edge.validation.tokenizer_library import library_faults


def add_tokens(
    tokenizer: Tokenizer, settings: Settings, special: Mapping[str, Token], folder: Path
) -> None:
    """Add special and other tokens, or give those that are there the flags they should have.

    Args:
        tokenizer: What is changed.
        settings: The settings of the checkpoint.
        special: Its special tokens by role, those of its class included.
        folder: The checkpoint, for errors.

    Raises:
        CheckpointError: A token has no place at the id that the checkpoint gives it.
    """
    present = {str(token): token for token in tokenizer.get_added_tokens_decoder().values()}
    tokens = [
        token
        for _, token in sorted(settings.added.items())
        if not _is_same(token, present.get(str(token)))
    ]
    texts = {*present, *map(str, tokens)}
    named = _named(settings, special)
    for token in named:
        if isinstance(token, AddedToken):
            tokens.append(token)  # the library ignores one that is there with the same flags
        elif token not in texts:
            tokens.append(AddedToken(token, special=True))
    names = set(map(str, named))
    for token in tokens:
        token.special = token.special or str(token) in names
    if sum(map(len, map(str, tokens))) > MOST_ADDED_CHARACTERS:
        raise CheckpointError(
            f"{folder} adds tokens of over {MOST_ADDED_CHARACTERS:,} characters.",
            tip="Add fewer in tokenizer_config.json.",
        )
    tokenizer.add_tokens(tokens)
    for token_id, token in settings.added.items():
        actual = tokenizer.token_to_id(str(token))
        # tokenizer.json is decisive for its own tokens.
        if actual != token_id and str(token) not in present:
            raise CheckpointError(
                f"{folder}: the added token {str(token)!r} should have id {token_id}, but the "
                f"vocabulary gives it {actual}.",
                tip="The vocabulary is not the one the tokenizer was saved with; copy it again.",
            )


def _named(settings: Settings, special: Mapping[str, Token]) -> list[Token]:
    """Return the special tokens, in the order in which missing ones get their ids."""
    roles: dict[str, Token] = {}
    for token in special.values():
        roles.setdefault(str(token), token)
    return [*roles.values(), *(token for token in settings.extra if str(token) not in roles)]


def _is_same(token: AddedToken, other: AddedToken | None) -> bool:
    return other is not None and token.__getstate__() == other.__getstate__()


def set_template(
    tokenizer: Tokenizer, special: Mapping[str, Token], folder: Path, *, has_types: bool
) -> None:
    """Make a text [CLS] A [SEP], and a pair [CLS] A [SEP] B [SEP].

    Args:
        tokenizer: What is changed.
        special: The special tokens by role.
        folder: The checkpoint, for errors.
        has_types: Whether the token type is 1 from B on, not 0.

    Raises:
        CheckpointError: One of the two special tokens is missing.
    """
    cls, sep = (str(special.get(role) or "") for role in ("cls_token", "sep_token"))
    if not cls or not sep:
        raise CheckpointError(
            f"{folder} names no cls_token or no sep_token to put around a text.",
            tip="Name both in tokenizer_config.json.",
        )
    second = int(has_types)
    error = partial(CheckpointError, tip="Name other tokens in tokenizer_config.json.")
    with library_faults(f"{folder}: {cls!r} and {sep!r} cannot be put around a text", error):
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls}:0 $A:0 {sep}:0",
            pair=f"{cls}:0 $A:0 {sep}:0 $B:{second} {sep}:{second}",
            special_tokens=[(text, tokenizer.token_to_id(text)) for text in (cls, sep)],
        )
