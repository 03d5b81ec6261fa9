"""Operators that onnxruntime's CUDA execution provider has fused kernels for, in fp32 and fp16.

On a GPU, starting kernels and moving activations dominates, so every operator here does the work of
several. All of them have kernels on the CPU too, which is how the graphs are
checked where there is no GPU; in fp16 onnxruntime computes them there in fp32.

The mask is an attention bias, since that is the one form which is right for every mask and every
kernel. Lengths of the texts (key_padding_mask, a number a row) would say nothing of padding on the
left, and the form with which onnxruntime's memory-efficient kernel wants them (key_len, query_start
and key_start in one row) is misread by its other kernels, which take over in fp32 below 256 tokens.
With a bias the memory-efficient kernel needs a number of tokens that is a multiple of 8 in fp16, of
16 in fp32; at others the product, the softmax and the product are kernels of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.architecture.activations import GELUS
from albert_edge.graph.activations import Activation
from albert_edge.graph.floats import LayerNorm, Linear
from albert_edge.graph.operators.base import Portable, for_every_query
from albert_edge.graph.plan import Optimization
from albert_edge.graph.values import MICROSOFT, dimension, typed_like


class Cuda(Portable):
    """The operators that are fastest on onnxruntime's CUDA execution provider."""

    def packs_projections(self) -> bool:
        """See `Portable.packs_projections`; one product keeps a GPU busier than three."""
        return self.applies(Optimization.PACKED_PROJECTIONS)

    def attention_bias(self, op: OpBuilder, attention_mask: ir.Value) -> ir.Value:
        """See `Portable.attention_bias`; the fused operators want (batch, 1, queries, keys)."""
        bias = super().attention_bias(op, attention_mask)
        fused = self.plan.wants(Optimization.FUSED_ATTENTION)
        return for_every_query(op, bias, attention_mask) if fused else bias

    def self_attention(
        self,
        op: OpBuilder,
        projections: Sequence[nn.Module],
        hidden: ir.Value,
        queries: ir.Value,
        bias: ir.Value,
        heads: int,
    ) -> ir.Value:
        """See `Portable.self_attention`; with the projection inside where all tokens ask."""
        if len(projections) > 1:
            return super().self_attention(op, projections, hidden, queries, bias, heads)
        (packed,) = projections
        assert isinstance(packed, Linear)
        if queries is hidden and self.applies(Optimization.FUSED_ATTENTION):
            operands = hidden, packed.weight, packed.bias, None, None, bias
            mixed = op.Attention(*operands, num_heads=heads, _domain=MICROSOFT)
            return typed_like(mixed, hidden)
        size = dimension(hidden, -1)
        query, key, value = op.Split(packed(op, hidden), [size] * 3, axis=-1, _outputs=3)
        if queries is not hidden:
            query = op.Slice(query, [0], [1], [1])
        return self.attention(op, query, key, value, bias, heads)

    def attention(
        self,
        op: OpBuilder,
        query: ir.Value,
        key: ir.Value,
        value: ir.Value,
        bias: ir.Value,
        heads: int,
    ) -> ir.Value:
        """See `Portable.attention`; one MultiHeadAttention operator when the plan says so."""
        if not self.applies(Optimization.FUSED_ATTENTION):
            return super().attention(op, query, key, value, bias, heads)
        operands = query, key, value, None, None, bias
        mixed = op.MultiHeadAttention(*operands, num_heads=heads, _domain=MICROSOFT)
        return typed_like(mixed, query)

    def activate(
        self, op: OpBuilder, linear: nn.Module, x: ir.Value, activation: Activation
    ) -> ir.Value:
        """See `Portable.activate`; a GELU adds the bias too: BiasGelu, or FastGelu with tanh."""
        approximation = GELUS.get(activation.hidden_act)
        if approximation is None or not self.applies(Optimization.FUSED_GELU):
            return super().activate(op, linear, x, activation)
        assert isinstance(linear, Linear)
        fused = op.FastGelu if approximation == "tanh" else op.BiasGelu
        product = linear.product(op, x)
        return typed_like(fused(product, linear.bias, _domain=MICROSOFT), product)

    def normalize(
        self, op: OpBuilder, linear: nn.Module, x: ir.Value, residual: ir.Value, norm: nn.Module
    ) -> ir.Value:
        """See `Portable.normalize`; one SkipLayerNormalization when the plan says so."""
        if not self.applies(Optimization.FUSED_NORM):
            return super().normalize(op, linear, x, residual, norm)
        assert isinstance(linear, Linear)
        assert isinstance(norm, LayerNorm)
        operands = linear.product(op, x), residual, norm.weight, norm.bias, linear.bias
        return typed_like(
            op.SkipLayerNormalization(*operands, epsilon=norm.epsilon, _domain=MICROSOFT), residual
        )
