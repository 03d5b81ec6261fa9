"""Arguments that are one of a few words."""

from __future__ import annotations

from typing import Any, get_args

from albert_edge.errors import UsageError


def require_choice(option: str, value: str, choices: Any) -> None:
    """See that a value is one of a `Literal`.

    Raises:
        UsageError: It is not; the message names the option, the tip the choices.
    """
    if value not in get_args(choices):
        raise UsageError(
            f"There is no {option} {value!r}.", tip=f"It is one of: {', '.join(get_args(choices))}."
        )
