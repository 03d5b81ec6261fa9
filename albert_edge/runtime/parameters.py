"""Declare the parameters that every pipeline takes, and check the values of parameters.

A task names its parameters and their types in a TypedDict, which type checkers and editors read,
and turns them into checked values with the functions here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from albert_edge.choices import nearest_word
from albert_edge.errors import UsageError
from albert_edge.progress import Progress


class CallOptions(TypedDict, total=False):
    """The parameters of every call, in addition to those of its task.

    Attributes:
        batch_size: The most texts in a batch, by default 32 on CUDA. Without effect on a CPU, where
            each text runs by itself.
        num_workers: Accepted as in transformers, without effect.
        progress: Whether a list or a generator shows a progress bar; or a function to call with
            the step, how much of it is done, and the total.
    """

    batch_size: int | None
    num_workers: int | None
    progress: bool | Progress


CALL_OPTIONS = frozenset(CallOptions.__annotations__)


class Truncation(CallOptions, total=False):
    """What to do with a text over the model's limit, as tokenizers of transformers take it.

    Attributes:
        truncation: False (the default) makes such a text an error. True and "longest_first" cut
            the longer of two segments, "only_first" and "only_second" one of them.
        max_length: A limit below the model's own, in tokens.
        padding: Accepted, without effect: answers do not depend on padding.
    """

    truncation: bool | str
    max_length: int | None
    padding: bool | str


@dataclass(frozen=True, slots=True)
class Cut:
    """A checked `Truncation`.

    Attributes:
        strategy: "longest_first", "only_first", "only_second" or "do_not_truncate", which makes a
            text over the limit an error.
        max_length: A limit below the model's own, in tokens, or None.
    """

    strategy: str = "do_not_truncate"
    max_length: int | None = None


WHOLE = Cut()
"""A text over the limit is an error."""
STRATEGIES = ("longest_first", "only_first", "only_second", "do_not_truncate")
PADDINGS = (True, False, "longest", "do_not_pad")


def read_cut(given: Mapping[str, Any], *, default: str = "longest_first") -> Cut:
    """Check `Truncation`.

    Args:
        given: The parameters of a call; those of other names are ignored.
        default: The strategy that truncation=True selects.

    Raises:
        UsageError: A value is invalid.
    """
    strategy = given.get("truncation", False)
    if isinstance(strategy, bool):
        strategy = default if strategy else "do_not_truncate"
    if strategy not in STRATEGIES:
        raise invalid("truncation", strategy, f"It is a bool or one of {', '.join(STRATEGIES)}.")
    read_padding(given, PADDINGS)
    return Cut(strategy, read_count(given, "max_length"))


def read_nested_cut(given: Mapping[str, Any], name: str) -> Cut:
    """Check `Truncation` where a dict among the parameters may hold it too and takes precedence.

    Args:
        given: The parameters of a call.
        name: The name of the parameter that is the dict.
    """
    nested = given.get(name) or {}
    require_known(name, nested, tuple(Truncation.__annotations__))
    return read_cut({**given, **nested})


def read_padding(given: Mapping[str, Any], accepted: Collection[Any]) -> None:
    """Raise UsageError for a padding that would change answers if it had an effect."""
    padding = given.get("padding", False)
    if padding not in accepted:
        raise invalid("padding", padding, "Leave it out: each text runs without padding.")


def read_count(given: Mapping[str, Any], name: str, *, least: int = 1) -> int | None:
    """Check a parameter that is a whole number, `least` or more; None if it is left out.

    Raises:
        UsageError: It is invalid.
    """
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise invalid(name, value, f"Give a whole number, {least} or more.")
    return value


def read_choice(given: Mapping[str, Any], name: str, default: str, choices: Iterable[str]) -> str:
    """Check a parameter that is one of a few names, in upper or lower case.

    Raises:
        UsageError: It is not one of them.
    """
    value = given.get(name) or default
    choice = str(value).lower()
    if choice not in choices:
        raise invalid(name, value, f"It is one of: {', '.join(choices)}.")
    return choice


def require_known(what: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raise UsageError if a parameter is unknown.

    Args:
        what: What the parameters belong to, such as a task.
        given: The names of the parameters given.
        known: The names of all parameters.

    Raises:
        UsageError: It names the first unknown one, the nearest known one and all known ones.
    """
    for name in given:
        if name not in known and name not in CALL_OPTIONS:
            nearest = nearest_word(name, known)
            meant = f" Did you mean {nearest}?" if nearest else ""
            raise UsageError(
                f"{what} has no parameter {name}.{meant}", tip=f"It has: {', '.join(known)}."
            )


def invalid(name: str, value: Any, tip: str) -> UsageError:
    """Make an error about the value of a parameter."""
    return UsageError(f"{name} is {value!r}.", tip=tip)
