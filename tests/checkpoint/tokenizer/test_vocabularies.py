"""Tokenizers built from a bare vocabulary against those of transformers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import paths
from support.tokenizer_folders import Folder
from tokenizers import Tokenizer

from albert_edge.checkpoint.tokenizer import read_tokenizer

pytestmark = pytest.mark.reference

SENTENCES = (paths.DATA / "tokenizers" / "sentences.txt").read_text(encoding="utf-8").splitlines()
needs_transformers_4 = pytest.mark.skipif(
    int(transformers.__version__.split(".")[0]) != 4,
    reason="the reference for spiece.model is the slow AlbertTokenizer of transformers 4",
)


@dataclass(frozen=True, repr=False)  # hypothesis would print 300 kB of tokenizer
class Both:
    """The tokenizer built for a folder, and the one transformers makes of it."""

    ours: Tokenizer
    theirs: Any


def both(name: str, files: dict[str, Any], folder: Path, theirs: type) -> Both:
    path = Folder("", (name,), files).write(folder)
    read = read_tokenizer(path)
    assert read is not None
    return Both(read.tokenizer, theirs.from_pretrained(path))  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def wordpiece(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("wordpiece")
    return both("vocab.txt", {}, folder, transformers.BertTokenizerFast)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("english")
    return both("spiece.model", {}, folder, transformers.AlbertTokenizer)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both("pieces", {}, tmp_path_factory.mktemp("pieces"), transformers.AlbertTokenizer)


TOKENS = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "<unk>", "<pad>", "``", "''", "(", "-", "."]
ANY_TEXT = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(
            [*TOKENS, "  ", "\t", "\u00a0", "\u3000", "é", "e\u0301", "İ", "ß", "👍🏽"]
        ),
        st.text(st.characters(min_codepoint=0x900, max_codepoint=0x97F), max_size=8),
        st.text(st.characters(min_codepoint=0x3040, max_codepoint=0x30FF), max_size=8),
        st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), max_size=8),
        st.from_regex(r" [0-9]{1,4}, ", fullmatch=True),
        st.sampled_from(SENTENCES),
    ),
    max_size=8,
).map("".join)


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
def test_known_good_ids(english: Both, text: str, ids: list[int]) -> None:
    assert english.ours.encode(text, add_special_tokens=False).ids == ids


def test_known_good_ids_with_accents(tmp_path: Path) -> None:
    files = {"tokenizer_config": {"keep_accents": True}}
    read = read_tokenizer(Folder("", ("spiece.model",), files).write(tmp_path))
    assert read is not None
    ids = read.tokenizer.encode("I was born in 92000, and this is falsé.").ids
    assert ids == [2, 31, 23, 386, 19, 561, 3050, 15, 17, 48, 25, 8256, 18, 1, 9, 3]


def test_plain_text_equals_every_transformers(english: Both, tmp_path: Path) -> None:
    path = Folder("", ("spiece.model",)).write(tmp_path)
    theirs = transformers.AlbertTokenizerFast.from_pretrained(path)
    # Without digits, and without what English ALBERT's vocabulary defines apart.
    plain = ["".join(c for c in line if c not in '().-–£€"0123456789') for line in SENTENCES]
    for text in plain:
        assert english.ours.encode(text, plain[0]).ids == theirs(text, plain[0])["input_ids"]


@needs_transformers_4
def test_english_text_equals_the_slow_class_where_the_fast_one_differs(
    english: Both, tmp_path: Path
) -> None:
    path = Folder("", ("spiece.model",)).write(tmp_path)
    fast = transformers.AlbertTokenizerFast.from_pretrained(path)
    slow = {text: english.theirs(text)["input_ids"] for text in SENTENCES}
    assert {text: english.ours.encode(text).ids for text in SENTENCES} == slow
    assert sum(fast(text)["input_ids"] != ids for text, ids in slow.items()) >= 20


@needs_transformers_4
@pytest.mark.parametrize("name", ["english", "pieces"])
@given(text=ANY_TEXT)
@settings(deadline=None, max_examples=100)
def test_spiece_equals_the_slow_class(request: pytest.FixtureRequest, name: str, text: str) -> None:
    # In "11,002" a piece could begin before the comma, which one number in a thousand shows.
    assume(not re.search(r"\d,\d", text))
    tokenizers: Both = request.getfixturevalue(name)
    assert tokenizers.ours.encode(text).ids == tokenizers.theirs(text)["input_ids"]


@given(text=ANY_TEXT, pair=st.none() | ANY_TEXT)
@settings(deadline=None, max_examples=100)
def test_wordpiece_equals_transformers(wordpiece: Both, text: str, pair: str | None) -> None:
    ours = wordpiece.ours.encode(text, pair or None)  # an empty second text is none there
    theirs = wordpiece.theirs(text, pair, return_offsets_mapping=True)
    assert ours.ids == theirs["input_ids"]
    assert ours.type_ids == theirs["token_type_ids"]
    assert ours.attention_mask == theirs["attention_mask"]
    assert ours.offsets == theirs["offset_mapping"]
