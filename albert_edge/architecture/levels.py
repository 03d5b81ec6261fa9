"""The integers that activations are quantized to, if every token has a scale of its own.

A file has the levels of 8 bits. For CPUs that add pairs of products in 16 bits, the runtime turns
them into those of 7 bits: |x| <= 128 and -128 <= w <= 127 keep x0 * w0 + x1 * w1 within
-32768 and 32512.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Levels:
    """How a number from -1 (or 0) to 1 becomes an unsigned byte: round(x * steps) + zero_point.

    Attributes:
        steps: Levels from 0 to 1.
        zero_point: The byte that stands for 0.
    """

    steps: int
    zero_point: int

    @property
    def scale_name(self) -> str:
        """The name of the initializer with the scale, 1 / steps, in a file of 8 bits."""
        return f"scale_{self.steps}"

    @property
    def zero_point_name(self) -> str:
        """The name of the initializer with the zero point in a file of 8 bits."""
        return f"zero_point_{self.zero_point}"


SYMMETRIC = Levels(127, 128)
POSITIVE = Levels(255, 0)

# The levels of 8 bits and those of 7 bits in their place.
NARROW = {SYMMETRIC: Levels(64, 64), POSITIVE: Levels(128, 0)}
