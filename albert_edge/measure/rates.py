"""What this machine can do at most: plain products of large matrices, and plain copies."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.runtime.engine import session_options
from albert_edge.runtime.one_node import MICROSOFT, one_node_model
from albert_edge.runtime.providers import load_onnxruntime
from albert_edge.runtime.saturation import activation_range

# Large enough that starting and packing are nothing, small enough for a Raspberry Pi: the weights
# take 12 MB in fp32, the largest arrays of a copy 128 MB together.
_ROWS, _INNER, _COLUMNS = 512, 1024, 3072
_COPIED = 64 * 2**20

# The best of so many; what disturbs a measurement only ever makes it slower.
_REPEATS = 7


@dataclass(frozen=True, slots=True)
class Rates:
    """What was reached with a number of threads.

    Attributes:
        int8: Multiply-accumulates a second of bytes, by MatMulIntegerToFloat.
        fp32: The same of floats, by MatMul.
        bandwidth: Bytes a second that a copy reads and writes.
    """

    int8: float
    fp32: float
    bandwidth: float


def measure_rates(threads: int) -> Rates:
    """Measure this machine, as it is now, with a number of threads: about two seconds."""
    random = np.random.default_rng(0)
    integers = random.integers(-127, 128, (_INNER, _COLUMNS)).astype(np.int8)
    int8 = one_node_model(
        "MatMulIntegerToFloat",
        ["x", "w", "one", "one"],
        (_INNER, _COLUMNS),
        dtype=np.uint8,
        weights={"w": integers, "one": np.array(1, np.float32)},
        domain=MICROSOFT,
    )
    floats = random.normal(size=(_INNER, _COLUMNS)).astype(np.float32)
    fp32 = one_node_model("MatMul", ["x", "w"], (_INNER, _COLUMNS), weights={"w": floats})
    largest = 2 ** activation_range().bits
    bytes_in = random.integers(0, largest, (_ROWS, _INNER)).astype(np.uint8)
    floats_in = random.normal(size=(_ROWS, _INNER)).astype(np.float32)
    work = _ROWS * _INNER * _COLUMNS
    return Rates(
        int8=work / _time(int8, bytes_in, threads),
        fp32=work / _time(fp32, floats_in, threads),
        bandwidth=2 * _COPIED / _copy_time(threads),
    )


def _time(model: bytes, x: npt.NDArray[Any], threads: int) -> float:
    ort = load_onnxruntime()
    options = session_options(threads, None)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return best_time(lambda: session.run(None, {"x": x}), _REPEATS)


def _copy_time(threads: int) -> float:
    """Seconds to copy `_COPIED` bytes, cut among threads; numpy lets go of the GIL meanwhile."""
    source, target = np.ones(_COPIED, np.uint8), np.zeros(_COPIED, np.uint8)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        return best_time(lambda: list(pool.map(np.copyto, *zip(*parts, strict=True))), _REPEATS)


def best_time(call: Callable[[], object], repeats: int) -> float:
    """The shortest time of a call in seconds, after one that does not count."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
