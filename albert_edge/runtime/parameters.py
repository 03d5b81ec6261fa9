"""Declare the parameters that every pipeline takes, and check the values of parameters.

A task names its parameters and their types in a TypedDict, which type checkers and editors read,
and turns them into checked values with the functions here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypedDict

from albert_edge.choices import nearest_word
from albert_edge.errors import UnknownArgumentError, UsageError
from albert_edge.progress import Progress
from albert_edge.runtime.item_error import OnError


class CallOptions(TypedDict, total=False):
    """The parameters of every call, in addition to those of its task.

    Attributes:
        batch_size: The most texts in a batch, by default 32 on CUDA. Without effect on a CPU, where
            each text runs by itself.
        num_workers: Accepted as in transformers, without effect.
        on_error: What happens if an item cannot be answered, such as a text over the model's limit:
            "raise" (the default) ends the call with its error; "record" puts an `ItemError` in the
            place of its answer. Errors of the model or the device are raised in any case.
        progress: Whether a list or a generator shows a progress bar; or a function to call with
            the step, how much of it is done, and the total.
    """

    batch_size: int | None
    num_workers: int | None
    on_error: OnError
    progress: bool | Progress


CALL_OPTIONS = frozenset(CallOptions.__annotations__)


class LayersUsed(CallOptions, total=False):
    """Whether answers say how many layers of the model they took.

    Attributes:
        return_layers: Whether an answer has "layers": how many layers were applied to the text,
            fewer than the model has where an early exit was certain. A text that is answered in
            several windows has a list, with a number for each.
    """

    return_layers: bool


RETURN_LAYERS = "return_layers"


class Truncation(CallOptions, total=False):
    """What to do with a text over the model's limit, as tokenizers of transformers take it.

    Attributes:
        truncation: False (the default) makes such a text an error. True and "longest_first" cut
            the longer of two segments, "only_first" and "only_second" one of them.
        max_length: A limit below the model's own, in tokens.
        padding: Accepted as in transformers; it has an effect only where an answer depends on it.
    """

    truncation: bool | str | None
    max_length: int | None
    padding: bool | str | None


class Tokenizing(Truncation, total=False):
    """What a tokenizer of transformers takes and a model depends on.

    As there, `max_length` cuts a text even without truncation=True, unless padding is given; and
    truncation=False leaves only the limit of the model.

    Attributes:
        text_pair: A second segment for every text.
        add_special_tokens: Whether to put [CLS] and [SEP] around the segments; by default yes.
        is_split_into_words: Whether a text is a list of words.
        return_token_type_ids: False tells the model that all tokens belong to one segment.
        return_attention_mask: False lets the model attend to padding.
        pad_to_multiple_of: With padding, the length is rounded up to a multiple of this.
        padding_side: Where padding goes, "left" or "right"; by default as the tokenizer was saved.
    """

    text_pair: str | None
    add_special_tokens: bool
    is_split_into_words: bool
    return_token_type_ids: bool | None
    return_attention_mask: bool | None
    pad_to_multiple_of: int | None
    padding_side: str | None


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
_PADDINGS = (True, "longest", "max_length", False, "do_not_pad", None)
_NO_PADDING = (False, "do_not_pad", None)
_SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class Padding:
    """How far and where to pad a text.

    Attributes:
        length: The length; None for that of the text, and 0 for the most that the model takes.
        multiple: The length is rounded up to a multiple of this.
        side: "left" or "right"; None for the side of the tokenizer.
        visible: Whether answers depend on padding on the right, which masked models ignore. They
            always depend on padding on the left, which moves the text to other positions.
    """

    length: int | None = None
    multiple: int = 1
    side: str | None = None
    visible: bool = False


@dataclass(frozen=True, slots=True)
class Tokenization:
    """A checked `Tokenizing`."""

    cut: Cut = WHOLE
    pair: str | None = None
    special_tokens: bool = True
    split: bool = False
    token_types: bool = True
    mask: bool = True
    padding: Padding | None = None


def read_cut(given: Mapping[str, Any], *, default: str = "longest_first") -> Cut:
    """Check `Truncation`.

    Args:
        given: The parameters of a call; those of other names are ignored.
        default: The strategy that truncation=True selects.

    Raises:
        UsageError: A value is invalid.
    """
    strategy = _plain(given.get("truncation"))
    if strategy is None or isinstance(strategy, bool):
        strategy = default if strategy else "do_not_truncate"
    if strategy not in STRATEGIES:
        raise invalid("truncation", strategy, f"It is a bool or one of {', '.join(STRATEGIES)}.")
    read_padding(given)
    return Cut(strategy, read_count(given, "max_length"))


def read_padding(given: Mapping[str, Any]) -> Any:
    """Check padding, and return None for no padding.

    Raises:
        UsageError: It is invalid.
    """
    padding = _plain(given.get("padding"))
    if padding not in _PADDINGS:
        names = ", ".join(name for name in _PADDINGS if isinstance(name, str))
        raise invalid("padding", padding, f"It is a bool or one of {names}.")
    return None if padding in _NO_PADDING else padding


def read_tokenization(given: Mapping[str, Any], *, shows_padding: bool = False) -> Tokenization:
    """Check `Tokenizing`.

    Args:
        given: The parameters of a call; those of other names are ignored.
        shows_padding: Whether answers have a part for each token, padding included.

    Raises:
        UsageError: A value is invalid.
    """
    cut, padding = read_cut(given), read_padding(given)
    if given.get("truncation") is None and given.get("padding", False) is False and cut.max_length:
        cut = Cut("longest_first", cut.max_length)
    mask = given.get("return_attention_mask") is not False
    side = given.get("padding_side")
    return Tokenization(
        cut=WHOLE if cut.strategy == "do_not_truncate" else cut,
        pair=given.get("text_pair"),
        special_tokens=bool(given.get("add_special_tokens", True)),
        split=bool(given.get("is_split_into_words")),
        token_types=given.get("return_token_type_ids") is not False,
        mask=mask,
        padding=None
        if padding is None
        else Padding(
            length=(cut.max_length or 0) if padding == "max_length" else None,
            multiple=read_count(given, "pad_to_multiple_of") or 1,
            side=side and read_choice(given, "padding_side", side, _SIDES),
            visible=shows_padding or not mask,
        ),
    )


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
    value = _plain(given.get(name)) or default
    choice = str(value).lower()
    if choice not in choices:
        raise invalid(name, value, f"It is one of: {', '.join(choices)}.")
    return choice


def bind(
    names: Sequence[str], arguments: Sequence[Any], named: Mapping[str, Any]
) -> dict[str, Any]:
    """Name positional arguments, and put them together with named ones.

    Args:
        names: What they are, in order.
        arguments: The positional arguments.
        named: The named ones.

    Raises:
        TypeError: There are too many, or one is also given by name.
    """
    if len(arguments) > len(names):
        raise TypeError(
            f"{len(arguments)} positional arguments, of at most {len(names)}: {', '.join(names)}"
        )
    given = dict(zip(names, arguments, strict=False))
    for name in given.keys() & named.keys():
        raise TypeError(f"{name} is given twice, once by position")
    return {**given, **named}


def require_known(
    what: str, given: Iterable[str], known: Collection[str], also: Collection[str] = ()
) -> None:
    """Raise UnknownArgumentError if an argument has none of the known names.

    Args:
        what: What the arguments belong to, such as a task.
        given: The names of the arguments given.
        known: The names to recommend.
        also: Other names that are accepted.

    Raises:
        UnknownArgumentError: It names the first unknown one, the nearest known one and all to
            recommend.
    """
    for name in given:
        if name not in known and name not in also:
            nearest = nearest_word(name, [*known, *also])
            meant = f" Did you mean {nearest}?" if nearest else ""
            raise UnknownArgumentError(
                f"{what} has no parameter {name}.{meant}", tip=f"It has: {', '.join(known)}."
            )


def _plain(value: Any) -> Any:
    """Return the name that an enumeration of transformers, such as PaddingStrategy, stands for."""
    return value.value if isinstance(value, Enum) else value


def invalid(name: str, value: Any, tip: str) -> UsageError:
    """Make an error about the value of a parameter."""
    return UsageError(f"{name} is {value!r}.", tip=tip)
