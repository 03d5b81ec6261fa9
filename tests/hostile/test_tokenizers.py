"""tokenizer.json of a stranger: refused by name, or it gives ids that the model has."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from support import paths
from support.hostile import Row, failures, how_many, judge
from support.tokenizer_folders import FOLDERS
from support.tokenizer_mutants import mutant
from tokenizers import Tokenizer

from albert_edge.checkpoint.tokenizer import read_tokenizer
from albert_edge.errors import BundleError
from albert_edge.runtime.parameters import Cut
from albert_edge.runtime.text import TextEncoder
from albert_edge.validation.tokenizer_library import load_tokenizer

TEXTS = [
    "",
    " ",
    "A good Hotel, isn't it? (yes-no) U.S. 2010, [MASK] <pad>",
    "がぎぐ かきく パン 今天天气很好。한국어 हिन्दी می‌خواهم ﷺ Ω\u0301\u0323",
    "\0\x07\u200b\u200d\ufeff\U0001f469\u200d\U0001f467 ½ﬁ①",
    "a" * 5000 + " " * 5000 + "x" + "1" * 1000 + "aé" * 1000,
    "e\u0301\u0323" * 1000 + "ﷺ" * 200 + "[MASK] " * 500 + "天" * 1000 + ". " * 500,
    "the quick brown fox jumps over the lazy dog " * 100,
]
# Memory that a case may take: its text, of at most 2 MB, has a list for every piece once parsed.
MIB = 64 + 32


def decide(case: tuple[str, int]) -> str:
    """Load a tokenizer and use it; say what is wrong with the ids it gives, if anything is."""
    text, vocab_size = case
    error = partial(BundleError, tip="")
    tokenizer = load_tokenizer(text, "tokenizer.json", error, vocab_size=vocab_size)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoder = TextEncoder(tokenizer, 512)
    ids: set[int] = set()
    for first, second in zip(TEXTS, [None, *TEXTS[:-1]], strict=True):
        whole = encoder.encoding(first, second, cut=Cut("longest_first", 512))
        ids.update(whole.ids)
        with encoder.faults():
            tokenizer.decode(whole.ids)
    for window in encoder.windows(TEXTS[-1], 16):
        ids.update(window.ids)
    # A text with an added token that the model has no embedding for is refused by Session.
    beyond = tokenizer.get_added_tokens_decoder().keys()
    wrong = {index for index in ids - beyond if index >= vocab_size}
    return f"{min(wrong)} is not an id" if wrong else ""


@cache
def contents() -> dict[str, tuple[str, int]]:
    """The text and vocabulary size of good tokenizers, by name."""
    langid = (paths.ROOT / "models" / "langid-tiny" / "tokenizer.json").read_text(encoding="utf-8")
    kept = paths.DATA / "bundles" / "schema2" / "tokenizer.json"
    texts = {"langid": langid, "word-level": kept.read_text(encoding="utf-8")}
    return {name: (text, _size(text)) for name, text in texts.items()}


def _size(text: str) -> int:
    return len(json.loads(text)["model"]["vocab"])


def _read(name: str, folder: Path) -> tuple[str, int]:
    files = read_tokenizer(FOLDERS[name].write(folder / name))
    assert files is not None
    return files.tokenizer_json, _size(files.tokenizer_json)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int]]:
    folder = tmp_path_factory.mktemp("bases")
    small = ("wordpiece-saved", "unigram-of-older-versions", "spiece-bare")
    real = ("spiece-english", "vocab-chinese")
    return contents() | {name: _read(name, folder) for name in (*small, *real)}


def make(text: str, vocab_size: int, seed: int) -> tuple[str, int]:
    return mutant(json.loads(text), seed), vocab_size


def mutants(bases: dict[str, tuple[str, int]], count: int) -> list[tuple[str, Any]]:
    """A tenth of the mutants is of each of the two large tokenizers, which take longer."""
    large = ("spiece-english", "vocab-chinese")
    small = (1 - 0.1 * len(large)) / (len(bases) - len(large))
    cases: list[tuple[str, Any]] = []
    for name, (text, size) in bases.items():
        for _ in range(round(count * (0.1 if name in large else small))):
            seed = len(cases) + 1
            cases.append((f"{name} {seed}", partial(make, text, size, seed)))
    return cases


def test_tokenizers(bases: dict[str, tuple[str, int]], report: Callable[[Row], None]) -> None:
    verdicts = judge(decide, [*bases.items(), *mutants(bases, how_many(50, 2000))], mib=MIB)
    report(
        Row.of("A tokenizer that could do harm is refused before its library reads it", verdicts)
    )
    good = [verdict.outcome for verdict in verdicts[: len(bases)]]
    assert good == ["accepted"] * len(bases)
    assert not failures(verdicts)
    assert not [verdict for verdict in verdicts if verdict.value]


def harmful() -> dict[str, str]:
    """Files on which the library itself dies, hangs, takes gigabytes or panics."""

    def file(edit: Callable[[dict[str, Any]], Any]) -> str:
        content = json.loads(contents()["langid"][0])
        edit(content)
        return json.dumps(content)

    def steps(*new: dict[str, Any]) -> str:
        return file(lambda content: content["normalizer"].update(normalizers=list(new)))

    units = struct.pack("<I", 2**32 - 4)
    precompiled = {
        "type": "Precompiled",
        "precompiled_charsmap": base64.b64encode(units).decode(),
    }
    twice = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    slow = {"type": "Replace", "pattern": {"Regex": " +$"}, "content": ""}
    return {
        "a piece of a million letters": file(
            lambda content: content["model"]["vocab"].append(["x" * 10**6, -9.0])
        ),
        "a trie of 2**32 bytes": steps(precompiled),
        "a letter doubled 30 times": steps(*[twice] * 30),
        "a quadratic expression": steps(slow, slow, slow, slow),
        "a template without its token": file(
            lambda content: content["post_processor"]["special_tokens"].pop("[SEP]")
        ),
    }


def use_unchecked(text: str) -> None:
    tokenizer = Tokenizer.from_str(text)
    tokenizer.encode("a")
    tokenizer.encode(" " * 20_000 + "x")


def test_the_check_is_needed(report: Callable[[Row], None]) -> None:
    cases = [*harmful().items()]
    unchecked = judge(use_unchecked, cases, seconds=0.3, mib=MIB)
    assert len(failures(unchecked)) == len(cases), unchecked
    checked = judge(decide, [(name, (text, 4001)) for name, text in cases], mib=MIB)
    report(Row.of("What ends, hangs or fills the tokenizers library is refused by name", checked))
    assert [verdict.outcome for verdict in checked] == ["refused"] * len(cases)
