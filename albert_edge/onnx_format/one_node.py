"""ONNX models of one node, written without the onnx package, to test onnxruntime with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from albert_edge.onnx_format.wire_format import content_field, number_field

# numpy -> onnx.TensorProto.DataType
_TYPES = {"float32": 1, "uint8": 2, "int8": 3}
_IR_VERSION = 8
MICROSOFT = "com.microsoft"
_OPSETS = {"": 17, MICROSOFT: 1}


def one_node_model(
    op_type: str,
    arguments: Sequence[str],
    features: tuple[int, int],
    *,
    dtype: npt.DTypeLike = np.float32,
    weights: Mapping[str, npt.NDArray[np.generic]],
    domain: str = "",
) -> bytes:
    """Write a model that maps x (rows, features[0]) to y (rows, features[1]).

    Args:
        op_type: The operator.
        arguments: Names of its inputs in order: "x" and those of the weights.
        features: Columns of x and of y.
        dtype: Type of x; y is float32.
        weights: The initializers by name, of float32, uint8 or int8.
        domain: The operator's domain; ONNX's by default.
    """
    node = b"".join(content_field(1, name.encode()) for name in arguments)
    node += content_field(2, b"y") + content_field(4, op_type.encode())
    opset = number_field(2, _OPSETS[domain])
    if domain:
        node += content_field(7, domain.encode())
        opset = content_field(1, domain.encode()) + opset
    graph = content_field(1, node) + content_field(2, b"g")
    graph += b"".join(content_field(5, _tensor(name, array)) for name, array in weights.items())
    graph += content_field(11, _matrix("x", np.dtype(dtype), features[0]))
    graph += content_field(12, _matrix("y", np.dtype(np.float32), features[1]))
    return number_field(1, _IR_VERSION) + content_field(7, graph) + content_field(8, opset)


def _tensor(name: str, array: npt.NDArray[np.generic]) -> bytes:
    dims = b"".join(number_field(1, size) for size in array.shape)
    kind = number_field(2, _TYPES[array.dtype.name])
    return dims + kind + content_field(8, name.encode()) + content_field(9, array.tobytes())


def _matrix(name: str, dtype: np.dtype[np.generic], columns: int) -> bytes:
    """Describe an input or output: a matrix with any number of rows."""
    shape = content_field(1, content_field(2, b"rows")) + content_field(1, number_field(1, columns))
    tensor = number_field(1, _TYPES[dtype.name]) + content_field(2, shape)
    return content_field(1, name.encode()) + content_field(2, content_field(1, tensor))
