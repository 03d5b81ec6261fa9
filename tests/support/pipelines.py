"""Shared by tests: pipelines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

import albert_edge
from albert_edge.runtime.load import load_pipeline
from support.checkpoints import make_model
from support.paths import DATA

# Its annotations are not complete, and differ between versions.
REFERENCE: Any = transformers

# Of English ALBERT's 30,000 pieces, most frequent first, those that texts here are made of: a
# tokenizer is then read and loaded ten times faster. Tests of the tokenizer read all of them.
VOCABULARIES = {"spiece.model": 4_000, "vocab.txt": 21_128}

SENTENCES = (DATA / "tokenizers" / "sentences.txt").read_text(encoding="utf-8").splitlines()

# The same question may be asked many times over; a few positions make it cheap to be over them.
POSITIONS = 24


@dataclass(frozen=True, repr=False)
class Both:
    """Our pipeline on a bundle, and that of transformers on its checkpoint."""

    bundle: Path
    ours: Callable[..., Any]
    theirs: Callable[..., Any]


def checkpoint(folder: Path, task: str, vocabulary: str, **config: Any) -> Path:
    """A checkpoint as save_pretrained leaves it, with a vocabulary beside it."""
    model = make_model(task, vocab_size=VOCABULARIES[vocabulary], **config)
    model.save_pretrained(folder)
    (folder / vocabulary).write_bytes(read_vocabulary(vocabulary))
    return folder


@cache
def read_vocabulary(name: str) -> bytes:
    """A file of tests/data/tokenizers with as many tokens as `VOCABULARIES` says."""
    content = (DATA / "tokenizers" / name).read_bytes()
    if name != "spiece.model":
        return content
    model = sentencepiece_model_pb2.ModelProto.FromString(content)
    del model.pieces[VOCABULARIES[name] :]
    return bytes(model.SerializeToString())


def both(folder: Path, task: str, vocabulary: str = "spiece.model", **config: Any) -> Both:
    source = checkpoint(folder / "checkpoint", task, vocabulary, **config)
    return pair(task, source, folder / "bundle")


def pair(task: str, source: Path, bundle: Path, **options: Any) -> Both:
    """Both pipelines of a checkpoint, with `options` as their defaults."""
    albert_edge.export(source, bundle)
    albert_edge.optimize(bundle)
    # The bundle's tokenizer is compared elsewhere; taken from the checkpoint, transformers 5 would
    # make another one of spiece.model.
    theirs = REFERENCE.pipeline(
        task,
        model=str(source),
        tokenizer=REFERENCE.AutoTokenizer.from_pretrained(bundle),
        device="cpu",
        **options,
    )
    return Both(bundle, load_pipeline(task, bundle, threads=1, **options), theirs)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On models this small torch's threads wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def assert_same(ours: Any, theirs: Any) -> None:
    """The same types, nesting, keys and order; numbers within 1e-5."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(ours, float):
        assert ours == pytest.approx(theirs, rel=0, abs=1e-5)
    else:
        assert ours == theirs


ANY_TEXT = st.lists(
    st.text(max_size=12)
    | st.sampled_from(["[MASK]", "[SEP]", "<unk>", "  ", "\u3000", "e\u0301", "İ", "ß", "👍🏽"])
    | st.sampled_from(SENTENCES),
    max_size=6,
).map("".join)

ANY_ITEM = ANY_TEXT | st.fixed_dictionaries({"text": ANY_TEXT, "text_pair": ANY_TEXT})


def by_label(answer: list[dict[str, Any]]) -> dict[str, float]:
    """Scores by label: two that differ by rounding alone may change places."""
    scores = [entry["score"] for entry in answer]
    assert scores == sorted(scores, reverse=True)
    return {entry["label"]: entry["score"] for entry in sorted(answer, key=lambda e: e["label"])}


# Words of one token each, no two alike, so that one sees which were kept.
WORDS = re.findall(
    r"\w+",
    "one two three four five six seven eight nine ten red green blue black white house tree "
    "river mountain city king queen army ship road book music water fire earth wind sun moon",
)


def words(tokens: int) -> str:
    """A text of so many tokens, special tokens included."""
    return " ".join(WORDS[: tokens - 2])
