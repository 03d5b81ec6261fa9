"""Changes to JSON documents and to bytes that a stranger could make, each from a seed.

Most change one value to one of its own type, or of another, that a reader might not expect; some
change what the document is made of. The text is built by hand where json.dumps would not write it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from typing import Any

LONG = 20_000
DEEP = 100_000

_INTEGERS: tuple[Any, ...] = (
    *(0, -1, 1, 2, 3, 127, 128, 1_000, 2**16, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63, -(2**63)),
    *(2**64, 10**30, 10**400, -(10**4_000)),
)
_NUMBERS: tuple[Any, ...] = (0.5, -0.0, 1e-320, 1e308, -1e308, float("nan"), float("inf"), 12.0)
_TEXTS: tuple[Any, ...] = (
    *(
        "",
        " ",
        "0",
        "-1",
        "true",
        "null",
        "1e9",
        "\0",
        "a\0b",
        "\n",
        "\x1b[31m",
        "\ud800",
        "\u202e",
    ),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "C:\\x",
        "\\\\host\\share",
        "file:///etc/passwd",
    ),
    *("%s%n", "{0.__class__}", "__class__", "a" * LONG, "\u0301" * 1_000, "９", "((a+)+)+$", "İ"),
)
_OTHERS: tuple[Any, ...] = (
    *(None, True, False, [], {}, [[]], {"": {}}, [None], ["a", 1], {"a": None}, [0] * 1_000),
)

# What json.dumps does not write: each stands for a value in a document.
_RAW = (
    "1" * 5_000,  # int() refuses more than 4,300 digits
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "[" * DEEP + "]" * DEEP,
    '{"a":' * DEEP + "1" + "}" * DEEP,
    "1.0000000000000000000000001",
    "-",
    "01",
    '"\\ud800\\udc"',
    "\u2028",
)
_HOLE = "a value that is written by hand"


def seeded(
    make: Callable[[random.Random], Any], count: int, first: int = 0
) -> list[tuple[str, Callable[[], Any]]]:
    """Cases that the judging process makes, each of its own seed."""
    seeds = range(first, first + count)
    return [(f"seed {seed}", partial(_of_seed, make, seed)) for seed in seeds]


def _of_seed(make: Callable[[random.Random], Any], seed: int) -> Any:
    return make(random.Random(seed))


def mutate_json(document: Any, draw: random.Random) -> bytes:
    """Return the text of a document with one change, or now and then several."""
    copy = json.loads(json.dumps(document))
    for _ in range(draw.choice((1, 1, 1, 1, 2, 4))):
        if isinstance(copy, dict | list):
            copy = draw.choice(_EDITS)(copy, draw)
    text = json.dumps(copy)
    text = text.replace(json.dumps(_HOLE), draw.choice(_RAW))
    content = text.encode("utf-8", "surrogatepass")
    return mutate_bytes(content, draw) if draw.random() < 0.1 else content


def mutate_bytes(content: bytes, draw: random.Random) -> bytes:
    """Return bytes with some flipped, cut, doubled, removed or put in."""
    at, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    match draw.randrange(6):
        case 0:
            return content[:at]
        case 1:
            return content[:at] + content[end:]
        case 2:
            return content[:end] + content[at:]
        case 3:
            return content[:at] + draw.randbytes(draw.choice((1, 2, 4, 8, 64))) + content[at:]
        case 4:
            return draw.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\x1f\x8b")) + content
    flipped = bytearray(content)
    for _ in range(draw.choice((1, 1, 4, 64)) if content else 0):
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
    return bytes(flipped)


def another_value(value: Any, draw: random.Random) -> Any:
    """A value of the same type twice in three times, else of any; or a hole."""
    kinds = {bool: (True, False), int: _INTEGERS, float: _NUMBERS, str: _TEXTS}
    if draw.random() < 0.08:
        return _HOLE
    if type(value) in kinds and draw.random() < 0.66:
        return draw.choice(kinds[type(value)])
    return draw.choice((*_INTEGERS, *_NUMBERS, *_TEXTS, *_OTHERS))


Edit = Callable[[Any, random.Random], Any]


def _places(document: Any) -> list[tuple[Any, Any]]:
    """All (container, key) of a document."""
    found, waiting = [], [document]
    while waiting:
        container = waiting.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            found.append((container, key))
            if isinstance(container[key], dict | list):
                waiting.append(container[key])
    return found


def _containers(document: Any, kind: type) -> list[Any]:
    inside = (container[key] for container, key in _places(document))
    return [item for item in (document, *inside) if isinstance(item, kind)]


def _change(document: Any, draw: random.Random) -> Any:
    places = _places(document)
    if not places:
        return document
    container, key = draw.choice(places)
    container[key] = another_value(container[key], draw)
    return document


def _remove(document: Any, draw: random.Random) -> Any:
    places = _places(document)
    if places:
        container, key = draw.choice(places)
        del container[key]
    return document


def _swap(document: Any, draw: random.Random) -> Any:
    places = _places(document)
    if len(places) > 1:
        (one, at), (other, to) = draw.sample(places, 2)
        moved = json.loads(json.dumps(other[to]))
        one[at] = moved
    return document


def _add(document: Any, draw: random.Random) -> Any:
    objects = _containers(document, dict)
    if objects:
        name = draw.choice((*_TEXTS, "auto_map", "version", "a"))
        draw.choice(objects)[name] = draw.choice((*_INTEGERS, *_TEXTS, *_OTHERS))
    return document


def _rename(document: Any, draw: random.Random) -> Any:
    objects = [item for item in _containers(document, dict) if item]
    if objects:
        item = draw.choice(objects)
        item[draw.choice(_TEXTS)] = item.pop(draw.choice(list(item)))
    return document


def _repeat(document: Any, draw: random.Random) -> Any:
    lists = [item for item in _containers(document, list) if item]
    if lists:
        item = draw.choice(lists)
        item += [draw.choice(item)] * draw.choice((1, 2, 100))
    return document


def _replace(document: Any, draw: random.Random) -> Any:
    return draw.choice((*_OTHERS, 0, "a", _HOLE, [document], {"a": document}))


_EDITS: tuple[Edit, ...] = (_change,) * 8 + (
    _remove,
    _remove,
    _swap,
    _add,
    _rename,
    _repeat,
    _replace,
)
