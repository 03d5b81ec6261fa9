"""Checkpoint folders as people have them, without weights: one quirk of the tokenizer each."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sentencepiece import sentencepiece_model_pb2
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from albert_edge.checkpoint.tokenizer import TokenizerFiles
from support import paths

DATA = paths.DATA / "tokenizers"
TEXTS = [
    "A good Hotel, isn't it? (yes-no) U.S.",
    "Över få ringar på ÅÄÖ fa far, naïve café CAFE",
    "हिन्दी की और का क्षेत्र में",
    "می‌خواهم کتاب‌ها را بخوانم",
    "がぎぐ かきく パン ハン 東京タワー",
    "今天天气很好。2010,年 10,000元",
    "한국어 문장",
    "👍🏽 ok 👩‍👩‍👧 ❤️",
    "tab\there\x07 new\nline\u200b end",
    "a [MASK] b[MASK]c <mask> d [SEP] e <pad> [PAD] f",
    "x <new>  y  <ent>z a<ent>b Born born bornx [NEW] é<ent>",
    "cafe\u0301 A\u030a \u00bd ﬁne",
    "  leading  and   more  spaces ",
    "",
]
PAIRS = list(zip(TEXTS, [*TEXTS[3:], *TEXTS[:3]], strict=True))
# Pieces that a user of SentencePiece defined; English ALBERT has these too.
USER_DEFINED = ["(", ")", "-", "."]
WORDS = ["good", "hotel", "Hotel", "far", "få", "fa", "born", "की", "का", "パン", "ハン", "東京"]

Files = Mapping[str, Any]
Content = dict[str, Any]


@dataclass(frozen=True)
class Folder:
    """A checkpoint folder.

    Attributes:
        name: What is special about it.
        base: What it is written from: small vocabularies that are made here, as tokenizer.json
            ("wordpiece", "unigram") or bare ("words", "pieces"), or a file of
            tests/data/tokenizers.
        files: Further JSON files by name, without the suffix.
        edit: Changes the content of its tokenizer.json.
        in_4: Why transformers 4.57 is no reference for it, or "".
        in_5: Why transformers 5 is none.
        types_in_5: Whether transformers 5 gives it token types.
        in_javascript: Why transformers.js gives other ids for its bundle, or "".
    """

    name: str
    base: tuple[str, ...]
    files: Files = field(default_factory=dict)
    edit: Callable[[Content], Any] = lambda content: None
    in_4: str = ""
    in_5: str = ""
    types_in_5: bool = True
    in_javascript: str = ""

    def write(self, folder: Path) -> Path:
        """Write it."""
        folder.mkdir(parents=True, exist_ok=True)
        for base in self.base:
            if base in _JSON:
                content = json.loads(_JSON[base]())
                self.edit(content)
                _write(folder / "tokenizer.json", content)
            elif base == "words":
                (folder / "vocab.txt").write_text("\n".join(_wordpieces()), encoding="utf-8")
            elif base == "pieces":
                (folder / "spiece.model").write_bytes(_spiece())
            else:
                (folder / base).write_bytes((DATA / base).read_bytes())
        config = {"model_type": "albert", "max_position_embeddings": 512}
        for name, content in {"config": {}, **self.files}.items():
            _write(folder / f"{name}.json", config | content if name == "config" else content)
        return folder


def write_bundle(files: TokenizerFiles, folder: Path) -> Path:
    """Write tokenizer files as a bundle holds them."""
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(files.tokenizer_json.encode())
    _write(folder / "tokenizer_config.json", files.tokenizer_config)
    _write(folder / "special_tokens_map.json", files.special_tokens_map)
    _write(folder / "config.json", {"model_type": "albert"})
    return folder


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _characters() -> list[str]:
    """Every letter of the texts and what becomes of it; no emoji, so that some are unknown."""
    forms = [form for text in TEXTS for form in (text, text.lower(), text.upper())]
    forms += [unicodedata.normalize(name, form) for form in forms for name in ("NFKD", "NFKC")]
    return sorted(
        {c for form in forms for c in form if c.isprintable() and ord(c) < 0x1F000} - {" "}
    )


def _wordpieces() -> list[str]:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<mask>", "[NEW]"]
    pieces += [*_characters(), *(f"##{c}" for c in _characters()), *WORDS]
    return list(dict.fromkeys(pieces))


@cache
def _wordpiece() -> str:
    pieces = _wordpieces()
    vocab = {piece: at for at, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = [AddedToken(piece, special=True) for piece in pieces[:5]]
    return _finished(tokenizer, special)


_UNIGRAM_SPECIALS = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]


def _unigram_pieces() -> list[tuple[str, float]]:
    pieces = ["▁", *_characters(), *(f"▁{word}" for word in WORDS), "▁2010,"]
    scored = [(piece, -3 - at / 100) for at, piece in enumerate(dict.fromkeys(pieces))]
    return [*((piece, 0.0) for piece in _UNIGRAM_SPECIALS), *scored]


@cache
def _unigram() -> str:
    tokenizer = Tokenizer(models.Unigram(_unigram_pieces(), unk_id=1))
    steps = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    steps += [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    steps += [normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    added = [AddedToken(piece, special=True) for piece in _UNIGRAM_SPECIALS[:4]]
    mask = AddedToken("[MASK]", lstrip=True, normalized=False, special=True)
    return _finished(tokenizer, [*added, mask])


@cache
def _spiece() -> bytes:
    """The same pieces as spiece.model, with the character map of the real one."""
    real = sentencepiece_model_pb2.ModelProto.FromString((DATA / "spiece.model").read_bytes())
    model = sentencepiece_model_pb2.ModelProto()
    for text, score in _unigram_pieces():
        user_defined = text in USER_DEFINED
        kind = {"<unk>": 2}.get(text, 3 if text in _UNIGRAM_SPECIALS else 4 if user_defined else 1)
        model.pieces.add(piece=text, score=0.0 if user_defined else score, type=kind)
    model.trainer_spec.unk_id = 1
    model.normalizer_spec.CopyFrom(real.normalizer_spec)
    return bytes(model.SerializeToString())


def _finished(tokenizer: Tokenizer, added: list[AddedToken]) -> str:
    tokenizer.add_tokens(added)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return str(tokenizer.to_str())


_JSON: dict[str, Callable[[], str]] = {"wordpiece": _wordpiece, "unigram": _unigram}


def _normalizer(**changes: Any) -> Callable[[Content], None]:
    """Change the fields of a BertNormalizer."""
    return lambda content: content["normalizer"].update(changes)


def _not_added(*texts: str) -> Callable[[Content], None]:
    """Remove tokens from added_tokens; they stay in the vocabulary."""

    def edit(content: Content) -> None:
        content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] not in texts]

    return edit


def _flags(text: str, **flags: bool) -> Callable[[Content], None]:
    """Change the flags of an added token."""

    def edit(content: Content) -> None:
        for token in content["added_tokens"]:
            if token["content"] == text:
                token.update(flags)

    return edit


def _bert_in_sequence(content: Content) -> None:
    content["normalizer"] = {"type": "Sequence", "normalizers": [content["normalizer"]]}


def _without_parts(content: Content) -> None:
    """Leave out what is null, as some programs do."""
    del content["decoder"], content["truncation"], content["padding"]


def _with_nmt(content: Content) -> None:
    """Normalize as SentencePieceUnigramTokenizer of the tokenizers library does."""
    steps = content["normalizer"]["normalizers"]
    content["normalizer"]["normalizers"] = [{"type": "Nmt"}, {"type": "NFKC"}, *steps[4:]]


def _as_older_versions(content: Content) -> None:
    """Lay it out as older versions did, with WhitespaceSplit and a Metaspace of other fields."""
    metaspace = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    split = {"type": "WhitespaceSplit"}
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, metaspace]}
    content["decoder"] = metaspace
    content["normalizer"]["normalizers"].pop()


def _token(content: str, **flags: bool) -> dict[str, Any]:
    usual = dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word", "special"), False)
    return {"content": content, **usual, **flags}


def _config(name: str | None = None, **fields: Any) -> dict[str, Any]:
    """The content of a folder with this tokenizer_config.json."""
    return {"tokenizer_config": fields | ({"tokenizer_class": name} if name else {})}


_BERT = "BertTokenizer"
_ALBERT = "AlbertTokenizer"
_SPECIAL = {"mask_token": "[MASK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
_REBUILDS = "transformers 5 builds AlbertTokenizer anew, from the vocabulary"
_LIST = "transformers 4 cannot load a list of extra_special_tokens"


def _ids(*texts: str) -> dict[str, Any]:
    return {str(at): _token(text, special=True) for at, text in enumerate(texts)}


_WORDPIECE_SIZE = len(_wordpieces())
_UNIGRAM_SIZE = len(_unigram_pieces())
WORDPIECE = [
    Folder("saved", ("wordpiece",), _config(_BERT, do_lower_case=True)),
    Folder("cased", ("wordpiece",), _config(_BERT, do_lower_case=False)),
    Folder(
        "uncased", ("wordpiece",), _config(_BERT, do_lower_case=True), _normalizer(lowercase=False)
    ),
    Folder(
        "class-defaults",
        ("wordpiece",),
        _config("BertTokenizerFast"),
        _normalizer(lowercase=False, strip_accents=False, handle_chinese_chars=False),
    ),
    Folder("keeps-accents", ("wordpiece",), _config(_BERT, strip_accents=False)),
    Folder(
        "strips-accents", ("wordpiece",), _config(_BERT, strip_accents=True, do_lower_case=False)
    ),
    Folder("no-chinese", ("wordpiece",), _config(_BERT, tokenize_chinese_chars=False)),
    Folder(
        "class-in-config",
        ("wordpiece",),
        {"config": {"tokenizer_class": _BERT}},
        _normalizer(lowercase=False),
    ),
    Folder("electra", ("wordpiece",), _config("ElectraTokenizer", do_lower_case=False)),
    Folder("distilbert", ("wordpiece",), _config("DistilBertTokenizer")),
    Folder(
        "generic",
        ("wordpiece",),
        _config("PreTrainedTokenizerFast", do_lower_case=False, **_SPECIAL),
        types_in_5=False,
    ),
    Folder("of-5", ("wordpiece",), _config("TokenizersBackend", **_SPECIAL), in_4="unknown to it"),
    Folder(
        "in-sequence",
        ("wordpiece",),
        _config("PreTrainedTokenizerFast", **_SPECIAL),
        _bert_in_sequence,
        types_in_5=False,
    ),
    Folder(
        "no-class",
        ("wordpiece",),
        in_4="it takes AlbertTokenizer, and adds its <pad> and <unk>",
        in_5="it takes AlbertTokenizer, and fails",
    ),
    Folder("without-parts", ("wordpiece",), _config(_BERT), _without_parts),
    Folder(
        "not-added",
        ("wordpiece",),
        _config(_BERT, mask_token="[MASK]"),
        _not_added("[MASK]", "[PAD]"),
    ),
    Folder("renamed", ("wordpiece",), _config(_BERT, mask_token="<mask>")),
    Folder("renamed-beyond", ("wordpiece",), _config(_BERT, pad_token="<pad>")),
    Folder(
        "additional", ("wordpiece",), _config(_BERT, additional_special_tokens=["[NEW]", "<new>"])
    ),
    Folder(
        "extra-object", ("wordpiece",), _config(_BERT, extra_special_tokens={"new_token": "<new>"})
    ),
    Folder(
        "extra-list", ("wordpiece",), _config(_BERT, extra_special_tokens=["<new>"]), in_4=_LIST
    ),
    Folder(
        "special-map",
        ("wordpiece",),
        _config(_BERT)
        | {
            "special_tokens_map": {
                "mask_token": _token("<mask>", lstrip=True),
                "additional_special_tokens": ["<new>"],
            }
        },
    ),
    Folder(
        "additional-with-flags",
        ("wordpiece",),
        _config(_BERT)
        | {
            "special_tokens_map": {
                "additional_special_tokens": ["<new>", _token("<ent>", rstrip=True)]
            }
        },
        in_5="it raises a TypeError for flags in additional_special_tokens",
    ),
    Folder(
        "added-tokens-json",
        ("wordpiece",),
        _config(_BERT, additional_special_tokens=["<new>"])
        | {"added_tokens": {"<new>": _WORDPIECE_SIZE, "Born": _WORDPIECE_SIZE + 1}},
    ),
    Folder(
        "more-in-decoder",
        ("wordpiece",),
        _config(
            _BERT,
            added_tokens_decoder={
                **_ids("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
                str(_WORDPIECE_SIZE): _token("<new>", lstrip=True, rstrip=True, special=True),
                str(_WORDPIECE_SIZE + 1): _token("Born", normalized=True),
            },
        ),
    ),
    Folder(
        "single-word",
        ("wordpiece",),
        _config(
            _BERT,
            added_tokens_decoder={
                **_ids("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
                str(_WORDPIECE_SIZE): _token("<ent>", single_word=True),
                str(_WORDPIECE_SIZE + 1): _token("Born", single_word=True, normalized=True),
            },
        ),
        in_javascript="transformers.js ignores single_word",
    ),
    Folder(
        "other-flags-in-decoder",
        ("wordpiece",),
        _config(_BERT, added_tokens_decoder={"4": _token("[MASK]", lstrip=True, special=True)}),
    ),
    Folder(
        "other-flags-in-map",
        ("wordpiece",),
        _config(_BERT) | {"special_tokens_map": {"mask_token": _token("[MASK]", rstrip=True)}},
    ),
    Folder(
        "additional-twice",
        ("wordpiece",),
        _config(_BERT, additional_special_tokens=["<new>"])
        | {"special_tokens_map": {"additional_special_tokens": ["<ent>", "<new>"]}},
        in_5="it reads the list of one file only",
    ),
    Folder(
        "settings-beside-a-sequence",
        ("wordpiece",),
        _config(_BERT, do_lower_case=False),
        _bert_in_sequence,
        in_5="it builds BERT's normalizer",
    ),
    Folder("no-types", ("wordpiece",), _config(_BERT, model_input_names=["input_ids"])),
]
UNIGRAM = [
    Folder("saved", ("unigram",), _config(_ALBERT), in_5=_REBUILDS),
    Folder("no-class", ("unigram",), in_5=_REBUILDS),
    Folder(
        "generic",
        ("unigram",),
        _config("PreTrainedTokenizerFast", keep_accents=True, **_SPECIAL),
        types_in_5=False,
    ),
    Folder("of-5", ("unigram",), _config("TokenizersBackend", **_SPECIAL), in_4="unknown to it"),
    Folder(
        "nmt",
        ("unigram",),
        _config("PreTrainedTokenizerFast", **_SPECIAL),
        _with_nmt,
        types_in_5=False,
    ),
    Folder(
        "of-older-versions", ("unigram",), _config(_ALBERT), _as_older_versions, types_in_5=False
    ),
    Folder(
        "saved-by-5",
        ("unigram",),
        _config(_ALBERT, backend="tokenizers", extra_special_tokens=["<new>"], keep_accents=False),
        _as_older_versions,
        in_4=_LIST,
    ),
    Folder("cased-beside", ("unigram",), _config(_ALBERT, do_lower_case=False), in_5=_REBUILDS),
    Folder("keep-beside", ("unigram",), _config(_ALBERT, keep_accents=True), in_5=_REBUILDS),
    Folder("not-added", ("unigram",), _config(_ALBERT), _not_added("[MASK]"), in_5=_REBUILDS),
    Folder(
        "renamed",
        ("unigram",),
        _config(_ALBERT, mask_token="<mask>", additional_special_tokens=["<new>"]),
        in_5=_REBUILDS,
    ),
    Folder(
        "flags-in-json",
        ("unigram",),
        _config(_ALBERT, mask_token="[MASK]"),
        _flags("[MASK]", lstrip=False, rstrip=True),
        in_5=_REBUILDS,
    ),
    Folder(
        "flags-of-the-class",
        ("unigram",),
        _config(_ALBERT),
        _flags("[MASK]", lstrip=False),
        in_5=_REBUILDS,
    ),
    Folder(
        "flags-in-decoder",
        ("unigram",),
        _config(_ALBERT, added_tokens_decoder={"4": _token("[MASK]", rstrip=True, special=True)}),
        in_5=_REBUILDS,
    ),
    Folder(
        "added-tokens-json",
        ("unigram",),
        _config(_ALBERT) | {"added_tokens": {"Born": _UNIGRAM_SIZE, "<ent>": _UNIGRAM_SIZE + 1}},
        in_5=_REBUILDS,
    ),
]

_NO_SLOW_CLASS = "the reference for spiece.model is the slow AlbertTokenizer of transformers 4"
_SPIECE = ("pieces",)
_VOCAB = ("words",)
SPIECE = [
    Folder("english", ("spiece.model",), in_5=_NO_SLOW_CLASS),
    Folder("bare", _SPIECE, in_5=_NO_SLOW_CLASS),
    Folder("named", _SPIECE, _config(_ALBERT), in_5=_NO_SLOW_CLASS),
    Folder("cased", _SPIECE, _config(do_lower_case=False), in_5=_NO_SLOW_CLASS),
    Folder(
        "keeps-accents",
        _SPIECE,
        _config(keep_accents=True, remove_space=False),
        in_5=_NO_SLOW_CLASS,
    ),
    Folder(
        "own-specials",
        _SPIECE,
        _config(cls_token="<s>", mask_token="<mask>", bos_token=None),
        in_5=_NO_SLOW_CLASS,
    ),
    Folder(
        "additional",
        _SPIECE,
        _config(additional_special_tokens=["<new>", "good"])
        | {
            "special_tokens_map": {
                "additional_special_tokens": ["<ent>"],
                "mask_token": _token("[MASK]", rstrip=True),
            }
        },
        in_5=_NO_SLOW_CLASS,
    ),
    Folder(
        "added-tokens-json",
        _SPIECE,
        {
            "special_tokens_map": {"sep_token": "</s>"},
            "added_tokens": {"</s>": _UNIGRAM_SIZE + 1, "Born": _UNIGRAM_SIZE},
        },
        in_5=_NO_SLOW_CLASS,
    ),
    Folder(
        "more-in-decoder",
        _SPIECE,
        _config(
            added_tokens_decoder={
                str(_UNIGRAM_SIZE): _token("Born", lstrip=True, rstrip=True, normalized=True),
                "4": _token("[MASK]", lstrip=True, special=True),
            },
            extra_special_tokens={"new_token": "<new>"},
        )
        | {"special_tokens_map": {"mask_token": "ignored"}},
        in_5=_NO_SLOW_CLASS,
    ),
]
VOCAB = [
    Folder("chinese", ("vocab.txt",), _config(_BERT)),
    Folder("named", _VOCAB, _config(_BERT)),
    Folder("beside-spiece", (*_VOCAB, *_SPIECE), _config(_BERT)),
    Folder("class-in-config", (*_VOCAB, *_SPIECE), {"config": {"tokenizer_class": _BERT}}),
    Folder("cased", _VOCAB, _config(_BERT, do_lower_case=False)),
    Folder("cased-stripped", _VOCAB, _config(_BERT, do_lower_case=False, strip_accents=True)),
    Folder("keeps-accents", _VOCAB, _config(_BERT, strip_accents=False)),
    Folder("no-chinese", _VOCAB, _config(_BERT, tokenize_chinese_chars=False)),
    Folder(
        "own-specials",
        _VOCAB,
        _config(_BERT, unk_token="[NEW]", cls_token="<s>", eos_token="x"),
    ),
    Folder(
        "added-tokens-json",
        _VOCAB,
        _config(_BERT)
        | {
            "special_tokens_map": {
                "additional_special_tokens": ["<new>"],
                "mask_token": "<mask>",
            },
            "added_tokens": {"Born": _WORDPIECE_SIZE, "<new>": _WORDPIECE_SIZE + 1},
        },
    ),
    Folder(
        "more-in-decoder",
        _VOCAB,
        _config(
            _BERT,
            added_tokens_decoder={
                **_ids("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
                str(_WORDPIECE_SIZE): _token("Born", lstrip=True, rstrip=True, normalized=True),
            },
        ),
    ),
]
FOLDERS = {
    f"{group}-{folder.name}": folder
    for group, folders in (
        ("wordpiece", WORDPIECE),
        ("unigram", UNIGRAM),
        ("spiece", SPIECE),
        ("vocab", VOCAB),
    )
    for folder in folders
}
