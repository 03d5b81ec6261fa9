"""Whether this CPU adds products of signed weights exactly: asked of onnxruntime itself.

CPUs without VNNI or the like add two products of a byte and a signed byte in 16 bits, where
255 * 127 + 255 * 127 does not fit and is silently cut off. For unsigned bytes onnxruntime has
kernels without that step; see `albert_edge.runtime.unsigned`.
"""

from __future__ import annotations

import functools

import numpy as np

from albert_edge.onnx_format.one_node import MICROSOFT, one_node_model
from albert_edge.runtime.providers import load_onnxruntime

_INNER, _COLUMNS = 32, 32


@functools.cache
def adds_signed_weights_exactly() -> bool:
    """Multiply the largest byte with the largest signed byte, and see what the sum is.

    Asked once a process. Reading CPU flags instead would have to follow which kernels onnxruntime
    has for which of them.
    """
    ort = load_onnxruntime()
    model = one_node_model(
        "MatMulIntegerToFloat",
        ["x", "w", "one", "one"],
        (_INNER, _COLUMNS),
        dtype=np.uint8,
        weights={"w": np.full((_INNER, _COLUMNS), 127, np.int8), "one": np.array(1, np.float32)},
        domain=MICROSOFT,
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for rows in (1, 8):  # vectors and matrices may take different kernels
        (products,) = session.run(None, {"x": np.full((rows, _INNER), 255, np.uint8)})
        if not np.all(products == 255 * 127 * _INNER):
            return False
    return True
