"""The same model with unsigned weights, for CPUs whose products of signed ones overflow.

A signed weight w is the byte w + 128 with a zero point of 128, and in bits that is w with its first
bit turned over. So one file becomes the other by turning that bit in every int8 value and writing
uint8 where the file says int8; no byte moves. In the files of this package int8 is the type of
nothing but the weights of integer products and their zero point.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from albert_edge.errors import BundleError
from albert_edge.onnx_format.reader import UINT8, signed_tensors

_FIRST_BIT = 0x80


def with_unsigned_weights(path: Path) -> bytes:
    """Read an .onnx file, with uint8 weights of the same numbers in place of int8 ones.

    Raises:
        BundleError: It is not an .onnx file, or int8 weights are kept outside of it.
    """
    model = bytearray(path.read_bytes())
    try:
        for data_type, values in signed_tensors(model):
            data_type[0] = UINT8
            integers = np.frombuffer(values, np.uint8)
            integers ^= _FIRST_BIT
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise BundleError(
            f"{path} cannot be given unsigned weights, which this CPU needs: {error}.",
            tip="Use precision fp32 here, or quantize the model again.",
        ) from error
    return bytes(model)
