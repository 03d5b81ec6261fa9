"""The size of a value in a run, and what rules about sizes share."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from math import prod
from typing import Any, NamedTuple, Self

from albert_edge.validation.graph_parts import INT64, Node, Refused, Tensor

Shape = tuple[int, ...]

MOST_KNOWN = 16  # integers of a list that is followed


class Measured(int):
    """A size that may differ between runs; nothing is computed from one.

    A graph that compared it with a number could be small in the runs that are walked through, and
    large in all others.

    Args:
        value: The size in the run that is walked through.
        axes: The axes of the inputs whose sizes it is the product of, sorted; () if it is another.
    """

    axes: tuple[str, ...]

    def __new__(cls, value: int, axes: Iterable[str] = ()) -> Self:
        """Make a size."""
        self = super().__new__(cls, value)
        self.axes = tuple(sorted(axes))
        return self


def axes_of(sizes: Iterable[int]) -> list[str]:
    """Return the axes of the inputs that a product of sizes is known to contain."""
    return [axis for size in sizes if isinstance(size, Measured) for axis in size.axes]


class Size(NamedTuple):
    """The size of a value.

    Attributes:
        shape: Its shape.
        values: Its entries, of short lists of integers that do not depend on what a text says; the
            list is of the same length in all runs.
    """

    shape: Shape
    values: tuple[int, ...] | None = None


Sizes = Sequence[Size]
Rule = Callable[[Node, Sequence[Any]], list[Size]]
"""Returns the sizes of the results of a node from those of its inputs; None is one left out."""


def size_of(tensor: Tensor) -> Size:
    """Return the size of a tensor of the file, with its values if it is a short list."""
    count = prod(tensor.shape)
    if tensor.type == INT64 and count <= MOST_KNOWN and tensor.data is not None:
        return Size(tensor.shape, struct.unpack(f"<{count}q", tensor.data))
    return Size(tensor.shape)


def require(condition: bool, what: str) -> None:
    """Refuse the node unless a condition holds."""
    if not condition:
        raise Refused(what)


def known(size: Size) -> tuple[int, ...]:
    """Return the entries of a list of integers, which must be known."""
    require(size.values is not None, "a shape, an axis or a bound is not a constant")
    assert size.values is not None
    return size.values


def constant(size: Size) -> tuple[int, ...]:
    """Return the entries of a list of integers, which must be the same in all runs."""
    values = known(size)
    require(not is_measured(values), "an axis or a bound depends on the length of the text")
    return values


def is_measured(values: Sequence[int]) -> bool:
    """Return whether any of these numbers may differ between runs."""
    return any(isinstance(value, Measured) for value in values)


def axis_of(axis: int, rank: int) -> int:
    """Return which axis of so many is meant, counted from the first."""
    require(-rank <= axis < rank, f"there is no axis {axis} of {rank}")
    return axis % rank


def broadcast(*shapes: Shape) -> Shape:
    """Return the shape of a result that numbers of these shapes are broadcast to."""
    found = []
    for sizes in zip_longest(*map(reversed, shapes), fillvalue=1):
        larger = [size for size in sizes if size != 1]
        require(len({*larger}) < 2, f"shapes {', '.join(map(str, shapes))} do not fit together")
        found.append(common(*larger) if larger else 1)
    return tuple(reversed(found))


def common(first: int, *others: int) -> int:
    """Return one of equal sizes; of which axes it is only if all are of them."""
    is_known = all(axes_of([other]) == axes_of([first]) for other in others)
    return first if is_known else int(first)
