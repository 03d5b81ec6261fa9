"""Detect whether integer products with signed weights saturate on this CPU.

CPUs without VNNI or an equivalent add two products of an unsigned and a signed byte in 16 bits,
where 255 * 127 + 255 * 127 saturates silently. For unsigned weights onnxruntime has kernels
without that step; see `albert_edge.runtime.unsigned`.
"""

from __future__ import annotations

import functools

import numpy as np

from albert_edge.onnx_format.one_node import MICROSOFT, one_node_model
from albert_edge.runtime.providers import load_onnxruntime

_INNER, _COLUMNS = 32, 32


@functools.cache
def adds_signed_weights_exactly() -> bool:
    """Return whether onnxruntime sums products of the largest values without saturation.

    Measured once per process. Testing CPU flags instead would mean knowing which kernels each
    version of onnxruntime uses for them.
    """
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
        (products,) = session.run(None, {"x": np.full((rows, _INNER), 255, np.uint8)})
        if not np.all(products == 255 * 127 * _INNER):
            return False
    return True
