"""ONNX models of one node, written without the onnx package: questions put to onnxruntime.

An ONNX model is a protobuf message (https://protobuf.dev/programming-guides/encoding); one node,
its weights, an input and an output take few of its fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

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
    """The message of a model that maps x (rows, features[0]) to y (rows, features[1]).

    Args:
        op_type: The operator.
        arguments: Names of what goes into it, in its order: "x" and those of the weights.
        features: Columns of x and of y.
        dtype: Type of x; y is float32.
        weights: The initializers by name, of float32, uint8 or int8.
        domain: Whose operator it is; ONNX's own by default.
    """
    node = b"".join(_field(1, name.encode()) for name in arguments)
    node += _field(2, b"y") + _field(4, op_type.encode())
    opset = _number(2, _OPSETS[domain])
    if domain:
        node += _field(7, domain.encode())
        opset = _field(1, domain.encode()) + opset
    graph = _field(1, node) + _field(2, b"g")
    graph += b"".join(_field(5, _tensor(name, array)) for name, array in weights.items())
    graph += _field(11, _matrix("x", np.dtype(dtype), features[0]))
    graph += _field(12, _matrix("y", np.dtype(np.float32), features[1]))
    return _number(1, _IR_VERSION) + _field(7, graph) + _field(8, opset)


def _tensor(name: str, array: npt.NDArray[np.generic]) -> bytes:
    dims = b"".join(_number(1, size) for size in array.shape)
    kind = _number(2, _TYPES[array.dtype.name])
    return dims + kind + _field(8, name.encode()) + _field(9, array.tobytes())


def _matrix(name: str, dtype: np.dtype[np.generic], columns: int) -> bytes:
    """A value of any number of rows."""
    shape = _field(1, _field(2, b"rows")) + _field(1, _number(1, columns))
    tensor = _number(1, _TYPES[dtype.name]) + _field(2, shape)
    return _field(1, name.encode()) + _field(2, _field(1, tensor))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
