"""Whether this CPU adds products of signed weights exactly: asked of onnxruntime itself.

CPUs without VNNI or the like add two products of a byte and a signed byte in 16 bits, where
255 * 127 + 255 * 127 does not fit and is silently cut off. For unsigned bytes onnxruntime has
kernels without that step; see `albert_edge.runtime.unsigned`.
"""

from __future__ import annotations

import functools

import numpy as np

from albert_edge.runtime.providers import load_onnxruntime

_INNER, _COLUMNS = 32, 32

# The message of an ONNX model (IR 8, com.microsoft 1) with one node,
#     y = MatMulIntegerToFloat(x, w, one, one)
# where x is (rows, 32) uint8 and w is (32, 32) int8, all 127; what stands around w's values.
_BEFORE = bytes.fromhex(
    "08083a8d090a380a01780a01770a036f6e650a036f6e6512017922144d61744d756c496e746567657254"
    "6f466c6f61743a0d636f6d2e6d6963726f736f66741201672a8c080820082010034201774a8008"
)
_AFTER = bytes.fromhex(
    "2a0d100142036f6e654a040000803f5a170a017812120a100802120c0a061204726f77730a0208206217"
    "0a017912120a100801120c0a061204726f77730a02082042110a0d636f6d2e6d6963726f736f66741001"
)


@functools.cache
def adds_signed_weights_exactly() -> bool:
    """Multiply the largest byte with the largest signed byte, and see what the sum is.

    Asked once a process. Reading CPU flags instead would have to follow which kernels onnxruntime
    has for which of them.
    """
    ort = load_onnxruntime()
    model = _BEFORE + b"\x7f" * (_INNER * _COLUMNS) + _AFTER
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for rows in (1, 8):  # vectors and matrices may take different kernels
        (products,) = session.run(None, {"x": np.full((rows, _INNER), 255, np.uint8)})
        if not np.all(products == 255 * 127 * _INNER):
            return False
    return True
