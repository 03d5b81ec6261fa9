"""The tokenizer built from a bare vocabulary against the one transformers builds from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2
from support import paths
from tokenizers import Tokenizer

from albert_edge.checkpoint.tokenizer import TokenizerFiles, build_tokenizer, read_tokenizer
from albert_edge.errors import CheckpointError

pytestmark = pytest.mark.reference

DATA = paths.DATA / "tokenizers"
SENTENCES = (DATA / "sentences.txt").read_text(encoding="utf-8").splitlines()
TEXTS = [
    "",
    " ",
    "This is a test",
    "I was born in 92000, and this is falsé.",
    "In 2010, 1,234,567 of 3,5 people paid £5-10 (or €9.99).",
    "``quoted'' and ''again`` \"here\"",
    "  many   spaces\tand\nlines \u3000 here  ",
    "ÀÉÎ ﬁne İstanbul ŒUVRE \u0041\u030a ½ ²",
    "a [MASK] b[MASK]c [SEP] d [CLS]<pad>[PAD] <unk>[UNK] e",
    "control\x00\x07\x1b\u200b\u202e\ufeff\ufffd chars\x85\u2028end",
    "emoji 👩‍👩‍👧 🇩🇪 ❤️",
    "中文没有空格2010,年 かな 한국어 𠀀",
    "x" * 101,
]
EXTRA_TOKEN = {"content": "<new>", "single_word": False, "lstrip": True, "rstrip": True}
Files = dict[str, Any]

SPIECE_SETTINGS: dict[str, Files] = {
    "bare": {},
    "cased": {"tokenizer_config.json": {"do_lower_case": False}},
    "accents": {"tokenizer_config.json": {"keep_accents": True, "remove_space": False}},
    "own-specials": {
        "tokenizer_config.json": {"cls_token": "<s>", "mask_token": "<mask>", "bos_token": None},
    },
    "extra-specials": {
        "tokenizer_config.json": {"additional_special_tokens": ["<a>", "test"]},
        "special_tokens_map.json": {
            "additional_special_tokens": ["<b>", EXTRA_TOKEN],
            "mask_token": {"content": "[MASK]", "lstrip": False, "rstrip": True},
        },
    },
    "legacy-added": {
        "special_tokens_map.json": {"sep_token": "</s>"},
        "added_tokens.json": {"</s>": 30001, "Many": 30000},
    },
    "added": {
        "tokenizer_config.json": {
            "added_tokens_decoder": {
                "30000": {**EXTRA_TOKEN, "content": "Born", "normalized": True, "special": False},
                "4": {**EXTRA_TOKEN, "content": "[MASK]", "normalized": False, "special": True},
            },
            "extra_special_tokens": {"image_token": "<image>"},
        },
        "special_tokens_map.json": {"mask_token": "ignored"},
    },
}
WORDPIECE_SETTINGS: dict[str, Files] = {
    "bare": {},
    "cased": {"tokenizer_config.json": {"do_lower_case": False}},
    "cased-stripped": {"tokenizer_config.json": {"do_lower_case": False, "strip_accents": True}},
    "accents": {"tokenizer_config.json": {"strip_accents": False}},
    "japanese": {"tokenizer_config.json": {"tokenize_chinese_chars": False}},
    "own-specials": {
        "tokenizer_config.json": {"unk_token": "[unused1]", "cls_token": "<s>", "eos_token": "x"},
    },
    "legacy-added": {
        "special_tokens_map.json": {"additional_special_tokens": ["<b>"], "mask_token": "<m>"},
        "added_tokens.json": {"Many": 21128, "<b>": 21129},
    },
    "added": {
        "tokenizer_config.json": {
            "added_tokens_decoder": {
                "21128": {**EXTRA_TOKEN, "content": "Born", "normalized": True, "special": False},
            },
        },
    },
}
IN_TRANSFORMERS_4 = int(transformers.__version__.split(".")[0]) == 4
# transformers 5 cuts spiece.model otherwise: "2010," stays whole, spaces beside "(" are dropped and
# offsets leave out the space before a word.
needs_transformers_4 = pytest.mark.skipif(
    not IN_TRANSFORMERS_4, reason="the reference for spiece.model is transformers 4"
)


def checkpoint(folder: Path, vocabulary: str, files: Mapping[str, Any]) -> Path:
    """Lay out a checkpoint folder without weights."""
    (folder / vocabulary).write_bytes((DATA / vocabulary).read_bytes())
    for name, content in {"config.json": {"model_type": "albert"}, **files}.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def save(files: TokenizerFiles | None, folder: Path) -> Path:
    """Write tokenizer files as a bundle holds them."""
    assert files is not None
    (folder / "tokenizer.json").write_bytes(files.tokenizer_json.encode())
    for name in ("tokenizer_config", "special_tokens_map"):
        (folder / f"{name}.json").write_text(json.dumps(getattr(files, name)), encoding="utf-8")
    (folder / "config.json").write_text('{"model_type": "albert"}', encoding="utf-8")
    return folder


def assert_same(ours: Tokenizer, theirs: Any, text: str, pair: str | None = None) -> None:
    """Compare ids, token types, mask and offsets of one text or pair."""
    got = ours.encode(text, pair or None)  # transformers takes an empty second text for none
    wanted = theirs(text, pair, return_offsets_mapping=True, return_token_type_ids=True)
    assert got.ids == wanted["input_ids"]
    assert got.type_ids == wanted["token_type_ids"]
    assert got.attention_mask == wanted["attention_mask"]
    assert got.offsets == wanted["offset_mapping"]


def built(folder: Path) -> Tokenizer:
    """The tokenizer built for a folder."""
    files = build_tokenizer(folder)
    assert files is not None
    return Tokenizer.from_str(files.tokenizer_json)


@dataclass(frozen=True, repr=False)  # hypothesis would print 300 kB of tokenizer
class Both:
    """The tokenizer built for a folder, and the one transformers makes of it."""

    ours: Tokenizer
    theirs: Any


TOKENS = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "<unk>", "<pad>", "``", "''", "(", "-", "."]
ANY_TEXT = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(
            [*TOKENS, "  ", "\t", "\u00a0", "\u3000", "é", "e\u0301", "İ", "ß", "👍🏽"]
        ),
        st.from_regex(r"[0-9]{1,4},[0-9]{0,3}", fullmatch=True),
        st.sampled_from(SENTENCES),
    ),
    max_size=8,
).map("".join)


@pytest.fixture(scope="module")
def spiece(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = checkpoint(tmp_path_factory.mktemp("spiece"), "spiece.model", {})
    return Both(built(folder), transformers.AlbertTokenizerFast.from_pretrained(folder))


@pytest.fixture(scope="module")
def wordpiece(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = checkpoint(tmp_path_factory.mktemp("wordpiece"), "vocab.txt", {})
    return Both(built(folder), transformers.BertTokenizerFast.from_pretrained(folder))


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("This is a test", [48, 25, 21, 1289]),
        (
            "The quick brown fox jumps over the lazy dog.",
            [14, 2231, 886, 2385, 17659, 84, 14, 16792, 1952, 9],
        ),
    ],
)
def test_known_good_ids(spiece: Both, text: str, ids: list[int]) -> None:
    assert spiece.ours.encode(text, add_special_tokens=False).ids == ids


def test_known_good_ids_with_accents(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, "spiece.model", {"tokenizer_config.json": {"keep_accents": True}})
    ids = built(folder).encode("I was born in 92000, and this is falsé.").ids
    assert ids == [2, 31, 23, 386, 19, 561, 3050, 15, 17, 48, 25, 8256, 18, 1, 9, 3]


def test_plain_text_equals_every_transformers(spiece: Both) -> None:
    plain = [line for line in SENTENCES if not set(line) & set('()"-$0123456789')]
    assert len(plain) >= 15
    for text in plain:
        assert spiece.ours.encode(text, plain[0]).ids == spiece.theirs(text, plain[0])["input_ids"]


@needs_transformers_4
@given(text=ANY_TEXT, pair=st.none() | ANY_TEXT)
@settings(deadline=None, max_examples=250)
def test_spiece_equals_transformers(spiece: Both, text: str, pair: str | None) -> None:
    assert_same(spiece.ours, spiece.theirs, text, pair)


@given(text=ANY_TEXT, pair=st.none() | ANY_TEXT)
@settings(deadline=None, max_examples=250)
def test_wordpiece_equals_transformers(wordpiece: Both, text: str, pair: str | None) -> None:
    assert_same(wordpiece.ours, wordpiece.theirs, text, pair)


@needs_transformers_4
@pytest.mark.parametrize("name", SPIECE_SETTINGS)
def test_spiece_settings(tmp_path: Path, name: str) -> None:
    folder = checkpoint(tmp_path, "spiece.model", SPIECE_SETTINGS[name])
    theirs = transformers.AlbertTokenizerFast.from_pretrained(folder)
    assert_settings_followed(built(folder), theirs)


@pytest.mark.parametrize("name", WORDPIECE_SETTINGS)
def test_wordpiece_settings(tmp_path: Path, name: str) -> None:
    folder = checkpoint(tmp_path, "vocab.txt", WORDPIECE_SETTINGS[name])
    theirs = transformers.BertTokenizerFast.from_pretrained(folder)
    assert_settings_followed(built(folder), theirs)


def assert_settings_followed(ours: Tokenizer, theirs: Any) -> None:
    """Compare the added tokens, and the ids of texts that hold them."""
    wanted = theirs.added_tokens_decoder
    assert {i: str(t) for i, t in ours.get_added_tokens_decoder().items()} == {
        i: str(t) for i, t in wanted.items()
    }
    for text in [*SENTENCES[::4], *TEXTS, " many ".join(str(t) for t in wanted.values())]:
        assert_same(ours, theirs, text)
        assert_same(ours, theirs, text, "I was Born in 2010, TEST")


@pytest.mark.parametrize(
    ("vocabulary", "files"),
    [pytest.param("spiece.model", files, id=f"spiece-{n}") for n, files in SPIECE_SETTINGS.items()]
    + [
        pytest.param("vocab.txt", files, id=f"vocab-{n}") for n, files in WORDPIECE_SETTINGS.items()
    ],
)
def test_transformers_loads_what_is_built(tmp_path: Path, vocabulary: str, files: Files) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    folder = checkpoint(tmp_path / "in", vocabulary, files)
    out = save(build_tokenizer(folder), tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(out)
    ours = built(folder)
    assert theirs.model_max_length == 512
    assert theirs("a", "b")["token_type_ids"] == [0, 0, 0, 1, 1]
    for text in [*SENTENCES[::4], *TEXTS]:
        assert_same(ours, theirs, text, "pair")
    assert read_tokenizer(out) == build_tokenizer(folder)


def test_tokenizer_json_is_kept_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    folder = checkpoint(tmp_path / "in", "vocab.txt", {})
    content = built(folder).to_str(pretty=True).replace("\n", "\r\n").encode()
    (tmp_path / "out" / "tokenizer.json").write_bytes(content)
    files = read_tokenizer(tmp_path / "out")
    assert files is not None
    assert files.tokenizer_json.encode() == content
    assert files.special_tokens_map["mask_token"] == "[MASK]"
    theirs = transformers.AutoTokenizer.from_pretrained(save(files, tmp_path / "out"))
    assert theirs.pad_token_id == 0
    assert_same(built(folder), theirs, "今天 [MASK] 2010,")


def test_settings_beside_tokenizer_json_are_kept(tmp_path: Path) -> None:
    tokenizer_json = json.dumps(json.loads(built(checkpoint(tmp_path, "vocab.txt", {})).to_str()))
    config = {
        "tokenizer_class": "BertTokenizer",
        "max_len": 64,
        "padding_side": "left",
        "name_or_path": "/home/someone",
    }
    (tmp_path / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    files = read_tokenizer(tmp_path)
    assert files is not None
    assert files.tokenizer_config["tokenizer_class"] == "BertTokenizer"
    assert files.tokenizer_config["model_max_length"] == 64
    assert files.tokenizer_config["padding_side"] == "left"
    assert "name_or_path" not in files.tokenizer_config


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    assert read_tokenizer(tmp_path) is None


SPIECE = (DATA / "spiece.model").read_bytes()


def edited_spiece(**changes: Any) -> bytes:
    """spiece.model with fields of its trainer_spec changed."""
    model = sentencepiece_model_pb2.ModelProto.FromString(SPIECE)
    for field, value in changes.items():
        setattr(model.trainer_spec, field, value)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("spiece.model", b"", "not a whole SentencePiece model"),
        ("spiece.model", b"version https://git-lfs.github.com/spec/v1\n", "not a SentencePiece"),
        ("spiece.model", SPIECE[:400_000], "not a"),
        ("spiece.model", SPIECE[: SPIECE.index(b"\x0a\x0e\x0a\x05[CLS]")], "not a whole"),
        ("spiece.model", edited_spiece(model_type=2), "SentencePiece BPE model"),
        ("spiece.model", edited_spiece(unk_id=2), "no unknown piece at id 2"),
        ("spiece.model", edited_spiece(unk_id=-1), "no unknown piece at id -1"),
        ("vocab.txt", b"", r"no line \[UNK\]"),
        ("vocab.txt", b"[PAD]\nword\n", r"no line \[UNK\]"),
        ("vocab.txt", b"[UNK]\n\xff\xfe\n", "not readable UTF-8"),
        ("tokenizer.json", b"", "not a tokenizer"),
        ("tokenizer.json", b'{"model": {"type": "Unigram"}}', "not a tokenizer"),
        ("tokenizer.json", b"\xff", "not a tokenizer"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_tokenizer(tmp_path)
    assert name in str(caught.value)
    assert caught.value.tip


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tokenizer_config.json": {"auto_map": {"AutoTokenizer": "x.Y"}}}, "auto_map"),
        ({"tokenizer_config.json": {"tokenizer_class": "BertJapaneseTokenizer"}}, "Japanese"),
        ({"config.json": {"tokenizer_class": "BertJapaneseTokenizer"}}, "Japanese"),
        ({"tokenizer_config.json": {"do_lower_case": "yes"}}, "do_lower_case"),
        ({"tokenizer_config.json": {"mask_token": 5}}, "mask_token"),
        ({"tokenizer_config.json": {"mask_token": {"lstrip": True}}}, "mask_token"),
        ({"tokenizer_config.json": {"mask_token": {"content": "", "lstrip": 1}}}, "mask_token"),
        ({"tokenizer_config.json": {"sep_token": None}}, "sep_token"),
        ({"tokenizer_config.json": {"additional_special_tokens": "<a>"}}, "additional_special"),
        ({"tokenizer_config.json": {"added_tokens_decoder": ["<a>"]}}, "added_tokens_decoder"),
        ({"tokenizer_config.json": ["list"]}, "not a JSON object"),
        ({"added_tokens.json": {"<a>": "21128"}}, "added_tokens.json"),
        ({"added_tokens.json": {"<a>": 30000}}, "should have id 30000"),
    ],
)
def test_malformed_settings_are_refused(tmp_path: Path, files: Files, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        build_tokenizer(checkpoint(tmp_path, "vocab.txt", files))


def test_remote_code_beside_tokenizer_json_is_refused(tmp_path: Path) -> None:
    files = build_tokenizer(checkpoint(tmp_path, "vocab.txt", {}))
    save(files, tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"auto_map": ["x.Y", null]}')
    with pytest.raises(CheckpointError, match="auto_map"):
        read_tokenizer(tmp_path)
