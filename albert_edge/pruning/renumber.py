"""New ids in the files of a bundle that name tokens by their id."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

Renumber = Callable[[int], int]
Content = Mapping[str, Any]


def renumber_tokenizer(content: Content, kept: Collection[str], renumber: Renumber) -> Content:
    """Return a tokenizer.json with some of its pieces.

    Args:
        content: The file, parsed; its model is Unigram or WordPiece.
        kept: The pieces that stay.
        renumber: From the id of a token that stays to its new id.
    """
    return {
        **content,
        "added_tokens": [
            {**token, "id": renumber(token["id"])} for token in content.get("added_tokens") or ()
        ],
        "post_processor": _post_processor(content.get("post_processor"), renumber),
        "padding": _with(content.get("padding"), pad_id=renumber),
        "model": _model(content["model"], kept, renumber),
    }


def renumber_tokenizer_config(content: Content, renumber: Renumber) -> Content:
    """Return a tokenizer_config.json with new ids of its added tokens."""
    if "added_tokens_decoder" not in content:
        return content
    added = content["added_tokens_decoder"].items()
    return {
        **content,
        "added_tokens_decoder": {str(renumber(int(at))): token for at, token in added},
    }


def renumber_config(content: Content, rows: int, renumber: Renumber) -> Content:
    """Return a config.json with another `vocab_size`, and new ids of its special tokens.

    Args:
        content: The file, parsed.
        rows: The new `vocab_size`.
        renumber: From any id to the new one.
    """

    def renumbered(value: Any) -> Any:
        if isinstance(value, list):
            return [*map(renumbered, value)]
        is_id = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return renumber(value) if is_id else value

    ids = {name: renumbered(value) for name, value in content.items() if names_ids(name)}
    return {**content, **ids, "vocab_size": rows}


def names_ids(field: str) -> bool:
    """Return whether a field of config.json is the id of a special token, or a list of ids."""
    return field.endswith("_token_id")


def _model(model: Content, kept: Collection[str], renumber: Renumber) -> Content:
    vocab = model["vocab"]
    if model["type"] == "WordPiece":
        ids = {piece: renumber(at) for piece, at in vocab.items() if piece in kept}
        return {**model, "vocab": ids}
    entries = [entry for entry in vocab if entry[0] in kept]
    return {**_with(model, unk_id=renumber), "vocab": entries}


def _post_processor(part: Content | None, renumber: Renumber) -> Content | None:
    """Renumber what puts special tokens around a text, in each of its layouts."""
    if part is None:
        return None
    match part["type"]:
        case "Sequence":
            parts = [_post_processor(one, renumber) for one in part["processors"]]
            return {**part, "processors": parts}
        case "TemplateProcessing":
            tokens = {
                name: {**token, "ids": [*map(renumber, token["ids"])]}
                for name, token in part["special_tokens"].items()
            }
            return {**part, "special_tokens": tokens}
        case "BertProcessing" | "RobertaProcessing":
            pairs = {name: [part[name][0], renumber(part[name][1])] for name in ("cls", "sep")}
            return {**part, **pairs}
        case _:
            return part


def _with(content: Content | None, **changes: Renumber) -> Any:
    """Return an object with some of its fields changed, where they are not null."""
    if content is None:
        return None
    known = {name: change for name, change in changes.items() if content.get(name) is not None}
    return {**content, **{name: change(content[name]) for name, change in known.items()}}
