"""What the report says of a tokenizer, and when it warns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.checkpoints import change_config
from support.tokenizer_folders import FOLDERS, Folder
from tokenizers import Tokenizer

from albert_edge.checkpoint.tokenizer import Overrides, read_tokenizer
from albert_edge.checkpoint.tokenizer.effects import describe, find_losses


def read(folder: Path) -> Tokenizer:
    files = read_tokenizer(folder)
    assert files is not None
    return files.tokenizer


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("spiece-english", "lower-cases, strips accents"),
        ("wordpiece-cased", "keeps case, keeps accents"),
        ("wordpiece-keeps-accents", "lower-cases, keeps accents"),
        ("wordpiece-strips-accents", "keeps case, strips accents"),
        ("unigram-added-tokens-json", "lower-cases, strips accents, adds 2 tokens"),
        ("wordpiece-renamed-beyond", "lower-cases, strips accents, adds 1 token"),
        ("wordpiece-no-types", "lower-cases, strips accents, gives no token types"),
    ],
)
def test_one_line(name: str, line: str, tmp_path: Path) -> None:
    assert describe(read(FOLDERS[name].write(tmp_path))) == line


@pytest.mark.parametrize("name", ["spiece-english", "vocab-chinese"])
def test_published_vocabularies_lose_nothing(name: str, tmp_path: Path) -> None:
    assert find_losses(read(FOLDERS[name].write(tmp_path))) == []


def test_settings_that_do_not_count(tmp_path: Path) -> None:
    files = read_tokenizer(FOLDERS["unigram-keep-beside"].write(tmp_path))
    assert files is not None
    assert any(
        "says that accents are kept, but tokenizer.json does the opposite" in str(warning)
        and "export with keep_accents=True" in str(warning)
        for warning in files.warnings
    )
    files = read_tokenizer(tmp_path, Overrides(keep_accents=True))
    assert files is not None
    assert not any("opposite" in str(warning) for warning in files.warnings)


def test_tokens_without_an_embedding(tmp_path: Path) -> None:
    config = {"tokenizer_class": "BertTokenizer", "additional_special_tokens": ["<new>"]}
    folder = Folder("", ("words",), {"tokenizer_config": config}).write(tmp_path)
    vocab_size = len((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    for embeddings, expected in ((vocab_size, True), (vocab_size + 1, False)):
        change_config(folder, vocab_size=embeddings)
        files = read_tokenizer(folder)
        assert files is not None
        unknown = [str(w) for w in files.warnings if "none for '<new>'" in str(w)]
        assert bool(unknown) == expected


def losses(folder: Path, words: list[str], **config: Any) -> list[str]:
    """The warnings of a WordPiece vocabulary with these words."""
    Folder("", (), {"tokenizer_config": config}).write(folder)
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(vocab), encoding="utf-8")
    return list(map(str, find_losses(read(folder))))


@pytest.mark.parametrize(
    ("words", "example"),
    [
        (["कुल", "कल", "के", "को", "में", "हूँ"], "कुल and कल both become कल"),
        (["が", "か", "パン", "ハン", "ば", "ぱ", "は"], "パン and ハン both become ハン"),
        (["få", "fa", "på", "pa", "ål", "år"], "få and fa both become fa"),
        (["한국", "문장", "서울", "사람"], "문장 is taken apart into ᄆ + ᅮ + ᆫ + ᄌ + ᅡ + ᆼ"),
    ],
)
def test_words_that_become_one(words: list[str], example: str, tmp_path: Path) -> None:
    [warning] = losses(tmp_path / "stripped", words)
    assert example in warning
    assert "export with keep_accents=True" in warning
    assert losses(tmp_path / "kept", words, strip_accents=False) == []


def test_a_vocabulary_that_was_made_without_marks(tmp_path: Path) -> None:
    """Its own words show nothing, but every text in its script is affected."""
    words = ["कल", "कम", "घर", "नगर", "सब"]
    [warning] = losses(tmp_path / "stripped", words)
    assert "कुल and कल both become कल" in warning
    assert losses(tmp_path / "kept", words, strip_accents=False) == []
    assert losses(tmp_path / "latin", ["news", "hotel", "good", "far"]) == []


def test_words_that_lose_their_capitals(tmp_path: Path) -> None:
    words = ["Berg", "berg", "Haus", "Stadt", "Rom"]
    [warning] = losses(tmp_path / "lower", words)
    assert "4 of the 5 words in its vocabulary have capitals: Berg and berg both" in warning
    assert "export with lowercase=False" in warning
    assert losses(tmp_path / "cased", words, do_lower_case=False) == []
