"""Operators that onnxruntime's CUDA execution provider has fused kernels for, in fp32 and fp16.

On a GPU, starting kernels and moving activations dominates, so every operator here does the work of
several. All of them have kernels on the CPU too, so the graphs can be checked without a GPU; in
fp16 onnxruntime computes them there in fp32.

The mask is an attention bias, the only form that is correct for every mask and every kernel. The
lengths of the texts (key_padding_mask, a number per row) cannot describe padding on the left, and
the form of them that onnxruntime's memory-efficient kernel reads (key_len, query_start and
key_start in one row) is misread by its other kernels, which run in fp32 below 256 tokens. With a
bias, the memory-efficient kernel needs a multiple of 8 tokens in fp16, of 16 in fp32; for other
numbers of tokens the two products and the softmax are separate kernels.
"""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.graph.floats import LayerNorm, Linear
from albert_edge.graph.operators.base import Fused, Modules, Values
from albert_edge.graph.plan import Optimization
from albert_edge.graph.values import MICROSOFT, dimension, typed_like


class Cuda(Fused):
    """The operators that are fastest on onnxruntime's CUDA execution provider."""

    def packs_projections(self) -> bool:
        """See `Portable.packs_projections`; one product keeps a GPU busier than three."""
        return self.applies(Optimization.PACKED_PROJECTIONS)

    def self_attention(
        self, op: OpBuilder, layers: Modules, hidden: ir.Value, queries: ir.Value, bias: ir.Value
    ) -> ir.Value:
        """See `Portable.self_attention`; Attention projects too, if all tokens are queries."""
        if len(layers) > 1:
            return super().self_attention(op, layers, hidden, queries, bias)
        (packed,) = layers
        assert isinstance(packed, Linear)
        size = dimension(packed.weight, 1) // 3
        if queries is hidden and self.applies(Optimization.FUSED_ATTENTION):
            operands = hidden, packed.weight, packed.bias, None, None, bias
            heads = size // self.config.head_size
            mixed = op.Attention(*operands, num_heads=heads, _domain=MICROSOFT)
            return typed_like(mixed, hidden, size)
        query, key, value = op.Split(packed(op, hidden), [size] * 3, axis=-1, _outputs=3)
        if queries is not hidden:
            query = op.Slice(query, [0], [1], [1])
        return self.attention(op, (query, key, value), bias)

    def fused_attention(self, op: OpBuilder, projected: Values, bias: ir.Value) -> ir.Value:
        """See `Fused.fused_attention`; MultiHeadAttention."""
        operands, heads = (*projected, None, None, bias), self.heads(projected[0])
        mixed = op.MultiHeadAttention(*operands, num_heads=heads, _domain=MICROSOFT)
        return typed_like(mixed, projected[0])

    def fused_gelu(
        self, op: OpBuilder, linear: nn.Module, x: ir.Value, approximation: str
    ) -> ir.Value:
        """See `Fused.fused_gelu`; it adds the bias too: BiasGelu, or FastGelu with tanh."""
        assert isinstance(linear, Linear)
        fused = op.FastGelu if approximation == "tanh" else op.BiasGelu
        product = linear.product(op, x)
        return typed_like(fused(product, linear.bias, _domain=MICROSOFT), product)

    def normalize(
        self, op: OpBuilder, linear: nn.Module, x: ir.Value, residual: ir.Value, norm: nn.Module
    ) -> ir.Value:
        """See `Portable.normalize`; one SkipLayerNormalization if the plan says so."""
        if not self.applies(Optimization.FUSED_NORM):
            return super().normalize(op, linear, x, residual, norm)
        assert isinstance(linear, Linear)
        assert isinstance(norm, LayerNorm)
        operands = linear.product(op, x), residual, norm.weight, norm.bias, linear.bias
        return typed_like(
            op.SkipLayerNormalization(*operands, epsilon=norm.epsilon, _domain=MICROSOFT), residual
        )
