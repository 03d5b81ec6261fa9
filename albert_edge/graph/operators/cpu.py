"""The operators that were measured to be fastest on onnxruntime's CPU execution provider.

These fused operators were measured to be slower there, and are not used:
com.microsoft.SkipLayerNormalization than Add and LayerNormalization,
com.microsoft.MultiHeadAttention than Attention, com.microsoft.BiasGelu than Add and Gelu.
"""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.architecture.activations import GELUS
from albert_edge.graph.activations import Activation
from albert_edge.graph.operators.base import Portable, for_every_query
from albert_edge.graph.plan import Optimization


class Cpu(Portable):
    """The operators that are fastest on onnxruntime's CPU execution provider."""

    opset = 23

    def adds_key_bias(self) -> bool:
        """See `Portable.adds_key_bias`; softmax cancels what is added to all scores."""
        return not self.applies(Optimization.NO_KEY_BIAS)

    def attention_bias(self, op: OpBuilder, attention_mask: ir.Value) -> ir.Value:
        """See `Portable.attention_bias`; the fused operator wants (batch, 1, queries, keys)."""
        bias = super().attention_bias(op, attention_mask)
        fused = self.plan.wants(Optimization.FUSED_ATTENTION)
        return for_every_query(op, bias, attention_mask) if fused else bias

    def attention(
        self,
        op: OpBuilder,
        query: ir.Value,
        key: ir.Value,
        value: ir.Value,
        bias: ir.Value,
        heads: int,
    ) -> ir.Value:
        """See `Portable.attention`; one Attention operator (opset 23) when the plan says so."""
        if not self.applies(Optimization.FUSED_ATTENTION):
            return super().attention(op, query, key, value, bias, heads)
        mixed: ir.Value = op.Attention(
            query, key, value, bias, q_num_heads=heads, kv_num_heads=heads
        )
        return mixed

    def activate(
        self, op: OpBuilder, linear: nn.Module, x: ir.Value, activation: Activation
    ) -> ir.Value:
        """See `Portable.activate`; one Gelu operator (opset 20) when plan and model say so."""
        approximation = GELUS.get(activation.hidden_act)
        if approximation is None or not self.applies(Optimization.FUSED_GELU):
            return super().activate(op, linear, x, activation)
        return op.Gelu(linear(op, x), approximate=approximation)
