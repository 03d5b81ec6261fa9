"""Decide which of transformers' tokenizer classes a checkpoint means, and what it implies.

tokenizer_config.json names it, else config.json. Where neither does, transformers takes
AlbertTokenizer for every ALBERT, which cannot read a WordPiece vocabulary; here the vocabulary
decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenizers import AddedToken

from albert_edge.checkpoint.tokenizer.settings import Settings, Token
from albert_edge.errors import CheckpointError

_ALBERT_TOKENS: dict[str, Token] = {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "<unk>",
    "sep_token": "[SEP]",
    "pad_token": "<pad>",
    "cls_token": "[CLS]",
    # Includes the space before it, as a SentencePiece word does.
    "mask_token": AddedToken("[MASK]", lstrip=True, normalized=False, special=True),
}
_BERT_TOKENS: dict[str, Token] = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


@dataclass(frozen=True, slots=True)
class TokenizerClass:
    """What one of transformers' classes implies.

    Attributes:
        file: Its vocabulary, or None if it reads only tokenizer.json.
        special: Its special tokens by role, for those that a checkpoint does not name.
        has_bert_settings: Whether its `do_lower_case`, `strip_accents` and
            `tokenize_chinese_chars` override the normalizer of a tokenizer.json.
        has_token_types: Whether it marks the second text of a pair.
    """

    file: str | None = None
    special: Mapping[str, Token] = field(default_factory=dict)
    has_bert_settings: bool = False
    has_token_types: bool = True


ALBERT = TokenizerClass("spiece.model", _ALBERT_TOKENS)
BERT = TokenizerClass("vocab.txt", _BERT_TOKENS, has_bert_settings=True)
GENERIC = TokenizerClass()

_CLASSES = {
    "AlbertTokenizer": ALBERT,
    "BertTokenizer": BERT,
    "ConvBertTokenizer": BERT,
    "DistilBertTokenizer": TokenizerClass(
        "vocab.txt", _BERT_TOKENS, has_bert_settings=True, has_token_types=False
    ),
    "ElectraTokenizer": BERT,
    "MobileBertTokenizer": BERT,
    "SqueezeBertTokenizer": BERT,
    "PreTrainedTokenizer": GENERIC,
    "PreTrainedTokenizerFast": GENERIC,
    "TokenizersBackend": GENERIC,
}
# These split a text into words before their vocabulary applies, by the rules of another program.
_ANALYSERS = {
    "BertJapaneseTokenizer": "MeCab, Sudachi or Juman++",
    "CpmTokenizer": "jieba",
    "RoFormerTokenizer": "jieba",
}


def class_of(settings: Settings, place: object, *, has_json: bool) -> TokenizerClass | None:
    """Return the class that a checkpoint names, or None if it names none.

    Args:
        settings: Its settings.
        place: Its folder, for errors.
        has_json: Whether it has a tokenizer.json, which a class that is not known here reads
            unchanged.

    Raises:
        CheckpointError: The class needs a morphological analyser, or more than its vocabulary.
    """
    name = settings.tokenizer_class
    if name is None:
        return None
    if name in _ANALYSERS:
        raise CheckpointError(
            f"{place} asks for {name}, which splits texts into words with a morphological "
            f"analyser ({_ANALYSERS[name]}) before its vocabulary applies; albert-edge has none.",
            tip="Export a copy of the folder without its tokenizer files: that bundle takes token "
            "ids, through albert_edge.Session, and transformers' AutoTokenizer makes them.",
        )
    if name not in _CLASSES and not has_json:
        raise CheckpointError(
            f"{place} asks for {name}, which cannot be built from its vocabulary only.",
            tip="Load it with transformers as a fast tokenizer and save_pretrained it: "
            "its tokenizer.json is used.",
        )
    return _CLASSES.get(name, GENERIC)
