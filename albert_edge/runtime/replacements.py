"""What a caller may pass in place of files of a bundle: a tokenizer and a configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from albert_edge.architecture.config import read_config
from albert_edge.bundle.bundle import Bundle, is_bundle, open_bundle
from albert_edge.errors import UsageError
from albert_edge.runtime.text import TextEncoder, load_text_encoder
from albert_edge.validation.tokenizer_library import library_faults, load_tokenizer

# The settings of a tokenizer that the runtime reads, besides the names of special tokens.
_SETTINGS = ("padding_side", "truncation_side", "clean_up_tokenization_spaces")


_as_error = partial(
    UsageError, tip="Leave it out, or pass a tokenizer that was saved with an ALBERT."
)


def replace_tokenizer(bundle: Bundle, tokenizer: Any) -> TextEncoder | None:
    """Return the tokenizer that takes the place of a bundle's own; None to keep that one.

    Args:
        bundle: The bundle.
        tokenizer: A fast tokenizer of transformers; a bundle; the path or the source of this
            bundle; or one of these names and {"use_fast": ...}, in a tuple.

    Raises:
        UsageError: It is something else.
    """
    match tokenizer:
        case (str() | os.PathLike() as name, Mapping() as settings):
            return replace_tokenizer(bundle, _without_settings(name, settings))
        case None:
            return None
        case str() | os.PathLike():
            if _names(bundle, tokenizer):
                return None
            if not is_bundle(tokenizer):
                raise _unusable(f"{os.fspath(tokenizer)!r}, which is not a bundle")
            return _limited(load_text_encoder(open_bundle(tokenizer)), bundle)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise _unusable(f"a {type(tokenizer).__name__}, which has no fast tokenizer inside")
    with library_faults("tokenizer cannot be copied", _as_error):
        text = backend.to_str()
    copy = load_tokenizer(text, "tokenizer", _as_error)
    copy.no_padding()
    copy.no_truncation()
    special = tokenizer.special_tokens_map
    settings = {name: str(token) for name, token in special.items() if not isinstance(token, list)}
    settings |= {name: getattr(tokenizer, name) for name in _SETTINGS if hasattr(tokenizer, name)}
    limit, side = int(tokenizer.model_max_length), tokenizer.truncation_side
    return _limited(TextEncoder(copy, limit, side, settings, "tokenizer"), bundle)


def require_same_answers(bundle: Bundle, config: Any) -> None:
    """Check that a configuration would not change the answers of a bundle.

    Args:
        bundle: The bundle.
        config: A configuration of transformers; the folder of a configuration; or the folder or
            source of the bundle.

    Raises:
        UsageError: It has other labels or another problem type, or cannot be read.
    """
    tip = "Change config.json of the checkpoint, and export again."
    if config is None or (isinstance(config, str | os.PathLike) and _names(bundle, config)):
        return
    if isinstance(config, str | os.PathLike):
        path = Path(config) / "config.json"
        if is_bundle(config):
            known = open_bundle(config).read_config()
        elif path.is_file():
            known = read_config(path)
        else:
            raise UsageError(f"config is {os.fspath(config)!r}, which has no config.json.", tip=tip)
        labels, problem = known.labels, known.problem_type
    else:
        names = getattr(config, "id2label", None) or {}
        labels = tuple(names[index] for index in sorted(names))
        problem = getattr(config, "problem_type", None)
    manifest = bundle.manifest
    if manifest.labels and (labels, problem) != (manifest.labels, manifest.problem_type):
        raise UsageError(
            f"config has the labels {list(labels)} and the problem type {problem}; the bundle has "
            f"{list(manifest.labels)} and {manifest.problem_type}.",
            tip=tip,
        )


def _names(bundle: Bundle, name: str | os.PathLike[str]) -> bool:
    """Return whether a name is that of the bundle, or of the checkpoint it was exported from."""
    return os.fspath(name) == bundle.manifest.source or (
        Path(name).resolve() == bundle.path.resolve()
    )


def _without_settings(name: Any, settings: Mapping[str, Any]) -> Any:
    if settings.keys() - {"use_fast"}:
        raise _unusable(f"{os.fspath(name)!r} with settings, which were fixed at export")
    return name


def _limited(encoder: TextEncoder, bundle: Bundle) -> TextEncoder:
    """Bound the length of texts by the positions of the model."""
    positions = bundle.read_config().max_position_embeddings
    return replace(encoder, max_length=min(encoder.max_length, positions))


def _unusable(what: str) -> UsageError:
    return UsageError(
        f"tokenizer is {what}.",
        tip="Leave it out, or pass AutoTokenizer.from_pretrained(...) of transformers.",
    )
