"""Whether fp32 is faster than int8 on this machine, measured where it may be: for small models.

Quantizing activations takes several operators per product. In a model of a few MB they cost more
than int8 saves for short texts; in a larger one they never do, so nothing is measured there.

With early exits, a text leaves after as many layers as it happens to need. What is compared is then
the time of a layer, times the layers that texts like those of the sample took on average.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from albert_edge.architecture.heads import LAYERS, Input
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.manifest import MODEL, Variant
from albert_edge.runtime.device import Device
from albert_edge.runtime.inputs import declared_inputs, feed
from albert_edge.runtime.variants import usable_variants

# The largest fp32 file for which it is measured. ALBERT-tiny (18 MB) is faster in int8 everywhere.
_SMALL = 8_000_000
# A short text, with which overhead counts most; from 16 tokens on both take about the same time.
_SIZES = {"batch_size": 1, "num_choices": 2, "sequence_length": 8}
_TURNS = 8
# fp32 has to be clearly faster, so that noise does not decide; else the smaller file is taken.
_CLEARLY = 0.9

# What was decided in this process, by the content of the files and the number of threads.
_DECIDED: dict[tuple[str, str, int], tuple[float, float]] = {}


def find_rival(bundle: Bundle, device: Device, variant: Variant) -> Variant | None:
    """Return the fp32 variant that may be faster than a compressed one; None if none can be."""
    if not device.is_cpu or variant.precision == "fp32" or set(variant.files) != {MODEL}:
        return None
    rivals = [
        other
        for other in usable_variants(bundle, device)
        if other.precision == "fp32" and other.is_accepted
        if bool(other.exits) == bool(variant.exits) and other.bytes <= _SMALL
    ]
    return max(rivals, key=lambda other: other.target == device.provider.target, default=None)


def known_times(rivals: Sequence[Variant], threads: int) -> tuple[float, float] | None:
    """Return what this process measured before for two variants."""
    return _DECIDED.get(_key(rivals, threads))


def compare(rivals: Sequence[Variant], engines: Sequence[Any], threads: int) -> tuple[float, float]:
    """Measure two loaded variants in turns.

    Args:
        rivals: The variants.
        engines: Their onnxruntime.InferenceSessions.
        threads: Threads inside a run.

    Returns:
        For both the fastest run on a short text, in seconds, in as many layers as texts usually
        take if the manifest says how many.
    """
    declared = [
        declared_inputs(engine, variant.inputs[MODEL])
        for engine, variant in zip(engines, rivals, strict=True)
    ]
    feeds = [_short_text(inputs) for inputs in declared]
    times = run_times(engines, feeds)
    first, second = (
        seconds * _usual_work(*run)
        for seconds, *run in zip(times, rivals, engines, feeds, strict=True)
    )
    _DECIDED[_key(rivals, threads)] = first, second
    return first, second


def is_clearly_faster(first: float, second: float) -> bool:
    """Return whether the second of two times is so much shorter that noise does not explain it."""
    return second < _CLEARLY * first


def run_times(engines: Sequence[Any], feeds: Sequence[Any]) -> list[float]:
    """Return the fastest run of each model in seconds; what disturbs a run only makes it slower."""
    pairs = list(zip(engines, feeds, strict=True))
    for engine, arrays in pairs:
        engine.run(None, arrays)  # the first run allocates
    times: list[list[float]] = [[] for _ in pairs]
    for _ in range(_TURNS):
        for (engine, arrays), taken in zip(pairs, times, strict=True):
            start = time.perf_counter()
            engine.run(None, arrays)
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


def _short_text(declared: Sequence[Input]) -> Any:
    ids = np.zeros([_SIZES.get(axis, 1) for axis in declared[0].axes], np.int64)
    return feed(declared, {declared[0].name: ids})


def _usual_work(variant: Variant, engine: Any, arrays: Any) -> float:
    """Return the layers that texts take on average, as a multiple of those that this one takes.

    It is 1 for a model that takes all layers, or of which nothing was measured.
    """
    mean = variant.measured.get("mean_layers")
    if not variant.exits or not isinstance(mean, int | float):
        return 1.0
    (layers,) = engine.run([LAYERS], arrays)
    return float(mean / layers[0])


def _key(rivals: Sequence[Variant], threads: int) -> tuple[str, str, int]:
    first, second = (variant.files[MODEL][0].sha256 for variant in rivals)
    return first, second, threads
