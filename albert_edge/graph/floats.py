"""Linear layers and normalization in floating point."""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.graph.observer import Observer


class Linear(nn.Module):
    """y = x W + b in floating point.

    The checkpoint keeps W as (out_features, in_features). The file keeps it the way MatMul reads
    it, (in_features, out_features), so that no Transpose node ever hides a weight.
    """

    def __init__(
        self, in_features: int, out_features: int, observer: Observer | None, *, bias: bool = True
    ) -> None:
        super().__init__()
        self.observer = observer
        self.weight = nn.Parameter([in_features, out_features])
        self.bias = nn.Parameter([out_features]) if bias else None

    def forward(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """Map (..., in_features) to (..., out_features)."""
        if self.observer:
            self.observer.observe(op, self.weight, x)
        y = self.product(op, x)
        return op.Add(y, self.bias) if self.bias else y

    def product(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """Multiply without adding the bias, for an operator that adds it itself."""
        return op.MatMul(x, self.weight)


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
