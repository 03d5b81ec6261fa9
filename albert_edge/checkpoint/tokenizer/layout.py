"""What transformers 4, transformers 5 and transformers.js need beside a tokenizer.json.

Which class tokenizer_config.json names decides what they do with the file:

    class                     transformers 4   transformers 5      transformers.js
    BertTokenizer             as it is *       builds it anew      as it is, with token types
    AlbertTokenizer           as it is         builds it anew      as it is, with token types
    ConvBertTokenizer         as it is *       as it is **         as it is, with token types
    PreTrainedTokenizerFast   as it is         as it is            as it is, no token types

    *  but for lower case, accents and Chinese characters, where the settings differ
    ** but for the template of special tokens, which it sets to [CLS] A [SEP] B [SEP]

So a bundle names BertTokenizer where building anew gives the same, and ConvBertTokenizer elsewhere;
only without token types, or with another template, PreTrainedTokenizerFast.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from albert_edge.checkpoint.tokenizer.settings import Settings, Token

_POSITIONS = 512
# Facts of the machine that saved the checkpoint, tokens under another name, and settings that
# tokenizer.json decides.
_DROPPED = frozenset(
    {
        "do_lower_case",
        "extra_special_tokens",
        "fast_tokenizer_files",
        "is_local",
        "keep_accents",
        "local_files_only",
        "name_or_path",
        "remove_space",
        "special_tokens_map_file",
        "strip_accents",
        "tokenize_chinese_chars",
        "tokenizer_file",
        "vocab_file",
    }
)
# Roles that BertTokenizer gives a token by default; null tells it not to.
_BERT_ROLES = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

Content = Mapping[str, Any]


def tokenizer_config(
    content: Content, tokenizer: Tokenizer, settings: Settings, special: Mapping[str, Token]
) -> dict[str, Any]:
    """Complete a checkpoint's tokenizer_config.json with what the readers of a bundle need.

    Args:
        content: The bundle's tokenizer.json, parsed.
        tokenizer: The tokenizer it describes.
        settings: The settings of the checkpoint.
        special: The special tokens by role.
    """
    positions = int(settings.model.number("max_position_embeddings", _POSITIONS))
    kept = {name: value for name, value in settings.config.values.items() if name not in _DROPPED}
    config = {
        "model_max_length": settings.config.values.get("max_len", positions),
        "clean_up_tokenization_spaces": False,  # the default of transformers, not of JavaScript
        **kept,
        # Without this transformers 5 omits token_type_ids.
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **dict.fromkeys(_BERT_ROLES),
        **special_tokens(settings, special),
        "added_tokens_decoder": {
            str(token_id): token.__getstate__()
            for token_id, token in sorted(tokenizer.get_added_tokens_decoder().items())
        },
        "tokenizer_class": _tokenizer_class(content, special),
    }
    normalizer = content["normalizer"]
    if normalizer["type"] == "BertNormalizer":
        config |= {
            "do_lower_case": normalizer["lowercase"],
            "strip_accents": normalizer.get("strip_accents"),
            "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
        }
    return config


def special_tokens(settings: Settings, special: Mapping[str, Token]) -> dict[str, Any]:
    """Return the content of special_tokens_map.json."""
    names: dict[str, Any] = {role: str(token) for role, token in special.items()}
    if settings.extra:
        names["additional_special_tokens"] = [str(token) for token in settings.extra]
    return names


def without_token_types(content: Content) -> Content:
    """Return a tokenizer.json that gives every token type 0.

    A model gets zeros where transformers gives no token types.
    """
    post = content.get("post_processor") or {}
    if post.get("type") == "BertProcessing":
        (cls, cls_id), (sep, sep_id) = post["cls"], post["sep"]
        post = _template(cls, sep) | {"special_tokens": _ids({cls: cls_id, sep: sep_id})}
    elif post.get("type") != "TemplateProcessing":
        return content
    untyped = {
        name: [
            {kind: {**values, "type_id": 0} for kind, values in part.items()} for part in post[name]
        ]
        for name in ("single", "pair")
    }
    return {**content, "post_processor": {**post, **untyped}}


def _tokenizer_class(content: Content, special: Mapping[str, Token]) -> str:
    if not _has_common_template(content, special):
        return "PreTrainedTokenizerFast"
    return "BertTokenizer" if _is_plain_bert(content, special) else "ConvBertTokenizer"


def _has_common_template(content: Content, special: Mapping[str, Token]) -> bool:
    """Return whether a pair becomes [CLS] A [SEP] B [SEP], with type 1 from B on."""
    post = content["post_processor"] or {}
    cls, sep = (str(special.get(role)) for role in ("cls_token", "sep_token"))
    if post.get("type") == "BertProcessing":
        return bool(post["cls"][0] == cls and post["sep"][0] == sep)
    common = _template(cls, sep)
    return all(post.get(name) == value for name, value in common.items())


def _template(cls: str, sep: str) -> dict[str, Any]:
    def part(kind: str, name: str, token_type: int = 0) -> dict[str, Any]:
        return {kind: {"id": name, "type_id": token_type}}

    single = [part("SpecialToken", cls), part("Sequence", "A"), part("SpecialToken", sep)]
    pair = [*single, part("Sequence", "B", 1), part("SpecialToken", sep, 1)]
    return {"type": "TemplateProcessing", "single": single, "pair": pair}


def _ids(tokens: Mapping[str, int]) -> dict[str, Any]:
    return {
        text: {"id": text, "ids": [token_id], "tokens": [text]} for text, token_id in tokens.items()
    }


def _is_plain_bert(content: Content, special: Mapping[str, Token]) -> bool:
    """Return whether BertTokenizer of transformers 5 builds the same from the vocabulary."""
    model, normalizer = content["model"], content["normalizer"]
    plain = {
        "type": "WordPiece",
        "unk_token": str(special.get("unk_token")),
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    }
    return (
        all(model.get(name) == value for name, value in plain.items())
        and normalizer["type"] == "BertNormalizer"
        and normalizer["clean_text"]
        and content["pre_tokenizer"] == {"type": "BertPreTokenizer"}
    )
