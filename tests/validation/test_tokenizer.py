"""What a tokenizer.json may be: each refusal by name, and good tokenizers of every kind."""

from __future__ import annotations

import base64
import copy
import json
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import paths
from support.tokenizer_folders import FOLDERS
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

from albert_edge.checkpoint.tokenizer import read_tokenizer
from albert_edge.errors import BundleError
from albert_edge.validation.charsmap import check_charsmap
from albert_edge.validation.patterns import TRIM, leaves_no_runs, shortest_match
from albert_edge.validation.tokenizer import check_tokenizer_json
from albert_edge.validation.tokenizer_library import load_tokenizer

ERROR = partial(BundleError, tip="-")
Content = dict[str, Any]


def good() -> Content:
    """A small tokenizer.json with every top-level field."""
    return {
        "version": "1.0",
        "truncation": {
            "direction": "Right",
            "max_length": 8,
            "strategy": "LongestFirst",
            "stride": 4,
        },
        "padding": {
            "strategy": {"Fixed": 8},
            "direction": "Left",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "<pad>",
        },
        "added_tokens": [
            {
                "id": 3,
                "content": "[SEP]",
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
                {"type": "Replace", "pattern": {"Regex": TRIM}, "content": ""},
                {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
            ],
        },
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "Unigram",
            "unk_id": 0,
            "vocab": [["<unk>", 0.0], ["▁", -1.0], ["a", -2], ["[SEP]", 0.0]],
        },
    }


def check(content: Content | str, vocab_size: int | None = 4) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    check_tokenizer_json(text, "tokenizer.json", ERROR, vocab_size=vocab_size)


def test_the_library_reads_what_is_accepted() -> None:
    text = json.dumps(good())
    assert load_tokenizer(text, "-", ERROR, vocab_size=4).encode("``a").ids[-1] == 3


def put(path: str, value: Any) -> Content:
    """The good file with a value at a path such as "model.vocab.0"."""
    content = copy.deepcopy(good())
    *parents, last = path.split(".")
    part: Any = content
    for name in parents:
        part = part[int(name) if isinstance(part, list) else name]
    part[int(last) if isinstance(part, list) else last] = value
    return content


def charsmap(units: list[int], replacements: bytes, size: int | None = None) -> bytes:
    size = 4 * len(units) if size is None else size
    return struct.pack(f"<{len(units) + 1}I", size, *units) + replacements


# A trie in which "a" is replaced by the text at 0. The root's children are 256 places on, in the
# second block; that of "a" has its own in the first, of which the first is its leaf.
BLOCK = [0] * 512
BLOCK[0] = 256 << 10
BLOCK[256 + ord("a")] = ord("a") | 1 << 8 | (256 ^ ord("a") ^ 1) << 10
BLOCK[1] = 1 << 31

