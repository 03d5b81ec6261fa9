"""What onnxruntime can do on this machine, probed in separate processes.

A provider built for another driver can crash the whole process, and so can onnxruntime itself on a
CPU it was not built for; the caller must survive that. A program frozen by PyInstaller has no
Python to start, and probes in its own process.

    python -m albert_edge.machine.probe              print its version and abilities, as JSON
    python -m albert_edge.machine.probe cuda         print whether a provider runs a model, as JSON
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from albert_edge.cleanup import child_process
from albert_edge.disk.writing import scratch_folder
from albert_edge.errors import AlbertEdgeError
from albert_edge.packages import distributions_of, how_to_repair

# Loading CUDA for the first time takes seconds, TensorRT's first engine tens of them.
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """The installed onnxruntime.

    Attributes:
        version: Its version, or None if it cannot be imported or could not be examined.
        providers: Its execution providers, plugins included, by the names users give.
        unsigned_weights: Whether int8 models are changed on loading, because sums of products
            of signed weights overflow on this CPU; None if unknown.
        fault: What is wrong, or None.
        tip: What to do about it, or None.
    """

    version: str | None = None
    providers: list[str] = field(default_factory=list)
    unsigned_weights: bool | None = None
    fault: str | None = None
    tip: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderCheck:
    """Whether a provider loads and multiplies two matrices.

    Attributes:
        name: The name users give, such as "cuda", or onnxruntime's if there is no shorter one.
        runs: Whether it works.
        fault: Why not, or None.
        tip: What to do about it, or None.
    """

    name: str
    runs: bool
    fault: str | None = None
    tip: str | None = None


def probe_onnxruntime() -> OnnxRuntime:
    """Examine onnxruntime in a separate process."""
    try:
        return OnnxRuntime(**_ask([]))
    except _UnexaminedError as error:
        return OnnxRuntime(fault=f"onnxruntime was not examined: {error}", tip=error.tip)
    except _EndedError as error:
        installed = " and ".join(distributions_of("onnxruntime")) or "onnxruntime"
        return OnnxRuntime(
            fault=f"{installed} does not load: {error}", tip=how_to_repair("onnxruntime", "cpu")
        )


def probe_provider(name: str) -> ProviderCheck:
    """Run a model of one node on a provider, in a separate process."""
    try:
        return ProviderCheck(**_ask([name]))
    except _UnexaminedError as error:
        return ProviderCheck(name, runs=False, fault=str(error), tip=error.tip)
    except _EndedError as error:
        tip = "Check its driver and libraries, or use device 'cpu'."
        return ProviderCheck(name, runs=False, fault=str(error), tip=tip)


class _UnexaminedError(Exception):
    """The machine kept a process from starting, or from answering in time."""

    def __init__(self, reason: str, tip: str) -> None:
        super().__init__(reason)
        self.tip = tip


class _EndedError(Exception):
    """The process ended without an answer."""


def _ask(arguments: Sequence[str]) -> dict[str, Any]:
    """Run this module as a program, and return its answer.

    Raises:
        _UnexaminedError: It did not start, or did not answer in time.
        _EndedError: It ended without an answer.
    """
    if getattr(sys, "frozen", False):  # sys.executable is the program itself, and runs no module
        return asdict(_examine(arguments))
    command = [sys.executable, "-m", "albert_edge.machine.probe", *arguments]
    try:
        with child_process(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as process:
            out, err = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise _UnexaminedError(
            f"it gave no answer in {TIMEOUT_S} s.", "Try again when the machine has less to do."
        ) from None
    except OSError as error:
        raise _UnexaminedError(
            f"no process could be started: {error.strerror}.",
            "Close other programs, or raise the limits of memory and processes.",
        ) from None
    try:  # the last line, after the output of libraries
        return dict(json.loads(out.splitlines()[-1]))
    except (IndexError, TypeError, ValueError):
        last = (err.strip().splitlines() or [""])[-1]
        code = process.returncode
        ended = f"signal {-code}" if code < 0 else f"code {code}"
        raise _EndedError(f"the process ended with {ended}: {last}".rstrip(": ")) from None


def _examine(arguments: Sequence[str]) -> OnnxRuntime | ProviderCheck:
    return _try_provider(arguments[0]) if arguments else _examine_onnxruntime()


def _examine_onnxruntime() -> OnnxRuntime:
    from albert_edge.runtime.providers import PROVIDERS, is_available, load_onnxruntime
    from albert_edge.runtime.saturation import adds_signed_weights_exactly

    try:
        ort = load_onnxruntime()
        built_in = ort.get_available_providers()
    except AlbertEdgeError as error:
        return OnnxRuntime(fault=str(error), tip=error.tip)
    known = {provider.name: short for short, provider in PROVIDERS.items()}
    names = [known.get(name, name) for name in built_in]
    for short, provider in PROVIDERS.items():
        try:
            is_installed = provider.plugin and is_available(provider)
        except AlbertEdgeError:  # installed but broken; running a model shows why
            is_installed = True
        if is_installed and short not in names:
            names.append(short)
    unsigned: bool | None
    fault: str | None
    try:
        unsigned, fault = not adds_signed_weights_exactly(), None
    except Exception as error:  # onnxruntime has no public base class for its errors
        unsigned, fault = None, f"it cannot multiply integers: {error}"
    return OnnxRuntime(ort.__version__, names, unsigned, fault)


def _try_provider(name: str) -> ProviderCheck:
    from albert_edge.onnx_format.one_node import one_node_model
    from albert_edge.runtime.device import find_devices
    from albert_edge.runtime.engine import load_engine

    numbers = np.arange(64, dtype=np.float32).reshape(8, 8)
    model = one_node_model("MatMul", ["x", "w"], (8, 8), weights={"w": numbers})
    try:
        (device,) = find_devices(name)
        with scratch_folder() as folder:
            path = folder / "model.onnx"
            path.write_bytes(model)
            engine = load_engine(path, device, 1)
            (product,) = engine.run(None, {"x": numbers})
            del engine  # Windows removes no file that is in use
    except AlbertEdgeError as error:
        return ProviderCheck(name, runs=False, fault=str(error), tip=error.tip)
    except Exception as error:  # onnxruntime has no public base class for its errors
        return ProviderCheck(
            name, runs=False, fault=str(error), tip="Check its driver, or use device 'cpu'."
        )
    # Some devices multiply in 16-bit floats, which have 11 significant bits.
    if not np.allclose(product, numbers @ numbers, rtol=0.01):
        tip = "Update its driver and onnxruntime, or use device 'cpu'."
        return ProviderCheck(
            name, runs=False, fault="it computes wrong products of matrices", tip=tip
        )
    return ProviderCheck(name, runs=True)


def main(arguments: Sequence[str]) -> None:
    """Print the answer as the last line of stdout."""
    print("\n" + json.dumps(asdict(_examine(arguments))), flush=True)
    # The answer is printed; a provider may still crash while it is unloaded.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
