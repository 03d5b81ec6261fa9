"""Vocabularies without the pieces that texts do not use, against the whole ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import paths
from support.tokenizer_folders import Folder
from tokenizers import Tokenizer

from albert_edge import AlbertEdgeError
from albert_edge.checkpoint.tokenizer import read_tokenizer
from albert_edge.errors import BundleError, InputError, UsageError
from albert_edge.pruning.vocabulary import (
    Coverage,
    ReducedVocabulary,
    VocabularyFiles,
    reduce_vocabulary,
)

SENTENCES = (paths.DATA / "tokenizers" / "sentences.txt").read_text(encoding="utf-8").splitlines()
ENGLISH = SENTENCES[:8]
REAL = {"Unigram": "spiece.model", "WordPiece": "vocab.txt"}

Content = dict[str, Any]


def tokenizer_json(model: Content, **parts: Any) -> str:
    """A tokenizer.json of words between spaces, with nothing but what is given."""
    content: Content = dict.fromkeys(
        ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
    )
    content |= {"version": "1.0", "added_tokens": [], "model": model}
    return json.dumps({**content, "pre_tokenizer": {"type": "WhitespaceSplit"}, **parts})


def unigram(scores: Mapping[str, float], unk_id: int | None = 0, **fields: Any) -> Content:
    return {"type": "Unigram", "unk_id": unk_id, "vocab": [*map(list, scores.items())], **fields}


def wordpiece(pieces: Sequence[str], unk_token: str = "[UNK]", prefix: str = "##") -> Content:
    return {
        "type": "WordPiece",
        "unk_token": unk_token,
        "continuing_subword_prefix": prefix,
        "max_input_chars_per_word": 100,
        "vocab": {piece: index for index, piece in enumerate(pieces)},
    }


def special(content: str, index: int) -> Content:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": index, "content": content, "special": True, **flags}


def files_of(text: str, tokenizer_config: Content | None = None, **config: Any) -> VocabularyFiles:
    size = Tokenizer.from_str(text).get_vocab_size()
    return VocabularyFiles(text, tokenizer_config or {}, {"vocab_size": size, **config})


def pieces_of(files: VocabularyFiles) -> list[str]:
    """The tokens in the order of their ids."""
    vocab = Tokenizer.from_str(files.tokenizer_json).get_vocab()
    assert sorted(vocab.values()) == [*range(len(vocab))]
    return sorted(vocab, key=lambda piece: vocab[piece])


@dataclass(frozen=True, repr=False)  # hypothesis would print 300 kB of tokenizer
class Pair:
    """A whole vocabulary, and what is left of it for some texts."""

    files: VocabularyFiles
    texts: Sequence[str]
    unk: str

    @cached_property
    def reduced(self) -> ReducedVocabulary:
        return reduce_vocabulary(self.files, self.texts)

    @cached_property
    def tokenizers(self) -> tuple[Tokenizer, Tokenizer]:
        texts = (files.tokenizer_json for files in (self.files, self.reduced.files))
        before, after = map(Tokenizer.from_str, texts)
        return before, after

    def check(self, texts: Sequence[str], *, closed: bool) -> None:
        """Compare both.

        Args:
            texts: Any texts.
            closed: Whether every character that is in a piece is a piece.
        """
        for text in texts:
            old, new = (tokenizer.encode(text) for tokenizer in self.tokenizers)
            if self.reduced.coverage([text]).covered_texts:
                assert (new.tokens, new.offsets) == (old.tokens, old.offsets)
                assert new.type_ids == old.type_ids
                assert new.ids == new_ids(self.reduced, old.ids)
            else:
                assert text not in self.texts
                assert new.tokens != old.tokens
            if closed:
                before, after = (
                    unknown(tokenizer, text, self.unk) for tokenizer in self.tokenizers
                )
                assert after == before


def new_ids(reduced: ReducedVocabulary, ids: Sequence[int]) -> list[int]:
    """The ids that tokens have in a reduced vocabulary; all of them were kept."""
    places: list[int] = np.searchsorted(reduced.kept, ids).tolist()
    return places


def unknown(tokenizer: Tokenizer, text: str, unk: str) -> set[int]:
    """The places of the characters that the tokenizer does not know."""
    encoding = tokenizer.encode(text)
    unk_id = tokenizer.token_to_id(unk)
    spans = zip(encoding.ids, encoding.offsets, strict=True)
    return {place for index, span in spans if index == unk_id for place in range(*span)}


@cache
def real(kind: str) -> Pair:
    """The vocabulary of English or of Chinese ALBERT, and what English news leave of it."""
    with TemporaryDirectory() as folder:
        found = read_tokenizer(Folder("", (REAL[kind],)).write(Path(folder)))
    assert found is not None
    files = files_of(found.tokenizer_json, found.tokenizer_config, pad_token_id=0)
    return Pair(files, ENGLISH, "<unk>" if kind == "Unigram" else "[UNK]")


def test_unigram_by_hand() -> None:
    # é is in "é!" only, and "zz" has the lowest score.
    scores = {"<unk>": 0, "a": -2, "b": -2, "ab": -3, "aba": -4, "é!": -5, "!": -6, "zz": -9}
    scores |= {"z": -3, "bb": -3}
    files = files_of(tokenizer_json(unigram(scores)))
    reduced = reduce_vocabulary(files, ["abb"])  # "ab" + "b", and "a" + "bb", are both -5
    assert Tokenizer.from_str(files.tokenizer_json).encode("abb").tokens == ["a", "bb"]
    assert pieces_of(reduced.files) == ["<unk>", "a", "b", "é!", "!", "zz", "z", "bb"]
    assert reduced.kept.tolist() == [0, 1, 2, 5, 6, 7, 8, 9]
    assert (reduced.size, reduced.rows, reduced.files.config["vocab_size"]) == (10, 8, 8)
    after = Tokenizer.from_str(reduced.files.tokenizer_json)
    assert after.encode("abb").tokens == ["a", "bb"]
    assert after.encode("aba").tokens == ["a", "b", "a"]
    assert reduced.coverage(["abb", "aba a", "bb é"]) == Coverage(3, 2)
    assert reduced.coverage(["aba a"]).share_of_texts == 0.0
    assert reduced.coverage([[1, 9, 2], [1, 9, 3], [3]]) == Coverage(3, 1)
    assert reduced.coverage([]).share_of_texts == 1.0


def test_the_lowest_score_stays_since_unknown_text_scores_less() -> None:
    # "xxx" + unknown is -1 - 40 beside -24 for the pieces below; without "zz" it would be -1 - 18.
    scores = {"<unk>": 0, "x": -8, "xb": -8, "xxx": -1, "zz": -30, "z": -3}
    reduced = reduce_vocabulary(files_of(tokenizer_json(unigram(scores))), ["xxxb", "xxx"])
    assert pieces_of(reduced.files) == [*scores]
    after = Tokenizer.from_str(reduced.files.tokenizer_json)
    assert after.encode("xxxb").tokens == ["x", "x", "xb"]


def test_wordpiece_by_hand() -> None:
    pieces = ["[PAD]", "[UNK]", "p", "l", "##l", "##a", "##y", "play", "##ay", "##ing", "##i", "la"]
    pieces += ["##n", "##g", "qa", "##qa", "[unused1]"]
    tokens = [special("[PAD]", 0), special("[UNK]", 1)]
    files = files_of(tokenizer_json(wordpiece(pieces), added_tokens=tokens))
    reduced = reduce_vocabulary(files, ["lay", "playing [UNK]"])
    # "la" is used and "##ay" is not; there is no piece q, ##q, [ or ##u.
    kept = [piece for piece in pieces if piece != "##ay"]
    assert pieces_of(reduced.files) == kept
    smaller = reduce_vocabulary(files, [])
    essential = ["[PAD]", "[UNK]", "p", "l", "##l", "##a", "##y", "##i", "##n", "##g"]
    assert pieces_of(smaller.files) == [*essential, "qa", "##qa", "[unused1]"]
    after = Tokenizer.from_str(smaller.files.tokenizer_json)
    assert after.encode("playing qa").tokens == [
        "p",
        "##l",
        "##a",
        "##y",
        "##i",
        "##n",
        "##g",
        "qa",
    ]
    assert smaller.coverage(["playing qa"]) == Coverage(1, 0)


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_pieces_of_bytes_stay_where_they_are_used(byte_fallback: bool) -> None:
    data = {f"<0x{byte:02X}>": -5.0 for byte in range(256)}
    model = unigram({"<unk>": 0, "a": -1, **data, **dict.fromkeys("<0x>123456789ABCDEF", -2)})
    model["byte_fallback"] = byte_fallback
    files = files_of(tokenizer_json(model))
    reduced = reduce_vocabulary(files, ["a"])
    assert (reduced.rows > 256) is byte_fallback
    Pair(files, ["a"], "<unk>").check(["a", "é", "aé<0x41>"], closed=True)


@pytest.mark.parametrize("kind", REAL)
def test_a_real_vocabulary(kind: str) -> None:
    pair = real(kind)
    pair.check(SENTENCES, closed=True)
    characters = sum(len(piece.removeprefix("##")) == 1 for piece in pieces_of(pair.files))
    assert characters < pair.reduced.rows < characters + 300
    assert pair.reduced.coverage(ENGLISH) == Coverage(8, 8)
    assert pair.reduced.coverage(SENTENCES).share_of_texts < 1.0


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from([*REAL]),
    text=st.one_of(
        st.text(max_size=12),
        st.sampled_from(SENTENCES).map(lambda text: text[::-1]),
        st.sampled_from(["[MASK] a", "<unk>[CLS]", "½ ﬁne e\u0301", "👍🏽 2010, x"]),
    ),
)
def test_any_text(kind: str, text: str) -> None:
    real(kind).check([text], closed=True)


VOCABULARY = st.lists(st.text("abc", min_size=1, max_size=4), max_size=12)
SCORES = st.integers(-16, 0).map(lambda score: score / 2)  # so that sums are often equal
CHARACTERS = st.sampled_from(["abc", "", "ac"])
TEXTS = st.lists(st.lists(st.text("abcx", max_size=8), max_size=3).map(" ".join), max_size=3)


@settings(max_examples=150, deadline=None)
@given(CHARACTERS, VOCABULARY, st.data(), TEXTS, TEXTS)
def test_any_unigram_vocabulary(
    characters: str, pieces: list[str], data: st.DataObject, kept: list[str], others: list[str]
) -> None:
    scores = {piece: data.draw(SCORES) for piece in [*characters, *pieces]}
    files = files_of(tokenizer_json(unigram({"<unk>": 0.0, **scores})))
    Pair(files, kept, "<unk>").check([*kept, *others], closed=characters == "abc")


@settings(max_examples=150, deadline=None)
@given(CHARACTERS, VOCABULARY, VOCABULARY, st.sampled_from(["##", "", "a"]), TEXTS, TEXTS)
def test_any_wordpiece_vocabulary(
    characters: str,
    first: list[str],
    inner: list[str],
    prefix: str,
    kept: list[str],
    others: list[str],
) -> None:
    pieces = ["[UNK]", *characters, *first]
    pieces += [prefix + piece for piece in (*characters, *inner)]
    files = files_of(tokenizer_json(wordpiece([*dict.fromkeys(pieces)], prefix=prefix)))
    Pair(files, kept, "[UNK]").check([*kept, *others], closed=characters == "abc")


TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [6], "tokens": ["[CLS]"]}},
}
BERT = {"type": "BertProcessing", "cls": ["[CLS]", 6], "sep": ["[SEP]", 7]}


def processors() -> Iterator[Content | None]:
    yield None
    yield TEMPLATE
    yield BERT
    roberta = {"type": "RobertaProcessing", "trim_offsets": True, "add_prefix_space": False}
    yield {**BERT, **roberta}
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}
    yield {"type": "Sequence", "processors": [{**byte_level, "use_regex": True}, TEMPLATE]}


@pytest.mark.parametrize(
    "processor", [*processors()], ids=lambda part: part["type"] if part else "none"
)
def test_ids_are_renumbered_in_every_file(processor: Content | None) -> None:
    scores = {"ab": -1, "<unk>": 0, "a": -1, "b": -1, "aa": -3, "<pad>": -2}
    padding = {"strategy": {"Fixed": 4}, "direction": "Right", "pad_to_multiple_of": None}
    tokens = [special("<unk>", 1), special("[CLS]", 6), special("[SEP]", 7)]
    text = tokenizer_json(
        unigram(scores, unk_id=1),
        added_tokens=tokens,
        post_processor=processor,
        padding={**padding, "pad_id": 5, "pad_type_id": 0, "pad_token": "<pad>"},
    )
    # The model has two rows that no token has, and none for [SEP].
    config = {"vocab_size": 7, "pad_token_id": 5, "eos_token_id": [7, 6], "bos_token_id": None}
    config |= {"mask_token_id": 11, "unk_token_id": -1, "is_decoder": False}
    files = files_of(text, {"added_tokens_decoder": {"6": {}, "7": {}}, "x": 1}, **config)
    reduced = reduce_vocabulary(files, ["ab"])
    assert pieces_of(reduced.files) == ["ab", "<unk>", "a", "b", "aa", "<pad>", "[CLS]", "[SEP]"]
    reduced = reduce_vocabulary(files, ["a"])
    assert pieces_of(reduced.files) == ["<unk>", "a", "b", "aa", "<pad>", "[CLS]", "[SEP]"]
    assert reduced.files.tokenizer_config == {"added_tokens_decoder": {"5": {}, "6": {}}, "x": 1}
    assert reduced.files.config == {
        "vocab_size": 6,
        "pad_token_id": 4,
        "eos_token_id": [6, 5],
        "bos_token_id": None,
        "mask_token_id": 7,  # beyond the vocabulary, as before
        "unk_token_id": -1,
        "is_decoder": False,
    }
    before, after = (Tokenizer.from_str(f.tokenizer_json) for f in (files, reduced.files))
    for pair in [("a", None), ("aa q", "b a")]:
        old, new = before.encode(*pair), after.encode(*pair)
        assert new.tokens == old.tokens
        assert new.ids == new_ids(reduced, old.ids) != old.ids


def test_rows_that_no_token_has_are_dropped() -> None:
    files = files_of(tokenizer_json(unigram({"<unk>": 0, "a": -1})), vocab_size=128)
    reduced = reduce_vocabulary(files, ["a"])
    assert (reduced.size, reduced.rows, reduced.kept.tolist()) == (128, 2, [0, 1])


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        (
            tokenizer_json({"type": "BPE", "vocab": {"a": 0}, "merges": []}),
            UsageError,
            "a BPE tokenizer cannot be reduced",
        ),
        (
            tokenizer_json({"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}),
            UsageError,
            "a WordLevel tokenizer cannot be reduced",
        ),
        (
            tokenizer_json(unigram({"<unk>": 0}), added_tokens=[special("[CLS]", 7)]),
            BundleError,
            "not those that the tokenizers library gives",
        ),
    ],
)
def test_what_cannot_be_reduced(text: str, error: type[AlbertEdgeError], match: str) -> None:
    with pytest.raises(error, match=match) as caught:
        reduce_vocabulary(files_of(text), [])
    assert caught.value.tip


def test_an_invalid_text_is_an_input_error() -> None:
    with pytest.raises(InputError, match="not valid Unicode"):
        reduce_vocabulary(files_of(tokenizer_json(unigram({"<unk>": 0}))), ["\ud800"])
