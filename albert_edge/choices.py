"""Check arguments that take one of a few words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from albert_edge.errors import Argument, Message, UsageError


def require_choice(option: str, value: object, choices: Any) -> None:
    """Check that an argument is one of a few words.

    Args:
        option: The name of the argument.
        value: Its value.
        choices: A `Literal`, or the words.

    Raises:
        UsageError: It is not; the tip lists the words and names the nearest.
    """
    known = get_args(choices) or tuple(choices)
    if value not in known:
        near = nearest_word(str(value), known)
        guess = f" Did you mean {near!r}?" if near else ""
        raise UsageError(
            Message(Argument(option), f" {value!r} is unsupported."),
            tip=f"Choose one of: {', '.join(known)}.{guess}",
        )


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a misspelled one most likely means, or None."""
    from difflib import get_close_matches  # for errors only: a program's start has no time for it

    return next(iter(get_close_matches(word, list(known), n=1)), None)