REFUSED: dict[str, tuple[Content | str, str]] = {
    "version": (put("version", "2.0"), "version"),
    "unknown-field": (put("new", 1), "new should be absent"),
    "model-missing": (put("model", None), "model should be an object"),
    "truncation-stride": (put("truncation.stride", 7), "max_length should be"),
    "truncation-strategy": (put("truncation.strategy", "x"), "strategy"),
    "padding-huge": (put("padding.strategy", {"Fixed": 2**40}), "padding.strategy.Fixed"),
    "added-token-twice": (put("added_tokens", good()["added_tokens"] * 2), "the same id"),
    "added-token-empty": (put("added_tokens.0.content", ""), "1 to 256 characters"),
    "added-token-long": (put("added_tokens.0.content", "x" * 257), "1 to 256 characters"),
    "added-tokens-long": (
        put(
            "added_tokens",
            [{**good()["added_tokens"][0], "id": at, "content": f"{at:0256}"} for at in range(800)],
        ),
        "at most 200,000 characters",
    ),
    "added-token-flag": (put("added_tokens.0.lstrip", 1), "lstrip should be true or false"),
    "type-unknown": (put("normalizer", {"type": "Custom"}), "normalizer.type"),
    "type-missing": (put("normalizer", {}), "normalizer.type is missing"),
    "field-unknown": (put("normalizer", {"type": "NFC", "x": 1}), "normalizer.x"),
    "field-missing": (put("decoder", {"type": "WordPiece", "prefix": "#"}), "decoder.cleanup"),
    "decoder-panics": (
        put("decoder", {"type": "Strip", "content": " ", "start": 0, "stop": 9}),
        "decoder.stop",
    ),
    "regex-exponential": (
        put("normalizer.normalizers.2.pattern", {"Regex": "(a+)+$"}),
        "normalizers[2].pattern.Regex",
    ),
    "regex-quadratic": (
        put("normalizer.normalizers.0.content", "_"),
        "after a step that leaves no two spaces",
    ),
    "replaces-nothing": (put("normalizer.normalizers.2.pattern", {"String": ""}), "one character"),
    "replaces-by-much": (put("normalizer.normalizers.2.content", "x" * 33), "32 characters"),
    "grows": (
        put(
            "normalizer.normalizers",
            [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 7,
        ),
        "32 times longer",
    ),
    "grows-decomposed": (
        put(
            "normalizer.normalizers",
            [{"type": "Replace", "pattern": {"String": "a"}, "content": "ﷺ"}, {"type": "NFKD"}] * 2,
        ),
        "32 times longer",
    ),
    "steps-many": (put("normalizer.normalizers", [{"type": "NFC"}] * 65), "at most 64 steps"),
    "map-not-base64": (
        put("normalizer", {"type": "Precompiled", "precompiled_charsmap": "é"}),
        "a character map",
    ),
    "template-without-text": (put("post_processor.single", []), "a template with A once"),
    "template-with-second": (
        put("post_processor.single", good()["post_processor"]["pair"]),
        "a template with A once",
    ),
    "template-unknown-token": (
        put("post_processor.single.1.SpecialToken.id", "[CLS]"),
        "SpecialToken.id should be '[SEP]'",
    ),
    "template-id": (put("post_processor.special_tokens.[SEP].ids", [4]), "an id below 4"),
    "template-ids": (put("post_processor.special_tokens.[SEP].ids", [3, 3]), "an id below 4"),
    "template-type": (put("post_processor.single.0.Sequence.type_id", 2**31), "type_id"),
    "template-twice": (
        put(
            "post_processor",
            {"type": "Sequence", "processors": [good()["post_processor"]] * 2},
        ),
        "one step that puts tokens",
    ),
    "bert-id": (
        put("post_processor", {"type": "BertProcessing", "sep": ["[SEP]", 9], "cls": ["a", 2]}),
        "post_processor.sep",
    ),
    "bert-flag": (
        put("post_processor", {"type": "BertProcessing", "sep": ["[SEP]", True], "cls": ["a", 2]}),
        "post_processor.sep",
    ),
    "vocab-too-large": (
        put("model.vocab", [[str(at), 0.0] for at in range(5)]),
        "at most 4 pieces",
    ),
    "vocab-empty-piece": (put("model.vocab.2.0", ""), "1 to 256 characters"),
    "vocab-long-piece": (put("model.vocab.2.0", "x" * 257), "1 to 256 characters"),
    "vocab-twice": (put("model.vocab.2.0", "▁"), "all different"),
    "vocab-nan": (put("model.vocab.2.1", float("nan")), "finite numbers"),
    "vocab-infinite": (put("model.vocab.2.1", float("-inf")), "finite numbers"),
    "vocab-text": (put("model.vocab.2.1", "0"), "pieces and scores"),
    "vocab-three": (put("model.vocab.2", ["a", 0.0, 0.0]), "pieces and scores"),
    "vocab-object": (put("model.vocab.2", {"a": 1, "b": 2}), "pieces and scores"),
    "vocab-surrogate": (put("model.vocab.2.0", "\ud800"), "valid Unicode"),
    "unk-missing": (put("model.unk_id", None), "model.unk_id"),
    "unk-beyond": (put("model.unk_id", 4), "model.unk_id"),
    "wordpiece-slow": (
        put(
            "model",
            {
                "type": "WordPiece",
                "unk_token": "a",
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 10**6,
                "vocab": {"a": 0},
            },
        ),
        "max_input_chars_per_word",
    ),
    "wordpiece-unk": (
        put(
            "model",
            {
                "type": "WordPiece",
                "unk_token": "b",
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": {"a": 0},
            },
        ),
        "unk_token",
    ),
    "ids-beyond": (
        put("model", {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 4}}),
        "ids below 4",
    ),
    "ids-twice": (
        put("model", {"type": "WordLevel", "unk_token": "a", "vocab": {"a": 0, "b": 0}}),
        "different ids",
    ),
    "ids-text": (
        put("model", {"type": "WordLevel", "unk_token": "a", "vocab": {"a": "0"}}),
        "ids below 4",
    ),
    "bpe-merges": (
        put("model", {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}),
        "merges",
    ),
    "bpe-prefix": (
        put(
            "model",
            {
                "type": "BPE",
                "continuing_subword_prefix": "##",
                "vocab": {"a": 0, "b": 1, "ab": 2},
                "merges": ["a b"],
            },
        ),
        "begins with '##'",
    ),
    "bpe-random": (
        put("model", {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.1}),
        "dropout",
    ),
    "field-twice": ('{"model": {}, "model": {}}', "stands twice"),
    "nested": ("[" * 100_000, "not readable JSON"),
    "list": ("[]", "not a JSON object"),
    "empty": ("", "not readable JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_field(name: str) -> None:
    content, reason = REFUSED[name]
    with pytest.raises(BundleError) as caught:
        check(content)
    assert reason in str(caught.value)
    assert str(caught.value).startswith("tokenizer.json")


def test_sequences_are_nested_a_few_times() -> None:
    def nested(depth: int) -> Content:
        part: Content = {"type": "NFC"}
        for _ in range(depth):
            part = {"type": "Sequence", "normalizers": [part]}
        return put("normalizer", part)

    check(nested(4))
    with pytest.raises(BundleError, match="in at most 4 sequences"):
        check(nested(5))


def test_a_trie_of_pieces_is_bounded() -> None:
    """A file of 1 MB would take the library 250 MB."""
    letters = np.array([chr(at) for at in range(0x4E00, 0x4E00 + 5000)])
    random = np.random.default_rng(0)
    pieces = ["".join(random.choice(letters, 50)) for _ in range(5000)]
    words = [piece[:2] for piece in dict.fromkeys(pieces)]
    ends_in_nul = [piece[:2] + "\0" * 48 for piece in pieces]
    # So few for each piece that only the bound for all of them refuses it.
    many = [
        f"{chr(0x20000 + at // 1000)}{chr(0x20000 + at % 1000)}xxxxxxx" for at in range(135_000)
    ]
    for texts, accepted in (
        (dict.fromkeys(words), True),
        (pieces, False),
        (dict.fromkeys(ends_in_nul), False),
        (many, False),
    ):
        vocab = [["<unk>", 0.0], ["[SEP]", 0.0], *([text, -1.0] for text in texts)]
        content = put("model.vocab", vocab)
        if accepted:
            check(content, None)
        else:
            with pytest.raises(BundleError, match="begin alike"):
                check(content, None)


# Good tokenizers


@pytest.mark.parametrize("name", FOLDERS)
def test_tokenizers_of_checkpoints_are_accepted(name: str, tmp_path: Path) -> None:
    files = read_tokenizer(FOLDERS[name].write(tmp_path / "checkpoint"))
    assert files is not None
    check(files.tokenizer_json, files.tokenizer.get_vocab_size())


@pytest.mark.parametrize(
    "path",
    [
        "models/langid-tiny/tokenizer.json",
        "tests/data/bundles/schema1/tokenizer.json",
        "tests/data/bundles/schema2/tokenizer.json",
    ],
)
def test_tokenizers_of_bundles_are_accepted(path: str) -> None:
    check((paths.ROOT / path).read_text(encoding="utf-8"), None)


STEPS = {
    "normalizer": [
        *(normalizers.BertNormalizer(), normalizers.Strip(), normalizers.StripAccents()),
        *(normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD()),
        *(normalizers.Lowercase(), normalizers.Nmt(), normalizers.Prepend("▁")),
        *(normalizers.ByteLevel(), normalizers.Replace("a", "b"), normalizers.Sequence([])),
    ],
    "pre_tokenizer": [
        *(pre_tokenizers.BertPreTokenizer(), pre_tokenizers.ByteLevel()),
        *(pre_tokenizers.CharDelimiterSplit("a"), pre_tokenizers.Digits()),
        *(pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(), pre_tokenizers.Whitespace()),
        *(pre_tokenizers.Split("a", "removed"), pre_tokenizers.UnicodeScripts()),
        *(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Sequence([])),
    ],
    "post_processor": [
        processors.BertProcessing(("b", 1), ("a", 0)),
        processors.RobertaProcessing(("b", 1), ("a", 0)),
        processors.ByteLevel(),
        processors.TemplateProcessing("a $A", "a $A b $B:1", [("a", 0), ("b", 1)]),
        processors.Sequence(
            [processors.ByteLevel(), processors.TemplateProcessing("a $A", "$A $B", [("a", 0)])]
        ),
    ],
    "decoder": [
        *(decoders.BPEDecoder(), decoders.ByteLevel(), decoders.WordPiece(), decoders.Metaspace()),
        *(decoders.Fuse(), decoders.Strip(" ", 1, 0), decoders.Replace("▁", " ")),
        *(decoders.ByteFallback(), decoders.Sequence([decoders.Fuse()])),
    ],
}


def test_steps_as_the_library_writes_them_are_accepted() -> None:
    for name, steps in STEPS.items():
        for step in steps:
            tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, "a"))
            tokenizer.add_tokens([AddedToken("c", special=True)])
            tokenizer.enable_padding()
            tokenizer.enable_truncation(16, stride=2)
            setattr(tokenizer, name, step)
            check(tokenizer.to_str(), 2)


