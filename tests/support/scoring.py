"""Shared by tests: scorers of made-up answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import Manifest
from albert_edge.bundle.storage import Folder

EXACT: dict[str, Any] = {"rel": 0, "abs": 1e-9}
LETTERS = ("a", "b", "c", "d")
BIO = ("O", "B-per", "I-per", "B-creative-work", "I-creative-work")
BIOES = ("O", *(f"{prefix}-{kind}" for kind in ("x", "y") for prefix in "BIES"))
BILOU = ("O", *(f"{prefix}-{kind}" for kind in ("x", "y") for prefix in "BILU"))
BMES = tuple(f"{prefix}-{kind}" for kind in ("x", "y") for prefix in "BMES")
PARTS = ("NOUN", "VERB", "ADP")


def with_labels(labels: Sequence[str]) -> Bundle:
    """A bundle of which nothing but its labels is known."""
    return Bundle(Folder(Path("bundle")), Manifest("", tuple(labels), None, "", None, (), ()))


def ones(subject: Any, gold: Sequence[Any], found: Sequence[Any]) -> dict[str, float]:
    """The metrics by the formulas for resamples, of every example once."""
    outcomes = [subject.outcome(*pair) for pair in zip(gold, found, strict=True)]
    values = subject.measure(outcomes)(np.ones((1, len(outcomes))))
    return {name: float(value[0]) for name, value in values.items()}


def pairs(values: st.SearchStrategy[Any], least: int = 1) -> st.SearchStrategy[Any]:
    """Lists of (right, answered)."""
    return st.lists(st.tuples(values, values), min_size=least, max_size=30)


SETS = st.sets(st.integers(0, 3)).map(lambda labels: tuple(sorted(labels)))


# With few numbers to choose from there are ties.
NUMBERS = st.one_of(st.integers(-2, 2).map(float), st.floats(-100, 100).map(lambda x: round(x, 3)))


@st.composite
def tagged(draw: st.DrawFn, labels: Sequence[str]) -> list[tuple[Any, Any]]:
    lengths = draw(st.lists(st.integers(0, 8), min_size=1, max_size=8))
    tags = st.integers(0, len(labels) - 1)
    sentence = [st.tuples(*[tags] * length) for length in lengths]
    return [(draw(each), draw(each)) for each in sentence]
