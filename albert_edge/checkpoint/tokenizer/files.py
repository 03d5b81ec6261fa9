"""Read a checkpoint's tokenizer.json, or build it from a vocabulary; complete its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models

from albert_edge.checkpoint.tokenizer.backend import (
    SPIECE_TOKENS,
    WORDPIECE_TOKENS,
    spiece_tokenizer,
    wordpiece_tokenizer,
)
from albert_edge.checkpoint.tokenizer.settings import (
    Settings,
    Token,
    read_settings,
    read_tokenizer_file,
)
from albert_edge.errors import CheckpointError

# With this class transformers uses tokenizer.json unchanged. The AlbertTokenizer of
# transformers 5 rebuilds it and gives different ids around spaces.
_GENERIC_CLASS = "PreTrainedTokenizerFast"
_ALBERT_POSITIONS = 512
# Paths of the machine that saved the checkpoint, and tokens that are renamed here.
_DROPPED = (
    "name_or_path",
    "vocab_file",
    "tokenizer_file",
    "special_tokens_map_file",
    "extra_special_tokens",
)


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """The tokenizer files of a bundle.

    Attributes:
        tokenizer_json: The text of tokenizer.json; written as UTF-8 without translating line ends,
            it is byte-identical to the checkpoint's file, if there is one.
        tokenizer_config: The content of tokenizer_config.json.
        special_tokens_map: The content of special_tokens_map.json.
    """

    tokenizer_json: str
    tokenizer_config: dict[str, Any]
    special_tokens_map: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """How to build a tokenizer from a vocabulary, and transformers' class for the result."""

    file: str
    build: Callable[[Path, Settings], Tokenizer]
    special: Mapping[str, Token]
    tokenizer_class: str
    clean_up: bool


_VOCABULARIES = (
    _Vocabulary("spiece.model", spiece_tokenizer, SPIECE_TOKENS, _GENERIC_CLASS, False),
    _Vocabulary("vocab.txt", wordpiece_tokenizer, WORDPIECE_TOKENS, "BertTokenizer", True),
)
# transformers' classes that tokenize as the vocabulary implies.
_BUILDABLE = ("AlbertTokenizer", "BertTokenizer", "PreTrainedTokenizer", "TokenizersBackend")


def read_tokenizer(folder: Path) -> TokenizerFiles | None:
    """Read a checkpoint's tokenizer.json, else build one from spiece.model or vocab.txt.

    Args:
        folder: The checkpoint.

    Returns:
        The three files, or None if the folder has none of these.

    Raises:
        CheckpointError: A file is damaged, malformed or names remote code.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return build_tokenizer(folder)
    try:
        text = path.read_bytes().decode()
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises no narrower class
        raise CheckpointError(
            f"{path} is not a tokenizer: {error}",
            tip="Copy tokenizer.json again; one written by a newer tokenizers needs that version.",
        ) from error
    wordpiece = isinstance(tokenizer.model, models.WordPiece)
    settings = read_settings(folder, WORDPIECE_TOKENS if wordpiece else SPIECE_TOKENS)
    tokenizer_class = settings.config.values.get("tokenizer_class")
    if tokenizer_class in (None, "TokenizersBackend"):  # the latter is unknown to transformers 4
        tokenizer_class = _GENERIC_CLASS
    files = _complete(folder, text, tokenizer, settings, tokenizer_class=tokenizer_class)
    stored = read_tokenizer_file(folder / "special_tokens_map.json").values
    return replace(files, special_tokens_map=stored) if stored else files


def build_tokenizer(folder: Path) -> TokenizerFiles | None:
    """Build a checkpoint's tokenizer from spiece.model, else from vocab.txt.

    Args:
        folder: The checkpoint.

    Returns:
        The three files, or None if the folder has neither.

    Raises:
        CheckpointError: A file is damaged or malformed, or names remote code or a tokenizer that
            needs more than its vocabulary.
    """
    for vocabulary in _VOCABULARIES:
        path = folder / vocabulary.file
        if path.is_file():
            return _build(path, vocabulary)
    return None


def _build(path: Path, vocabulary: _Vocabulary) -> TokenizerFiles:
    settings = read_settings(path.parent, vocabulary.special)
    model_config = read_tokenizer_file(path.parent / "config.json").values
    asked = str((model_config | settings.config.values).get("tokenizer_class") or _GENERIC_CLASS)
    if asked.removesuffix("Fast") not in _BUILDABLE:
        raise CheckpointError(
            f"{path.parent} asks for {asked}, which cannot be built from {path.name} only.",
            tip="Load it with transformers as a fast tokenizer and save_pretrained it: "
            "its tokenizer.json is used as it is.",
        )
    tokenizer = vocabulary.build(path, settings)
    return _complete(
        path.parent,
        tokenizer.to_str(),
        tokenizer,
        settings,
        tokenizer_class=vocabulary.tokenizer_class,
        clean_up_tokenization_spaces=settings.config.flag(
            "clean_up_tokenization_spaces", vocabulary.clean_up
        ),
    )


def _complete(
    folder: Path, text: str, tokenizer: Tokenizer, settings: Settings, **fixed: str | bool | None
) -> TokenizerFiles:
    """Complete the checkpoint's tokenizer_config.json with what readers of a bundle need."""
    names: dict[str, Any] = {
        role: str(token)
        for role, token in settings.special.items()
        if tokenizer.token_to_id(str(token)) is not None
    }
    if settings.extra:
        names["additional_special_tokens"] = [str(token) for token in settings.extra]
    model_config = read_tokenizer_file(folder / "config.json").values
    positions = model_config.get("max_position_embeddings", _ALBERT_POSITIONS)
    kept = {name: value for name, value in settings.config.values.items() if name not in _DROPPED}
    config = {
        "model_max_length": settings.config.values.get("max_len", positions),
        # Without this transformers 5 omits token_type_ids.
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **kept,
        **names,
        "added_tokens_decoder": {
            str(token_id): token.__getstate__()
            for token_id, token in sorted(tokenizer.get_added_tokens_decoder().items())
        },
        **fixed,
    }
    return TokenizerFiles(text, config, special_tokens_map=names)