@pytest.mark.parametrize("typed", [True, False])
def test_models_are_accepted_with_and_without_type(typed: bool) -> None:
    """Files of tokenizers before 0.10 do not name the type of the model."""
    for model in (
        models.Unigram([("<unk>", 0.0), ("a", -1.0)], 0, True),
        models.WordPiece({"[UNK]": 0, "a": 1}),
        models.WordLevel({"[UNK]": 0, "a": 1}, "[UNK]"),
        models.BPE({"[UNK]": 0, "a": 1, "aa": 2}, [("a", "a")], unk_token="[UNK]"),
    ):
        content = json.loads(Tokenizer(model).to_str())
        if not typed:
            del content["model"]["type"]
        check(content, 3)
        assert load_tokenizer(json.dumps(content), "-", ERROR).encode("a").ids == [1]


def test_merges_of_older_versions_are_accepted() -> None:
    model = {"type": "BPE", "vocab": {"a": 0, "aa": 1, "[SEP]": 3}, "merges": ["a a"]}
    check(put("model", model))


# Patterns

LINEAR = {
    " {2,}": 2,
    r"\s+": 1,
    r"[\s\x1c-\x1f]+": 1,
    r"[^\]a-z]": 1,
    "``": 2,
    r"\p{P}|ab{3}c+": 1,
    "a{5}b{2,3}": 7,
    ".": 1,
    r"\.\-": 2,
}
SLOW = [
    *("", " +$", "(a+)+b", "a+b", "a*", "a?", "a|", "|", "^a", "a$", "a++", "a+?", "a{2}{3}"),
    *("a{2,}{3,}", "a{0,}", "a{100}", "[a", "[a&&b]", "[[:alpha:]]", "(?=a)", "(?:a)", r"\1"),
    *(r"\b", r"\A", r"\G", r"\R", r"\k<n>", r"\g<0>", "a" * 257, "|".join("a" * 65), "a" * 20_000),
]


