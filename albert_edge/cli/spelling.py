"""Spell messages for a shell: arguments as flags, calls as commands."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterator
from typing import Any

from albert_edge.errors import Argument, Call

# Flags whose name differs from that of the Python argument.
_FLAGS = {
    "second": "diff",
    "out": "output",
    "second_variant": "diff-variant",
    "truncation": "truncate",
    "precisions": "precision",
    "variants": "variant",
}
# Flags of arguments that are False; others cannot be passed so.
_NEGATIVE_FLAGS = {"keep_accents": "--strip-accents", "lowercase": "--cased"}


def spell_command_line(part: Argument | Call) -> str:
    """Spell an argument as a flag, and a call as a command.

    >>> spell_command_line(Argument("min_agreement", 0.9))
    '--min-agreement 0.9'
    >>> spell_command_line(Call("quantize", "my bundle", precision="int4"))
    "albert-edge quantize 'my bundle' --precision int4"
    """
    if isinstance(part, Argument):
        words = [*_flag(part.name, *part.values)]
    else:
        words = ["albert-edge", part.verb, *map(_word, part.arguments)]
        for name, value in part.options.items():
            words += _flag(name, value)
    return shlex.join(words)


def _flag(name: str, value: Any = True) -> Iterator[str]:
    """Yield the flag and its value; nothing if the command line cannot pass such a value."""
    flag = "--" + _FLAGS.get(name, name).replace("_", "-")
    if value is True:
        yield flag
    elif value is False and name in _NEGATIVE_FLAGS:
        yield _NEGATIVE_FLAGS[name]
    elif dataclasses.is_dataclass(value):  # such as Int8(activations="per-tensor")
        yield from (flag, str(getattr(value, "name", value)))
        for field in dataclasses.fields(value):
            chosen = getattr(value, field.name)
            if chosen is not None and chosen != field.default:
                yield from _flag(field.name, chosen)
    elif isinstance(value, str | os.PathLike | int | float) and value is not False:
        yield from (flag, _word(value))


def _word(value: Any) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
