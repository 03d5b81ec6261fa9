"""A variant of a bundle, loaded: named arrays in, named arrays out."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from albert_edge.architecture.heads import LAYERS
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.manifest import MODEL, Variant
from albert_edge.cleanup import stopped_by_signals
from albert_edge.errors import BundleError, DeviceError, InputError, UsageError
from albert_edge.runtime.adaptation import adaptation_of
from albert_edge.runtime.closable import Closable
from albert_edge.runtime.cpus import usable_cpus
from albert_edge.runtime.device import Device, find_devices
from albert_edge.runtime.engine import load_engine
from albert_edge.runtime.exits import split_rows, stack_rows
from albert_edge.runtime.fastest import compare, find_rival, is_clearly_faster, known_times
from albert_edge.runtime.inputs import Arrays, declared_inputs, feed
from albert_edge.runtime.outputs import require_labels
from albert_edge.runtime.providers import PROVIDERS, load_onnxruntime
from albert_edge.runtime.seats import process_seats
from albert_edge.runtime.variants import choose_variant

_FATAL = 4  # the severity above errors


class Session(Closable):
    """A model in memory. Safe to use from many threads, and in a child process after a fork.

    All sessions of a process together run no more threads at once than it has processors; further
    runs wait their turn.

    Args:
        bundle: A bundle, or the folder or the packed file of one.
        device: "auto", "cpu", "cuda", "cuda:1" or an execution provider; see
            `albert_edge.runtime.device.find_devices`.
        precision: "auto", "fp32", another that the bundle was quantized to, or one with early
            exits, such as "int8-exits". "auto" takes the fastest on the device: int8 if there is
            one on a CPU, fp16 elsewhere; one with early exits if its agreement, or loss of
            accuracy, is promised. For models of a few MB it measures whether fp32 is faster than
            int8 on this CPU.
        threads: Threads inside one run; by default the processors this process may use.
        variant: The name of one variant, instead of the best one for device and precision.
        provider_options: Options of the execution provider.
        role: Which file of the variant to load, where it has several.

    Attributes:
        bundle: The bundle it came from.
        variant: The variant that was loaded.
        choice: What "auto" measured to choose it, in words; "" if nothing had to be measured.
        role: Which of its files.
        device: The device it runs on.
        adaptation: How its int8 model was changed for a CPU that does not add products of signed
            weights exactly: "narrow-activations", "unsigned-weights" or None.
        threads: Threads inside one run.
        inputs: The arrays it takes, in order, with their types, axes and defaults.
        input_names: The names of its inputs.
        output_names: The names of its outputs, in order.
        token_outputs: The outputs with a row for every token, (batch, sequence, ...).
        layer_counts: How many rows were answered so far after each number of layers, siblings
            included; empty without early exits.

    Raises:
        BundleError: The bundle is missing or damaged, or has no such variant.
        DeviceError: The device is not available.
        MissingExtraError: onnxruntime is not installed.
        UsageError: An argument is invalid.
    """

    def __init__(
        self,
        bundle: Bundle | str | os.PathLike[str],
        *,
        device: str | int | None = "auto",
        precision: str = "auto",
        threads: int | None = None,
        variant: str | None = None,
        provider_options: Mapping[str, Any] | None = None,
        role: str = MODEL,
    ) -> None:
        self.role = role
        self.bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        devices = find_devices(device, provider_options)
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}.", tip="Give 1 or more, or leave it out.")
        self.threads = threads or usable_cpus()
        self.choice = ""
        self._engine = self._open(devices, precision, variant)
        self.bundle = self.bundle.holding(self.variant)
        self.inputs = declared_inputs(self._engine, self.variant.inputs[role])
        require_labels(self._engine, self.bundle)
        self.input_names = tuple(value.name for value in self.inputs)
        self.output_names = tuple(value.name for value in self._engine.get_outputs())
        self.token_outputs = _token_outputs(self._engine)
        self._run_options = load_onnxruntime().RunOptions
        self._runs: set[Any] = set()
        self._forked = False
        self._lock = threading.Lock()
        self._siblings: dict[int, Session] = {}
        self._layers: Counter[int] = Counter()
        _SESSIONS.add(self)

    def _open(self, devices: list[Device], precision: str, variant: str | None) -> Any:
        """Load on the first of the devices on which that succeeds."""
        for device in devices[:-1]:
            try:
                return self._open([device], precision, variant)
            except (BundleError, DeviceError) as error:
                devices = [replace(devices[-1], note=str(error))]
        self.device = devices[-1]
        self.variant = (
            self.bundle.variant(variant)
            if variant
            else choose_variant(self.bundle, self.device, precision)
        )
        self.adaptation = adaptation_of(self.variant, self.device)
        engine = self._load()
        return engine if variant or precision != "auto" else self._faster(engine)

    def _faster(self, engine: Any) -> Any:
        """Take fp32 in place of the loaded variant if it is clearly faster on this machine."""
        loaded = self.variant
        rival = find_rival(self.bundle, self.device, loaded)
        if rival is None:
            return engine
        other = None
        times = known_times((loaded, rival), self.threads)
        try:
            if times is None:
                other = self._load_as_is(rival)
                times = compare((loaded, rival), (engine, other), self.threads)
            wins = is_clearly_faster(*times)
            if wins and other is None:
                other = self._load_as_is(rival)
        except BundleError:  # a damaged file of a variant that nobody asked for
            return engine
        self.choice = " and ".join(
            f"{variant.mode} {1e3 * taken:.2f} ms"
            for variant, taken in zip((loaded, rival), times, strict=True)
        )
        if not wins:
            return engine
        self.variant, self.adaptation = rival, None
        return other

    def _load_as_is(self, variant: Variant) -> Any:
        return load_engine(self.bundle.model_file(variant, self.role), self.device, self.threads)

    def _load(self) -> Any:
        model = self.bundle.model_file(self.variant, self.role)
        return load_engine(model, self.device, self.threads, adaptation=self.adaptation)

    @property
    def summary(self) -> str:
        """Describe in a few words which variant of which bundle runs where."""
        variant = f"{self.variant.name} ({self.variant.mode}) on {self.device.name}"
        times = f" (chosen by time for 8 tokens: {self.choice})" if self.choice else ""
        return f"{self.bundle.path.name!r}: {variant}, {self.threads} threads{times}"

    def __repr__(self) -> str:
        return f"<Session of {self.summary}>"

    @property
    def layer_counts(self) -> Mapping[int, int]:
        sessions = (self, *tuple(self._siblings.values()))
        return sum((session._layers for session in sessions), Counter())

    def sibling(self, threads: int) -> Session:
        """Return a session of the same variant on the same device with another thread count.

        It is loaded once, and is stopped and closed together with this one.

        Raises:
            UsageError: This session was closed.
        """
        with self._lock:
            if self._engine is None and not self._forked:
                raise _closed()
            if threads not in self._siblings:
                self._siblings[threads] = Session(
                    self.bundle,
                    device=self.device.name,
                    variant=self.variant.name,
                    threads=threads,
                    provider_options=self.device.options,
                    role=self.role,
                )
            return self._siblings[threads]

    def run(self, inputs: Mapping[str, npt.ArrayLike]) -> Arrays:
        """Run the model once; one with early exits once for each row, without its padding.

        Args:
            inputs: Arrays by name, as `inputs` declares them: input_ids, (batch, sequence)
                integers; attention_mask (default: all 1) and token_type_ids (default: all 0) of
                the same shape. multiple-choice models take (batch, num_choices, sequence). Names
                the variant does not need are ignored.

        Returns:
            The outputs by name, float32. A model with early exits also gives "layers", (batch,)
            integers: how many layers were applied to each row.

        Raises:
            CancelledError: `stop` was called.
            DeviceError: This is a child of the process that loaded the model on a GPU.
            InputError: An array is missing, of another shape or type, or has an id out of range.
            UsageError: The session was closed.
        """
        if self._forked:
            self._reload()
        options = self._run_options()
        options.log_severity_level = _FATAL  # errors are raised, and need not be printed as well
        self._runs.add(options)  # before the engine is taken, or `close` could miss this run
        try:
            return self._run(self._engine, inputs, options)
        finally:
            self._runs.discard(options)

    def _run(self, engine: Any, inputs: Mapping[str, npt.ArrayLike], options: Any) -> Arrays:
        if engine is None:
            raise _closed()
        arrays = feed(self.inputs, inputs)
        if not self.variant.exits:
            return self._run_once(engine, arrays, options)
        rows = [self._run_once(engine, row, options) for row in split_rows(arrays)]
        outputs = stack_rows(rows, self.token_outputs, next(iter(arrays.values())).shape[-1])
        with self._lock:
            self._layers.update(outputs[LAYERS].tolist())
        return outputs

    def _run_once(self, engine: Any, arrays: Arrays, options: Any) -> Arrays:
        try:
            if not self.device.is_cpu:
                outputs = self._run_bound(engine, arrays, options)
            else:
                with process_seats().taken(self.threads):
                    outputs = engine.run(self.output_names, arrays, options)
        except Exception as error:  # onnxruntime has no public base class for its errors
            if options.terminate:
                raise CancelledError from error
            shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            raise InputError(
                f"onnxruntime could not run {shapes}: {error}",
                tip="Ids must be below vocab_size, the length at most max_position_embeddings.",
            ) from error
        return dict(zip(self.output_names, outputs, strict=True))

    def _run_bound(self, engine: Any, arrays: Arrays, options: Any) -> Any:
        """Run with inputs copied to the device and outputs copied back, each array once."""
        binding = engine.io_binding()
        for name, array in arrays.items():
            binding.bind_cpu_input(name, array)
        for name in self.output_names:
            binding.bind_output(name)
        engine.run_with_iobinding(binding, options)
        return binding.copy_outputs_to_cpu()

    def stop(self) -> None:
        """Cancel the runs in progress, which raise CancelledError; later runs are not affected."""
        for options in tuple(self._runs):
            options.terminate = True
        for sibling in tuple(self._siblings.values()):
            sibling.stop()

    def close(self) -> None:
        """Cancel the runs in progress and free the memory; later runs raise UsageError."""
        with self._lock:
            self._engine = None
            self._forked = False
        self.stop()
        for sibling in self._siblings.values():
            sibling.close()

    def _forget(self) -> None:
        """Give up the engine in the child of a fork, which has none of onnxruntime's threads.

        It cannot run there, and freeing it would wait for those threads for ever. So it stays in
        memory, which the child shares with its parent anyway; the next run loads another one.
        """
        if self._engine is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))
            self._engine = None
            self._forked = True
        self._runs = set()
        self._lock = threading.Lock()

    def _reload(self) -> None:
        with self._lock:
            if not self._forked:
                return
            if self.device.provider is PROVIDERS["cuda"]:
                raise DeviceError(
                    "This process was forked from one that uses CUDA, which cannot be shared.",
                    tip="Start processes with multiprocessing's 'spawn', or fork before loading.",
                )
            self._engine = self._load()
            self._forked = False


_SESSIONS: weakref.WeakSet[Session] = weakref.WeakSet()


def _stop_all() -> None:
    for session in tuple(_SESSIONS):
        session.stop()


stopped_by_signals(_stop_all)


def _closed() -> UsageError:
    return UsageError("This session was closed.", tip="Open a new one.")


def _after_fork() -> None:
    process_seats.cache_clear()  # threads of the parent may have taken some
    for session in tuple(_SESSIONS):
        session._forget()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)


def _token_outputs(engine: Any) -> frozenset[str]:
    sequence = engine.get_inputs()[0].shape[-1]  # the name of the axis in the graph
    return frozenset(value.name for value in engine.get_outputs() if sequence in value.shape[1:2])
