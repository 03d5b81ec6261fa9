"""Whether this CPU's integer products are exact: asked of onnxruntime itself, once a process.

A one-node model multiplies the largest byte with the largest signed byte. Where the kernel adds
two such products in 16 bits, the sum comes out too small, and the runtime then keeps activations
to 7 bits (see `albert_edge.activation_range`). Reading CPU flags instead would have to follow
which kernels onnxruntime has for which of them.
"""

from __future__ import annotations

import functools

import numpy as np

from albert_edge.activation_range import EIGHT_BITS, SEVEN_BITS, ActivationRange
from albert_edge.runtime.one_node import MICROSOFT, one_node_model
from albert_edge.runtime.providers import load_onnxruntime

_INNER, _COLUMNS = 32, 32


@functools.cache
def activation_range() -> ActivationRange:
    """The range of quantized activations whose products this CPU computes exactly."""
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
            return SEVEN_BITS
    return EIGHT_BITS
