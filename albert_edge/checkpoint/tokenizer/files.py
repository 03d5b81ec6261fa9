"""A checkpoint's tokenizer -> the three tokenizer files of a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models

from albert_edge.checkpoint.tokenizer.added import add_tokens, set_template
from albert_edge.checkpoint.tokenizer.classes import (
    ALBERT,
    BERT,
    GENERIC,
    TokenizerClass,
    class_of,
)
from albert_edge.checkpoint.tokenizer.effects import (
    find_contradictions,
    find_losses,
    find_unknown,
    keeps_accents,
    lowercases,
)
from albert_edge.checkpoint.tokenizer.layout import (
    special_tokens,
    tokenizer_config,
    without_token_types,
)
from albert_edge.checkpoint.tokenizer.normalization import (
    Overrides,
    is_bert,
    with_bert_settings,
    without_nmt,
)
from albert_edge.checkpoint.tokenizer.settings import (
    Settings,
    Token,
    read_settings,
    read_tokenizer_file,
)
from albert_edge.checkpoint.tokenizer.unigram import matching_raw_text, unigram_tokenizer
from albert_edge.checkpoint.tokenizer.wordpiece import wordpiece_tokenizer
from albert_edge.errors import Argument, CheckpointError, Message
from albert_edge.json_fields import JsonObject, parse_object
from albert_edge.validation.tokenizer import check_tokenizer_json
from albert_edge.validation.tokenizer_library import load_tokenizer, parse_tokenizer

# Uses the text of a tokenizer.json that was read or built from a file, or raises an error.
Probe = Callable[[str, Path], object]

_UNCHANGED = Overrides()
_PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")  # transformers.js needs all
_as_error = partial(
    CheckpointError,
    tip="Copy it again, or save the tokenizer with transformers and tokenizers as they are "
    "released. Steps that no tokenizer of ALBERT has are not accepted.",
)
# ConvBertTokenizer of transformers 4 cannot read a tokenizer.json without a normalizer.
_NOTHING = {"type": "Sequence", "normalizers": []}


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """The tokenizer files of a bundle.

    Attributes:
        tokenizer_json: The text of tokenizer.json; written as UTF-8 without translating line ends,
            it is byte-identical to the checkpoint's file, if that does all that is asked for.
        tokenizer_config: The content of tokenizer_config.json.
        special_tokens_map: The content of special_tokens_map.json.
        tokenizer: The tokenizer that they describe.
        warnings: What may be wrong with it.
    """

    tokenizer_json: str
    tokenizer_config: dict[str, Any]
    special_tokens_map: dict[str, Any]
    tokenizer: Tokenizer = field(compare=False)
    warnings: tuple[Message, ...] = field(compare=False, default=())


def read_tokenizer(
    folder: Path,
    overrides: Overrides = _UNCHANGED,
    probe: Probe = lambda text, path: None,
) -> TokenizerFiles | None:
    """Read a checkpoint's tokenizer.json, else build one from spiece.model or vocab.txt.

    Args:
        folder: The checkpoint.
        overrides: What is to be done otherwise than the checkpoint says.
        probe: Called with a tokenizer before this process uses it, such as `require_harmless`.

    Returns:
        The three files, or None if the folder has none of these.

    Raises:
        CheckpointError: A file is damaged, malformed, names remote code or a tokenizer that needs
            more than its vocabulary; or an option has no effect.
    """
    path = folder / "tokenizer.json"
    # A size may be written as a float, as in old configurations.
    written = read_tokenizer_file(folder / "config.json").number("vocab_size", None, above=0)
    size = None if written is None else int(written)
    if path.is_file():
        found = _read(path, size, overrides, probe)
    else:
        built = _build(folder, overrides)
        if built is None:
            return None
        found, path = built
        probe(found.tokenizer.to_str(), path)
    tokenizer, settings, special = found.tokenizer, found.settings, found.special
    _check_effect(tokenizer, overrides, folder)
    text = found.text
    if text is None:
        text = tokenizer.to_str()
        check_tokenizer_json(text, str(path), _as_error, vocab_size=size)
    return TokenizerFiles(
        tokenizer_json=text,
        tokenizer_config=tokenizer_config(
            _parse(text, folder).values, tokenizer, settings, special
        ),
        special_tokens_map=special_tokens(settings, special),
        tokenizer=tokenizer,
        warnings=(
            *found.warnings,
            *find_losses(tokenizer),
            *find_unknown(tokenizer, settings),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Effective:
    """A tokenizer as the whole folder means it; `text` is that of a file that says all of it."""

    tokenizer: Tokenizer
    settings: Settings
    special: Mapping[str, Token]
    text: str | None = None
    warnings: Sequence[Message] = ()


def _read(path: Path, size: int | None, overrides: Overrides, probe: Probe) -> _Effective:
    """Apply to a tokenizer.json what stands beside it."""
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise _as_error(f"{path} is not a tokenizer: {error}") from error
    check_tokenizer_json(text, str(path), _as_error, vocab_size=size)
    probe(text, path)
    tokenizer = parse_tokenizer(text, str(path), _as_error)
    content = _parse(text, path).values
    folder = path.parent
    settings = read_settings(folder, tokenizer.get_added_tokens_decoder())
    named_class = class_of(settings, folder, has_json=True)
    normalizer = content.get("normalizer")
    follows_settings = (
        named_class is not None and named_class.has_bert_settings and is_bert(normalizer)
    )
    if follows_settings:
        normalizer = with_bert_settings(normalizer, settings)
    changed: Mapping[str, Any] = {
        **dict.fromkeys(_PARTS),
        **content,
        "normalizer": without_nmt(overrides.apply_to_json(normalizer)) or _NOTHING,
    }
    if not _has_token_types(settings, named_class):
        changed = without_token_types(changed)
    if changed != content:
        text_of_changed = json.dumps(changed)
        tokenizer = load_tokenizer(text_of_changed, str(path), _as_error, vocab_size=size)
    before = _states(tokenizer)
    special = _special_tokens(tokenizer, settings, named_class)
    add_tokens(tokenizer, settings, special, folder)
    kept = text if changed == content and _states(tokenizer) == before else None
    warnings = () if follows_settings else find_contradictions(tokenizer, settings, overrides)
    return _Effective(tokenizer, settings, special, kept, warnings)


def _build(folder: Path, overrides: Overrides) -> tuple[_Effective, Path] | None:
    """Build a tokenizer from the vocabulary of its class, else from the one that is there.

    Returns:
        The tokenizer, and the path of the vocabulary.
    """
    settings = overrides.apply(read_settings(folder))
    named_class = class_of(settings, folder, has_json=False)
    classes = (named_class or GENERIC, ALBERT, BERT)
    there = (kind for kind in classes if kind.file and (folder / kind.file).is_file())
    kind = next(there, None)
    if kind is None or kind.file is None:
        return None
    path = folder / kind.file
    if kind is ALBERT:
        settings = matching_raw_text(settings)
    special = settings.special(kind.special)
    if kind is ALBERT:
        tokenizer = unigram_tokenizer(path, settings)
    else:
        tokenizer = wordpiece_tokenizer(path, settings, str(special.get("unk_token")))
    add_tokens(tokenizer, settings, special, folder)
    set_template(tokenizer, special, folder, has_types=_has_token_types(settings, named_class))
    return _Effective(tokenizer, settings, special), path


def _parse(text: str, place: object) -> JsonObject:
    return parse_object(text, str(place), _as_error)


def _check_effect(tokenizer: Tokenizer, overrides: Overrides, folder: Path) -> None:
    """Check that the options did what they say; a character map can fold case, too."""
    effects = {"keep_accents": keeps_accents, "lowercase": lowercases}
    for option, effect in effects.items():
        wanted = getattr(overrides, option)
        if wanted is not None and effect(tokenizer) != wanted:
            raise CheckpointError(
                Message(
                    f"{folder} does not allow ",
                    Argument(option, wanted),
                    ": its normalizer does the opposite in a step of another kind.",
                ),
                tip="Leave it out, or change the normalizer in tokenizer.json.",
            )


def _special_tokens(
    tokenizer: Tokenizer, settings: Settings, named_class: TokenizerClass | None
) -> dict[str, Token]:
    """Return the special tokens of a tokenizer.json by role."""
    model = type(tokenizer.model)
    if named_class is None and model is models.Unigram:
        return settings.special(ALBERT.special)  # as transformers does
    if named_class is not None and named_class is not GENERIC:
        return settings.special(named_class.special)
    # Their roles are not named, but BERT's names mean BERT's roles, if these tokens are there.
    usual = (ALBERT if model is models.Unigram else BERT).special
    there = {str(token) for token in tokenizer.get_added_tokens_decoder().values()}
    if named_class is None:
        there |= tokenizer.get_vocab().keys()
    names = {role: str(token) for role, token in usual.items()}
    return settings.special({role: name for role, name in names.items() if name in there})


def _has_token_types(settings: Settings, named_class: TokenizerClass | None) -> bool:
    inputs = settings.config.texts("model_input_names", None)
    if inputs is not None:
        return "token_type_ids" in inputs
    if settings.is_saved_by_5 and not (named_class and named_class.has_bert_settings):
        return False
    return named_class is None or named_class.has_token_types


def _states(tokenizer: Tokenizer) -> dict[int, Any]:
    """Return the added tokens with their flags, by id."""
    added = tokenizer.get_added_tokens_decoder()
    return {token_id: token.__getstate__() for token_id, token in added.items()}
