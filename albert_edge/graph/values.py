"""Types and shapes of values that onnxruntime's own operators leave unknown."""

from __future__ import annotations

import onnx_ir as ir

# The domain of onnxruntime's own operators.
MICROSOFT = "com.microsoft"


def dimension(x: ir.Value, axis: int) -> int:
    """A dimension of a value whose size is known."""
    assert x.shape is not None
    size = x.shape[axis]
    assert isinstance(size, int)
    return size


def with_features(y: ir.Value, x: ir.Value, features: int) -> ir.Value:
    """Give the product of x, (..., features of x), with a matrix its type and shape."""
    assert x.shape is not None
    y.type = ir.TensorType(ir.DataType.FLOAT)
    y.shape = ir.Shape([*x.shape[:-1], features])
    return y


def typed_like(y: ir.Value, x: ir.Value) -> ir.Value:
    """Give y the type and shape of x."""
    y.type, y.shape = x.type, x.shape
    return y
