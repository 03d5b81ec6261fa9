"""Choose the variant of a bundle for a device and a precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from albert_edge.architecture.precisions import ON_CPU, may_stop_early
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import Variant
from albert_edge.errors import BundleError, Call, Message
from albert_edge.runtime.device import Device

_ELSEWHERE = ("fp16", "fp32")  # other devices have no kernels for integers

_PACK = Call("pack", "BUNDLE", out="FILE")
_SPECIALIZE = Call("specialize", "BUNDLE", "OUT", texts="FILE")


@dataclass(frozen=True)
class Fp16:
    """Stands in messages for `albert_edge.compress.options.Fp16`, which is on a higher floor."""

    target: str = "cuda"
    name: ClassVar = "fp16"


def choose_variant(bundle: Bundle, device: Device, precision: str) -> Variant:
    """Return the best variant of a bundle for a device and a precision.

    A variant authored for the device is preferred to a portable one. Variants whose outputs differ
    from those of the head (such as logits at [MASK] only) are loaded only by name. One with early
    exits is chosen by its own precision, such as "int8-exits", and by "auto" if it is accepted.

    Raises:
        BundleError: The bundle has no variant of that precision for the device.
    """
    usable = usable_variants(bundle, device)
    best_first = ON_CPU if device.is_cpu else _ELSEWHERE
    for name in best_first if precision == "auto" else (precision,):
        candidates = [
            variant
            for variant in usable
            if variant.mode == name and (precision != "auto" or variant.is_accepted)
        ]
        if candidates:
            return max(candidates, key=lambda variant: variant.target == device.provider.target)
    offers = sorted({variant.mode for variant in bundle.manifest.variants})
    known = Message(f"It has: {', '.join(offers) or 'none'}.")
    if bundle.is_packed:
        known = Message(known, " Pack more variants of the bundle: ", _PACK)
    elif may_stop_early(precision):
        known = Message(known, " Make one with: ", _SPECIALIZE)
    elif precision in ("fp16", *ON_CPU):
        portable = precision == "fp16" and device.provider.target != "cuda"
        wanted = Fp16(target="portable") if portable else precision
        call = Call("quantize", bundle.path, precision=wanted)
        known = Message(known, " Make one with: ", call)
    raise BundleError(f"{bundle.path} has no {precision} variant for {device.name}.", tip=known)


def offered_precisions(bundle: Bundle, device: Device) -> list[str]:
    """Return a bundle's precisions for a device: fp32, then the others as "auto" prefers them."""
    best_first = ON_CPU if device.is_cpu else _ELSEWHERE
    precisions = {variant.mode for variant in usable_variants(bundle, device)}
    return sorted(
        precisions & {*best_first}, key=lambda name: (name != "fp32", best_first.index(name))
    )


def usable_variants(bundle: Bundle, device: Device) -> list[Variant]:
    """Return the variants that can be chosen for a device, in the order of the manifest.

    Early exits are for CPUs; docs/gpu.md says what they would need on a GPU.
    """
    return [
        variant
        for variant in bundle.manifest.variants
        if variant.target in ("portable", device.provider.target)
        and not variant.has_own_outputs
        and (device.is_cpu or not variant.exits)
    ]
