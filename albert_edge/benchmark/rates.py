"""What this machine can do at most: plain products of large matrices, and plain copies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.benchmark.report import Rates
from albert_edge.onnx_format.one_node import MICROSOFT, one_node_model
from albert_edge.runtime.engine import session_options
from albert_edge.runtime.providers import load_onnxruntime

# Large enough that starting and packing are nothing, small enough for a Raspberry Pi: the weights
# take 12 MB in fp32, the largest arrays of a copy 128 MB together.
_ROWS, _INNER, _COLUMNS = 512, 1024, 3072
_COPIED = 64 * 2**20


class Meter:
    """Measures this machine as it is at the moment, with a number of threads.

    On a machine with other work to do, rates and whatever they are compared with take turns, so
    that both are slowed alike.
    """

    def __init__(self, threads: int) -> None:
        random = np.random.default_rng(0)
        # Sums may overflow, which takes as long.
        integers = random.integers(0, 128, (_INNER, _COLUMNS)).astype(np.int8)
        floats = random.normal(size=(_INNER, _COLUMNS)).astype(np.float32)
        fp32 = one_node_model("MatMul", ["x", "w"], (_INNER, _COLUMNS), weights={"w": floats})
        bytes_in = random.integers(0, 256, (_ROWS, _INNER)).astype(np.uint8)
        self._int8 = _runner(_integer_product(integers), bytes_in, threads)
        self._uint8 = _runner(_integer_product(integers.view(np.uint8)), bytes_in, threads)
        self._fp32 = _runner(fp32, floats[:_ROWS, :_INNER].copy(), threads)
        source, target = np.ones(_COPIED, np.uint8), np.zeros(_COPIED, np.uint8)
        self._parts = [np.array_split(array, threads) for array in (target, source)]
        self.measure()  # the first pays for what later ones find done

    def measure(self) -> Rates:
        """Three products and a copy, each once."""
        work = _ROWS * _INNER * _COLUMNS
        return Rates(
            int8=work / elapsed(self._int8),
            fp32=work / elapsed(self._fp32),
            bandwidth=2 * _COPIED / elapsed(self._copy),
            uint8=work / elapsed(self._uint8),
        )

    def _copy(self) -> None:
        """Copy, cut among threads; numpy lets go of the GIL meanwhile."""
        with ThreadPoolExecutor(len(self._parts[0])) as pool:
            list(pool.map(np.copyto, *self._parts))


def best_rates(measured: Iterable[Rates]) -> Rates:
    """The highest of each; what disturbs a measurement only ever makes it slower."""
    return Rates(*map(max, zip(*map(astuple, measured), strict=True)))


def elapsed(call: Callable[[], object]) -> float:
    """How long a call takes, in seconds."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _integer_product(weights: npt.NDArray[Any]) -> bytes:
    one, zero = np.array(1, np.float32), np.array(0, weights.dtype)
    return one_node_model(
        "MatMulIntegerToFloat",
        ["x", "w", "one", "one", "", "zero"],
        (_INNER, _COLUMNS),
        dtype=np.uint8,
        weights={"w": weights, "one": one, "zero": zero},
        domain=MICROSOFT,
    )


def _runner(model: bytes, x: npt.NDArray[Any], threads: int) -> Callable[[], object]:
    ort = load_onnxruntime()
    options = session_options(threads)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})
