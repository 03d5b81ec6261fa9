"""The steps of a tokenizer.json around its model: which there may be, with which fields.

Each family has a table from type to fields. A step of type "Sequence" has further steps.
"""

from __future__ import annotations

import base64
import binascii
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

from albert_edge.json_fields import JsonObject
from albert_edge.validation.charsmap import LONGEST, check_charsmap
from albert_edge.validation.patterns import TRIM, leaves_no_runs, shortest_match
from albert_edge.validation.tokenizer_models import require_known

# Reads a field, and raises its fault if it is not as it should be.
Read = Callable[[JsonObject, str], Any]

_DEEPEST = 4
_MOST_STEPS = 64
_LONGEST_TEXT = 32  # characters of what is searched, put in or taken off
# How many times longer a text may become. Steps multiply: 30 that double it would fill the memory.
_MOST_GROWTH = 32


@dataclass(frozen=True, slots=True)
class Step:
    """A type of steps.

    Attributes:
        fields: How to read each of its fields.
        growth: How many times longer it may make a text.
    """

    fields: Mapping[str, Read]
    growth: Callable[[JsonObject], float] = lambda _: 1


def flag(part: JsonObject, name: str) -> None:
    """Read true or false."""
    part.flag(name)


def optional_flag(part: JsonObject, name: str) -> None:
    """Read true, false, null or nothing."""
    part.flag(name, None)


def short_text(part: JsonObject, name: str) -> str:
    """Read a text of a few characters."""
    text = part.text(name)
    if len(text) > _LONGEST_TEXT:
        raise part.fault(name, f"at most {_LONGEST_TEXT} characters")
    return text


def _some_text(part: JsonObject, name: str) -> None:
    if not short_text(part, name):
        raise part.fault(name, "at least one character")


def _character(part: JsonObject, name: str) -> None:
    if len(part.text(name)) != 1:
        raise part.fault(name, "one character")


def _optional_text(part: JsonObject, name: str) -> None:
    if part.values.get(name) is not None:
        short_text(part, name)


def _choice(*choices: str) -> Read:
    return lambda part, name: part.choice(name, choices)


def _optional_choice(*choices: str) -> Read:
    return lambda part, name: part.choice(name, choices, None)


def _up_to(high: int) -> Read:
    return lambda part, name: part.integer(name, low=0, high=high)


def _pattern(part: JsonObject, name: str) -> None:
    pattern = part.object(name)
    require_known(pattern, ("String", "Regex"))
    if len(pattern.values) != 1:
        raise part.fault(name, "either a String or a Regex")
    if "String" in pattern.values:
        _some_text(pattern, "String")
        return
    try:
        shortest_match(pattern.text("Regex"))
    except ValueError as error:
        raise pattern.fault("Regex", f"a simpler one: it {error}") from None


def _charsmap(part: JsonObject, name: str) -> None:
    text = part.text(name)
    try:
        content = base64.b64decode(text, validate=True)
        rest = len(content) % 3 or 3
        if base64.b64encode(content[-rest:]).decode() != text[-4:]:
            raise ValueError("its base64 is not canonical")
        check_charsmap(content)
    except (ValueError, binascii.Error) as error:
        raise part.fault(name, f"a character map: {error}") from None


def _growth_of_replacement(part: JsonObject) -> float:
    content = unicodedata.normalize("NFKD", part.text("content"))
    ((kind, pattern),) = part.object("pattern").values.items()
    return max(len(content) / (len(pattern) if kind == "String" else shortest_match(pattern)), 1)


def _twice(_: JsonObject) -> float:
    return 2


_BEHAVIOR = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
_NOTHING = Step({})
_REPLACE = Step({"pattern": _pattern, "content": short_text}, _growth_of_replacement)
_METASPACE = Step(
    {
        "replacement": _character,
        "prepend_scheme": _optional_choice("always", "first", "never"),
        "split": optional_flag,
        "add_prefix_space": optional_flag,
        "str_rep": _optional_text,
    },
    _twice,
)
# As a normalizer it has no fields. A character becomes one for each of its bytes, of two bytes.
_BYTES = Step(
    dict.fromkeys(("add_prefix_space", "trim_offsets", "use_regex"), optional_flag), _twice
)

