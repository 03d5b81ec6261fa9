"""Linear layers: one Module per way of storing the matrix."""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import OpBuilder, nn


class Linear(nn.Module):
    """y = x W + b in float32.

    The checkpoint keeps W as (out_features, in_features). The file keeps it the way MatMul reads
    it, (in_features, out_features), so that no Transpose node ever hides a weight.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter([in_features, out_features])
        self.bias = nn.Parameter([out_features])

    def forward(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """Map (..., in_features) to (..., out_features)."""
        return op.Add(op.MatMul(x, self.weight), self.bias)


class LayerNorm(nn.Module):
    """Layer normalization (Ba et al. 2016) over the last dimension."""

    def __init__(self, features: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter([features])
        self.bias = nn.Parameter([features])

    def forward(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """Map (..., features) to (..., features)."""
        return op.LayerNormalization(x, self.weight, self.bias, epsilon=self.epsilon)
