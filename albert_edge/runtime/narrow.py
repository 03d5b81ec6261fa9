"""Quantize the activations of an int8 model to 7 bits instead of 8.

Where every token has a scale of its own, four scalars of the file say how activations become
integers; the weights stay as they are. Sums of two such products fit into 16 bits, so the fast
kernels of CPUs without VNNI are exact with signed weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from albert_edge.architecture.levels import NARROW, SYMMETRIC
from albert_edge.errors import BundleError
from albert_edge.onnx_format.reader import raw_tensors


def with_narrow_activations(content: bytes, path: Path) -> bytes:
    """Replace the levels of activations in an .onnx file by those of 7 bits.

    Args:
        content: The content of the file.
        path: Where it is, for errors.

    Raises:
        BundleError: It is not an .onnx file, or does not quantize activations per token.
    """
    model = bytearray(content)
    scalars: dict[str, bytes] = {}
    for levels, narrow in NARROW.items():
        scalars[levels.scale_name] = np.float32(1 / narrow.steps).tobytes()
        scalars[levels.zero_point_name] = np.uint8(narrow.zero_point).tobytes()
    changed = set()
    try:
        for tensor in raw_tensors(model):
            if tensor.name in scalars:
                tensor.values[:] = scalars[tensor.name]
                changed.add(tensor.name)
        if SYMMETRIC.scale_name not in changed:
            raise ValueError(f"it has no {SYMMETRIC.scale_name}")
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise BundleError(
            f"The activations of {path} cannot be quantized to 7 bits: {error}.",
            tip="Use precision fp32 here, or quantize the model again.",
        ) from error
    return bytes(model)