_NORMALIZERS = {
    "BertNormalizer": Step(
        {
            "clean_text": flag,
            "handle_chinese_chars": flag,
            "strip_accents": optional_flag,
            "lowercase": flag,
        },
        lambda _: 3,  # a space on either side of a Chinese character
    ),
    "ByteLevel": _BYTES,
    "Precompiled": Step(
        {"precompiled_charsmap": _charsmap},
        lambda _: LONGEST,
    ),
    "Prepend": Step({"prepend": short_text}),
    "Replace": _REPLACE,
    "Strip": Step({"strip_left": flag, "strip_right": flag}),
    **dict.fromkeys(
        ("Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "StripAccents"),
        _NOTHING,
    ),
}
_PRE_TOKENIZERS = {
    "ByteLevel": _BYTES,
    "CharDelimiterSplit": Step({"delimiter": _character}),
    "Digits": Step({"individual_digits": flag}),
    "Metaspace": _METASPACE,
    "Punctuation": Step({"behavior": _optional_choice(*_BEHAVIOR)}),
    "Split": Step({"pattern": _pattern, "behavior": _choice(*_BEHAVIOR), "invert": flag}),
    **dict.fromkeys(
        ("BertPreTokenizer", "UnicodeScripts", "Whitespace", "WhitespaceSplit"),
        _NOTHING,
    ),
}
_DECODERS = {
    "BPEDecoder": Step({"suffix": _some_text}),
    "ByteLevel": _BYTES,
    "Metaspace": _METASPACE,
    "Replace": _REPLACE,
    # It fails on a token that is shorter than what it takes off the end.
    "Strip": Step({"content": _character, "start": _up_to(_LONGEST_TEXT), "stop": _up_to(0)}),
    "WordPiece": Step({"prefix": short_text, "cleanup": flag}),
    **dict.fromkeys(("ByteFallback", "Fuse"), _NOTHING),
}


def check_steps(tokenizer: JsonObject) -> None:
    """Check the fields "normalizer", "pre_tokenizer" and "decoder" of a tokenizer.json."""
    _check_family(tokenizer, "normalizer", "normalizers", _NORMALIZERS)
    _check_family(tokenizer, "pre_tokenizer", "pretokenizers", _PRE_TOKENIZERS)
    _check_family(tokenizer, "decoder", "decoders", _DECODERS)


def open_sequence(
    part: JsonObject, field: str, kinds: Mapping[str, Step], depth: int = _DEEPEST
) -> Iterator[JsonObject]:
    """Yield the steps of a part, checked; those of a sequence in their order.

    Args:
        part: A step.
        field: Where a sequence has its steps.
        kinds: The types of steps.
        depth: How deep sequences may be nested.
    """
    kind = part.choice("type", (*kinds, "Sequence"))
    if kind != "Sequence":
        require_known(part, kinds[kind].fields)
        for name, read in kinds[kind].fields.items():
            read(part, name)
        yield part
        return
    require_known(part, (field,))
    if not depth:
        raise part.fault("type", f"in at most {_DEEPEST} sequences")
    for step in part.objects(field):
        yield from open_sequence(step, field, kinds, depth - 1)


def _check_family(tokenizer: JsonObject, name: str, field: str, kinds: Mapping[str, Step]) -> None:
    part = tokenizer.object(name, None)
    if part is None:
        return
    steps = [*open_sequence(part, field, kinds)]
    if len(steps) > _MOST_STEPS:
        raise tokenizer.fault(name, f"at most {_MOST_STEPS} steps")
    if prod(kinds[step.text("type")].growth(step) for step in steps) > _MOST_GROWTH:
        raise tokenizer.fault(name, f"steps that make texts at most {_MOST_GROWTH} times longer")
    for before, step in pairwise([JsonObject({}, "", step.error) for step in steps[:1]] + steps):
        if _regex(step) == TRIM and not leaves_no_runs(_regex(before), before.text("content", "")):
            raise step.fault("pattern", "after a step that leaves no two spaces in a row")


def _regex(step: JsonObject) -> str:
    pattern = step.object("pattern", None)
    return "" if pattern is None else pattern.text("Regex", "")
