"""Convert int8 weights to uint8, for CPUs whose sums of products of signed weights overflow.

A signed weight w equals the unsigned byte w + 128 with a zero point of 128. In bits that is w with
its top bit flipped, so the file is converted in place: flip that bit in every int8 value and write
uint8 as the type. In the files of this package only the weights of integer products and their zero
points are int8.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from albert_edge.errors import BundleError
from albert_edge.onnx_format.reader import INT8, UINT8, raw_tensors

_TOP_BIT = 0x80


def with_unsigned_weights(content: bytes, path: Path) -> bytes:
    """Replace the int8 weights of an .onnx file by uint8 weights of the same values.

    Args:
        content: The content of the file.
        path: Where it is, for errors.

    Raises:
        BundleError: It is not an .onnx file, or its int8 weights are in another file.
    """
    model = bytearray(content)
    try:
        for tensor in raw_tensors(model):
            if tensor.data_type[0] == INT8:
                tensor.data_type[0] = UINT8
                integers = np.frombuffer(tensor.values, np.uint8)
                integers ^= _TOP_BIT
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise BundleError(
            f"The weights of {path} cannot be made unsigned, as this CPU needs them: {error}.",
            tip="Use precision fp32 here, or quantize the model again.",
        ) from error
    return bytes(model)
