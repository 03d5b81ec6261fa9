"""The names of the precisions that a variant of a model can have."""

from __future__ import annotations

from typing import Literal

# The precisions of `quantize`: a scale per row or column, a scale per block (8 and 4 bits), half
# floats, or a different precision for each matrix.
Compressed = Literal["int8", "int8-block", "int4", "fp16", "mixed"]

# The order in which "auto" prefers precisions on a CPU, the fastest first. fp16 is for GPUs. Those
# with early exits have names of their own, see `Variant.mode`.
ON_CPU = ("int8-exits", "int8", "mixed", "int8-block", "int4", "fp32-exits", "fp32")

_EXITS = "-exits"


def with_exits(precision: str) -> str:
    """Return how a variant of a precision that may stop early is selected.

    >>> with_exits("int8")
    'int8-exits'
    """
    return precision + _EXITS


def may_stop_early(mode: str) -> bool:
    """Return whether a name selects variants with early exits."""
    return mode.endswith(_EXITS)
