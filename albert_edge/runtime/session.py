"""A variant of a bundle, loaded: named arrays in, named arrays out."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.activation_range import (
    EIGHT_BITS,
    ONE_SIDED_STEP,
    STEP,
    ZERO_POINT,
    ActivationRange,
)
from albert_edge.bundle import Bundle, open_bundle
from albert_edge.errors import BundleError, DeviceError, InputError, UsageError
from albert_edge.manifest import Variant
from albert_edge.runtime.closable import Closable
from albert_edge.runtime.cpus import usable_cpus
from albert_edge.runtime.device import CPU, Device, find_device, load_onnxruntime
from albert_edge.runtime.memory import return_freed_memory
from albert_edge.runtime.saturation import activation_range

Arrays = dict[str, npt.NDArray[Any]]

# What "auto" takes, the first one there is: the fastest whose answers were checked, then the rest.
_PREFERENCE = ("int8", "mixed", "int8-block", "int4", "fp32")

# What a caller may leave out, as in transformers: no padding, one segment.
_DEFAULTS = {"attention_mask": 1, "token_type_ids": 0}


class Session(Closable):
    """A model in memory. Safe to use from many threads.

    Args:
        bundle: A bundle, or the folder of one.
        device: "auto" or "cpu".
        precision: "auto", "fp32" or another that the bundle was quantized to. "auto" takes the
            fastest on the device: int8 if there is one.
        threads: Threads inside one run; by default the processors this process may use.
        variant: The name of one variant, instead of the best one for device and precision.

    Attributes:
        bundle: The bundle it came from.
        variant: The variant that was loaded.
        device: The device it runs on.
        activations: The range that activations are quantized to on this CPU, or None if they are
            not quantized.
        threads: Threads inside one run.
        input_names: Arrays it takes, in order.
        output_names: Arrays it gives, in order.

    Raises:
        BundleError: The bundle is missing or damaged, or has no such variant.
        DeviceError: The device is not available.
        MissingExtraError: onnxruntime is not installed.
        UsageError: An argument has no meaning.
    """

    def __init__(
        self,
        bundle: Bundle | str | os.PathLike[str],
        *,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        variant: str | None = None,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        self.device = find_device(device)
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}.", tip="Give 1 or more, or leave it out.")
        self.threads = threads or usable_cpus()
        self.variant = (
            self.bundle.variant(variant)
            if variant
            else choose_variant(self.bundle, self.device, precision)
        )
        self.activations = activation_range() if self.variant.activations else None
        path = self.bundle.model_file(self.variant)
        self._session = _load(path, self.device, self.threads, self.activations)
        self.input_names = tuple(value.name for value in self._session.get_inputs())
        self.output_names = tuple(value.name for value in self._session.get_outputs())

    def run(self, inputs: Mapping[str, npt.ArrayLike]) -> Arrays:
        """Run the model once.

        Args:
            inputs: input_ids, (batch, sequence) integers; attention_mask (default: all 1) and
                token_type_ids (default: all 0) of the same shape. multiple-choice models take
                (batch, num_choices, sequence). Names the variant does not need are ignored.

        Returns:
            The outputs by name, float32.

        Raises:
            InputError: An array is missing, of another shape or type, or has an id out of range.
            UsageError: The session was closed.
        """
        if self._session is None:
            raise UsageError("This session was closed.", tip="Open a new one.")
        feed = self._feed(inputs)
        try:
            outputs = self._session.run(None, feed)
        except Exception as error:  # onnxruntime has no public base class for its errors
            raise InputError(
                f"onnxruntime could not run input_ids of shape {feed['input_ids'].shape}: {error}",
                tip="Ids must be below vocab_size, the length at most max_position_embeddings.",
            ) from error
        return dict(zip(self.output_names, outputs, strict=True))

    def _feed(self, inputs: Mapping[str, npt.ArrayLike]) -> Arrays:
        if "input_ids" not in inputs:
            raise InputError("input_ids is missing.", tip="Pass the token ids as input_ids.")
        feed = {name: _as_ids(name, inputs[name]) for name in self.input_names if name in inputs}
        shape = feed["input_ids"].shape
        for name in self.input_names:
            if name not in feed:
                feed[name] = np.full(shape, _DEFAULTS[name], dtype=np.int64)
            elif feed[name].shape != shape:
                raise _bad_array(name, f"has shape {feed[name].shape}; input_ids has {shape}")
        return feed

    def close(self) -> None:
        """Free the memory of the model; later runs raise UsageError."""
        self._session = None


def choose_variant(bundle: Bundle, device: Device, precision: str) -> Variant:
    """The best variant of a bundle for a device and a precision.

    One authored for the device wins over a portable one; those whose outputs differ from the
    task's own (such as logits at [MASK] alone) are used only when named.

    Raises:
        BundleError: The bundle has none of that precision.
    """
    usable = [
        variant
        for variant in bundle.manifest.variants
        if variant.target in ("portable", device.target) and not variant.has_own_outputs
    ]
    for wanted in _PREFERENCE if precision == "auto" else (precision,):
        candidates = [variant for variant in usable if variant.precision == wanted]
        if candidates:
            return max(candidates, key=lambda variant: variant.target == device.target)
    offers = sorted({variant.precision for variant in bundle.manifest.variants})
    known = f"It has: {', '.join(offers) or 'none'}."
    if precision in ("fp16", *_PREFERENCE):
        command = shlex.join(["albert-edge", "quantize", str(bundle.folder)])
        known += f" Make one with: {command} --precision {precision}"
    raise BundleError(f"{bundle.folder} has no {precision} variant for {device.name}.", tip=known)


def run_file(path: Path, *, quantized: bool = False) -> Callable[[Mapping[str, Any]], Arrays]:
    """Load an .onnx file that is in no bundle yet, on the CPU, as a function of named arrays.

    Args:
        path: The file.
        quantized: Whether it quantizes activations at run time.
    """
    session = _load(path, CPU, usable_cpus(), activation_range() if quantized else None)
    wanted = [value.name for value in session.get_inputs()]
    names = [value.name for value in session.get_outputs()]

    def run(inputs: Mapping[str, Any]) -> Arrays:
        try:
            outputs = session.run(names, {name: inputs[name] for name in wanted})
        except Exception as error:  # onnxruntime has no public base class for its errors
            raise BundleError(
                f"onnxruntime cannot run {path.name}: {error}", tip="Update onnxruntime."
            ) from error
        return dict(zip(names, outputs, strict=True))

    return run


def _load(path: Path, device: Device, threads: int, activations: ActivationRange | None) -> Any:
    ort = load_onnxruntime()
    options = _options(ort, threads)
    if activations and activations != EIGHT_BITS:  # which is what the file says
        for name, value in _scalars(activations).items():
            options.add_initializer(name, value)
    try:
        session = ort.InferenceSession(path, options, providers=list(device.providers))
    except Exception as error:  # onnxruntime has no public base class for its errors
        raise BundleError(
            f"onnxruntime {ort.__version__} cannot load {path}: {error}",
            tip="Update onnxruntime, or export the model again.",
        ) from error
    if session.get_providers()[0] != device.providers[0]:
        raise DeviceError(
            f"onnxruntime loaded {session.get_providers()[0]}, not {device.providers[0]}.",
            tip="Choose another device.",
        )
    return_freed_memory()
    return session


def _options(ort: ModuleType, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Beyond the basics, onnxruntime's optimizer fuses into operators that are slower on a CPU, and
    # it takes more memory the more often a layer is applied.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Threads rest as soon as a run is over, and leave the cores to whatever the program does next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


@functools.cache
def _scalars(activations: ActivationRange) -> dict[str, Any]:
    """The initializers that say to which range activations are quantized.

    onnxruntime keeps pointers to them for as long as a session lives, hence the cache.
    """
    values = {
        STEP: np.array(activations.step, np.float32),
        ZERO_POINT: np.array(activations.zero_point, np.uint8),
        ONE_SIDED_STEP: np.array(activations.one_sided_step, np.float32),
    }
    make = load_onnxruntime().OrtValue.ortvalue_from_numpy
    return {name: make(value) for name, value in values.items()}


def _as_ids(name: str, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    try:
        array = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise _bad_array(name, f"is not one array: {error}") from error
    if array.dtype.kind not in "iub" or array.size == 0:
        raise _bad_array(name, f"has type {array.dtype} and shape {array.shape}")
    # ONNX counts negative indices from the end of a table, so they would be answered.
    if array.min() < 0 or array.max() > np.iinfo(np.int64).max:
        raise _bad_array(name, f"has ids from {array.min()} to {array.max()}")
    return array.astype(np.int64, copy=False)


def _bad_array(name: str, what: str) -> InputError:
    return InputError(
        f"{name} {what}.", tip="All inputs are arrays of ids from 0 up, of one shape, not empty."
    )
