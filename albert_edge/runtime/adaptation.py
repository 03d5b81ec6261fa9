"""How int8 models are changed while they are loaded, so that this CPU adds products exactly.

A file has activations of 8 bits and signed weights, which is exact and fastest on CPUs with VNNI or
dot products. On others, sums of two products overflow: their activations get 7 bits if the answers
are good enough with them (see `albert_edge.runtime.narrow`), else the weights become unsigned (see
`albert_edge.runtime.unsigned`), which takes a third more time.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from albert_edge.bundle.manifest import Variant
from albert_edge.runtime.device import Device
from albert_edge.runtime.saturation import (
    adds_narrow_activations_exactly,
    adds_signed_weights_exactly,
)


class Adaptation(StrEnum):
    """A change to an int8 model for this CPU."""

    UNSIGNED_WEIGHTS = "unsigned-weights"
    NARROW_ACTIVATIONS = "narrow-activations"


def choose_adaptation(*, narrow_activations: bool) -> Adaptation | None:
    """Return what this CPU needs for products of signed weights; None for the file as it is.

    Args:
        narrow_activations: Whether the model's answers are good enough with 7-bit activations.
    """
    if adds_signed_weights_exactly():
        return None
    if narrow_activations and adds_narrow_activations_exactly():
        return Adaptation.NARROW_ACTIVATIONS
    return Adaptation.UNSIGNED_WEIGHTS


def adaptation_of(variant: Variant, device: Device) -> Adaptation | None:
    """Return how a variant is changed on a device; None for as it is."""
    if not device.is_cpu or not variant.multiplies_signed_weights:
        return None
    return choose_adaptation(narrow_activations=variant.narrow_activations)


def adapt(content: bytes, path: Path, adaptation: Adaptation) -> bytes:
    """Change the content of an .onnx file.

    Args:
        content: The content of the file.
        path: Where it is, for errors.
        adaptation: What to change.

    Raises:
        BundleError: It is not a file with such weights or activations.
    """
    # Imported here: most CPUs change nothing, and small computers have no memory to spare.
    if adaptation is Adaptation.NARROW_ACTIVATIONS:
        from albert_edge.runtime.narrow import with_narrow_activations

        return with_narrow_activations(content, path)
    from albert_edge.runtime.unsigned import with_unsigned_weights

    return with_unsigned_weights(content, path)
