"""Shared by tests: fill mask."""

from __future__ import annotations

from hypothesis import strategies as st

from support.pipelines import (
    ANY_TEXT,
)

ENGLISH_WORDS = [
    "▁good",
    "good",
    "▁the",
    "good",
    "unbelievabletown",
    "New York",
    ".",
    "é",
    "[MASK]",
]

CHINESE_WORDS = ["天", "好", "##天", "good", "天气", "unbelievabletown", "好", "。", "[PAD]"]

MASKED = st.tuples(
    ANY_TEXT, st.lists(st.sampled_from(["[MASK]", " [MASK] ", "[MASK]."]), min_size=1), ANY_TEXT
).map(lambda parts: parts[0][:100] + "".join(parts[1][:3]) + parts[2][:100])
