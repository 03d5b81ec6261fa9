"""Which integers activations are quantized to: what a file says, and what a CPU may need instead.

Quantized activations are bytes, q, that stand for the numbers step * (q - zero_point), in units of
the largest magnitude of their token. Symmetric activations use both sides of the zero point. Those
with a known lower bound, which they were shifted by, use one side.

CPUs without VNNI or the like add two products of a byte and a signed byte in 16 bits, where
255 * 127 + 255 * 127 does not fit and is silently cut off. With activations up to 127 it always
fits, so there the runtime replaces three scalars of the file as it loads it. Nothing else changes.

Standard library only: the graph and the runtime both stand on this module.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ActivationRange:
    """The integers of quantized activations.

    Attributes:
        step: What one integer stands for, for symmetric activations.
        zero_point: The integer that stands for zero, for symmetric activations.
        one_sided_step: What one integer stands for, for shifted activations; zero is zero.
        bits: How many bits are used.
    """

    step: float
    zero_point: int
    one_sided_step: float
    bits: int


EIGHT_BITS = ActivationRange(step=1 / 127, zero_point=128, one_sided_step=1 / 255, bits=8)
SEVEN_BITS = ActivationRange(step=1 / 63, zero_point=64, one_sided_step=1 / 127, bits=7)

# Initializers of the file, all scalars: float32, but for the zero point, which is uint8.
STEP = "activation_step"
ZERO_POINT = "activation_zero_point"
ONE_SIDED_STEP = "one_sided_activation_step"
