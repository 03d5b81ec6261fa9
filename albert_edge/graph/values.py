"""Types and shapes of values that onnxruntime's own operators leave unknown."""

from __future__ import annotations

import onnx_ir as ir

# The domain of onnxruntime's own operators.
MICROSOFT = "com.microsoft"


def dimension(x: ir.Value, axis: int) -> int:
    """Return a dimension of a value whose size is known."""
    assert x.shape is not None
    size = x.shape[axis]
    assert isinstance(size, int)
    return size


def with_features(y: ir.Value, x: ir.Value, features: int) -> ir.Value:
    """Set the type and shape of y, the product of x with a matrix: (..., features)."""
    assert x.shape is not None
    y.type = ir.TensorType(ir.DataType.FLOAT)
    y.shape = ir.Shape([*x.shape[:-1], features])
    return y


def typed_like(y: ir.Value, x: ir.Value, features: int | None = None) -> ir.Value:
    """Set the type and shape of y to those of x, but for the number of features if it differs."""
    assert x.shape is not None
    y.type = x.type
    y.shape = x.shape if features is None else ir.Shape([*x.shape[:-1], features])
    return y
