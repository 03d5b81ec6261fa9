"""The operators that were measured to be fastest on onnxruntime's CPU execution provider.

These fused operators were measured to be slower there, and are not used:
com.microsoft.SkipLayerNormalization than Add and LayerNormalization,
com.microsoft.MultiHeadAttention than Attention, com.microsoft.BiasGelu than Add and Gelu.
"""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.graph.operators.base import Fused, Values
from albert_edge.graph.plan import Optimization


class Cpu(Fused):
    """The operators that are fastest on onnxruntime's CPU execution provider."""

    opset = 23

    def adds_key_bias(self) -> bool:
        """See `Portable.adds_key_bias`; softmax cancels a number that is added to all scores."""
        return not self.applies(Optimization.NO_KEY_BIAS)

    def fused_attention(self, op: OpBuilder, projected: Values, bias: ir.Value) -> ir.Value:
        """See `Fused.fused_attention`; Attention (opset 23)."""
        heads = self.heads(projected[0])
        return op.Attention(*projected, bias, q_num_heads=heads, kv_num_heads=heads)

    def fused_gelu(
        self, op: OpBuilder, linear: nn.Module, x: ir.Value, approximation: str
    ) -> ir.Value:
        """See `Fused.fused_gelu`; Gelu (opset 20)."""
        return op.Gelu(linear(op, x), approximate=approximation)