def test_patterns_are_linear() -> None:
    assert {pattern: shortest_match(pattern) for pattern in LINEAR} == LINEAR
    for pattern in SLOW:
        with pytest.raises(ValueError, match=r"could take more time|too many parts"):
            shortest_match(pattern)


def test_spaces_at_the_ends_are_trimmed_only_where_no_runs_are_left() -> None:
    for pattern in (" {2,}", r"\s+", r"[\s\x1c-\x1f]+"):
        assert leaves_no_runs(pattern, " ")
        assert not leaves_no_runs(pattern, "  ")
        step = normalizers.Replace(Regex(pattern), " ")
        assert "  " not in step.normalize_str("  a   b \t  ")
    assert not leaves_no_runs("a+", " ")


# Character maps


def test_a_character_map_stays_in_itself() -> None:
    good = charsmap(BLOCK, b"b\0")
    check_charsmap(good)
    assert normalizers.Precompiled(good).normalize_str("ab") == "bb"
    outside, beyond, inside = BLOCK.copy(), BLOCK.copy(), BLOCK.copy()
    outside[0] = 512 << 10
    beyond[1] |= 2
    inside[1] |= 1
    bad = {
        "no units": charsmap([], b"b\0"),
        "size beyond": charsmap(BLOCK, b"b\0", 2**32 - 4),
        "size between": charsmap(BLOCK, b"b\0", 4 * len(BLOCK) - 1),
        "no end": charsmap(BLOCK, b"b"),
        "not Unicode": charsmap(BLOCK, b"\xff\0"),
        "long": charsmap(BLOCK, b"b" * 21 + b"\0"),
        "long once decomposed": charsmap(BLOCK, "ﷺﷺ".encode() + b"\0"),
        "outside": charsmap(outside, b"b\0"),
        "beyond": charsmap(beyond, b"b\0"),
        "inside a character": charsmap(inside, "é\0".encode()),
        "empty": b"",
    }
    for name, content in bad.items():
        with pytest.raises(ValueError, match=r"."):
            check_charsmap(content)
            pytest.fail(f"{name} is accepted")


def test_base64_is_canonical() -> None:
    text = base64.b64encode(charsmap(BLOCK, b"b\0")).decode()
    check(put("normalizer", {"type": "Precompiled", "precompiled_charsmap": text}))
    for damaged in (text[:-1], text + "\n", text[:-3] + "h" + text[-2:]):
        with pytest.raises(BundleError, match="a character map"):
            check(put("normalizer", {"type": "Precompiled", "precompiled_charsmap": damaged}))
