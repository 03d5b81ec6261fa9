"""Tokenizing texts of any length, with tokenizers that fail."""

from __future__ import annotations

import json

import pytest
from support import paths
from tokenizers import Tokenizer

from albert_edge.benchmark.memory import forget_peak, read_memory
from albert_edge.errors import BundleError
from albert_edge.runtime.parameters import Cut
from albert_edge.runtime.text import TextEncoder
from albert_edge.validation.tokenizer_library import library_faults

LANGID = paths.ROOT / "models" / "langid-tiny" / "tokenizer.json"
CLS, SEP = 2, 3


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_long_pair_is_cut_in_little_memory(side: str) -> None:
    """All parts of one text were paired with those of the other: 5 GB for two texts of 75 kB."""
    tokenizer = Tokenizer.from_file(str(LANGID))
    texts = "the cat sat on the mat. " * 2000, "yes " * 2000
    encoder = TextEncoder(tokenizer, 10_000, side)
    forget_peak()
    before, _ = read_memory()
    ids = encoder.encoding(*texts, cut=Cut("longest_first", 503)).ids
    assert read_memory()[1] - before < 100
    whole = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    first, second = (part[:250] if side == "right" else part[-250:] for part in whole)
    assert ids == [CLS, *first, SEP, *second, SEP]


def test_what_the_library_raises_at_a_text_names_the_tokenizer() -> None:
    content = json.loads(LANGID.read_text(encoding="utf-8"))
    content["post_processor"]["special_tokens"].pop("[SEP]")
    encoder = TextEncoder(Tokenizer.from_str(json.dumps(content)), 512, place="a/tokenizer.json")
    with pytest.raises(BundleError, match=r"^a/tokenizer\.json fails on a text: ") as caught:
        encoder.encode("a")
    assert not isinstance(caught.value.__cause__, Exception)  # a panic


def test_an_interrupt_is_left_as_it_is() -> None:
    with pytest.raises(KeyboardInterrupt), library_faults("-", BundleError):
        raise KeyboardInterrupt
