"""Detect whether integer products with signed weights saturate on this CPU.

CPUs without VNNI or an equivalent add two products of an unsigned and a signed byte in 16 bits,
where 255 * 127 + 255 * 127 saturates silently. See `albert_edge.runtime.adaptation` for the
remedies.
"""

from __future__ import annotations

import functools

import numpy as np

from albert_edge.architecture.levels import NARROW
from albert_edge.onnx_format.one_node import MICROSOFT, one_node_model
from albert_edge.runtime.providers import load_onnxruntime

_INNER, _COLUMNS = 32, 32


@functools.cache
def adds_signed_weights_exactly() -> bool:
    """Return whether onnxruntime sums products of the largest values without saturation.

    Measured once per process. Testing CPU flags instead would mean knowing which kernels each
    version of onnxruntime uses for them.
    """
    return _adds_exactly(255)


@functools.cache
def adds_narrow_activations_exactly() -> bool:
    """Return whether it does so if the activations have 7 bits; measured once per process."""
    return _adds_exactly(max(levels.steps + levels.zero_point for levels in NARROW.values()))


def _adds_exactly(activation: int) -> bool:
    ort = load_onnxruntime()
    model = one_node_model(
        "MatMulIntegerToFloat",
        ["x", "weights", "scale", "scale"],
        (_INNER, _COLUMNS),
        dtype=np.uint8,
        weights={
            "weights": np.full((_INNER, _COLUMNS), 127, np.int8),
            "scale": np.array(1, np.float32),
        },
        domain=MICROSOFT,
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for rows in (1, 8):  # vectors and matrices may use different kernels
        (products,) = session.run(None, {"x": np.full((rows, _INNER), activation, np.uint8)})
        if not np.all(products == activation * 127 * _INNER):
            return False
    return True
