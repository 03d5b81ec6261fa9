"""Which operators a target wants: nothing else knows.

`Portable` stays at an opset every runtime reads. `Cpu` overrides what onnxruntime's CPU execution
provider does faster another way; `cuda.Cuda` does so for its CUDA provider. What the
CPU does *not* use is as telling, since each was measured to be slower there:
com.microsoft.SkipLayerNormalization than Add and LayerNormalization,
com.microsoft.MultiHeadAttention than Attention, com.microsoft.BiasGelu than Add and Gelu.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.graph.activations import GELUS, Activation
from albert_edge.graph.observer import Observer
from albert_edge.graph.plan import Optimization, Plan, Precision
from albert_edge.graph.quantizer import Quantizer

# The domain of onnxruntime's own operators.
MICROSOFT = "com.microsoft"


class Portable:
    """Standard operators of opset 17: onnxruntime, transformers.js, OpenVINO and others read it.

    Attributes:
        plan: The plan being followed.
        applied: How often each optimization found its place while the graph was authored.
        quantizer: Writes how activations are quantized.
        observer: Writes statistics of what enters each matrix, where the plan asks for it.
    """

    opset = 17

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.applied: Counter[Optimization] = Counter()
        self.quantizer = Quantizer(plan.activations)
        self.observer = Observer() if plan.observed else None

    @property
    def float_type(self) -> ir.DataType:
        """The type of everything that is no integer."""
        half = Precision.FP16 in self.plan.precisions.values()
        return ir.DataType.FLOAT16 if half else ir.DataType.FLOAT

    def applies(self, optimization: Optimization) -> bool:
        """Whether the plan wants an optimization; if so it is counted as applied."""
        if self.plan.wants(optimization):
            self.applied[optimization] += 1
            return True
        return False

    def adds_key_bias(self) -> bool:
        """Whether the keys of an attention layer get their bias."""
        return True

    def packs_projections(self) -> bool:
        """Whether one matrix makes queries, keys and values."""
        return False

    def attention_bias(self, op: OpBuilder, attention_mask: ir.Value) -> ir.Value:
        """Turn a (batch, sequence) mask of 0 and 1 into what `attention` adds to its scores.

        Masked keys get a finite number rather than -inf, so that a row with no key left stays
        finite, as in transformers. It is half the lowest, so that a kernel may add a score to it,
        or multiply both with log2(e).
        """
        float_type = self.float_type
        low = float(np.finfo(float_type.numpy()).min) / 2
        masked = op.Sub(1.0, op.Cast(attention_mask, to=float_type))
        return op.Unsqueeze(op.Mul(masked, low), [1, 2])

    def self_attention(
        self,
        op: OpBuilder,
        projections: Sequence[nn.Module],
        hidden: ir.Value,
        queries: ir.Value,
        bias: ir.Value,
        heads: int,
    ) -> ir.Value:
        """Project hidden states, and let `queries` attend to all of them.

        Args:
            op: The graph being written.
            projections: The linear layers of query, key and value, or one of all three.
            hidden: (batch, sequence, hidden_size).
            queries: `hidden` itself, or its first token, (batch, 1, hidden_size).
            bias: What `attention_bias` made.
            heads: Number of attention heads.

        Returns:
            (batch, queries, hidden_size).
        """
        query, key, value = projections
        return self.attention(
            op, query(op, queries), key(op, hidden), value(op, hidden), bias, heads
        )

    def attention(
        self,
        op: OpBuilder,
        query: ir.Value,
        key: ir.Value,
        value: ir.Value,
        bias: ir.Value,
        heads: int,
    ) -> ir.Value:
        """Scaled dot-product attention (Vaswani et al. 2017, section 3.2).

        Args:
            op: The graph being written.
            query: (batch, queries, hidden_size).
            key: (batch, keys, hidden_size).
            value: (batch, keys, hidden_size).
            bias: What `attention_bias` made.
            heads: Number of attention heads.

        Returns:
            (batch, queries, hidden_size).
        """
        hidden_size = dimension(query, -1)
        head_size = hidden_size // heads

        def split(x: ir.Value, order: list[int]) -> ir.Value:
            return op.Transpose(op.Reshape(x, [0, 0, heads, head_size]), perm=order)

        scaled_query = op.Mul(split(query, [0, 2, 1, 3]), head_size**-0.5)
        scores = op.MatMul(scaled_query, split(key, [0, 2, 3, 1]))
        weights = op.Softmax(op.Add(scores, bias), axis=-1)
        mixed = op.MatMul(weights, split(value, [0, 2, 1, 3]))
        return op.Reshape(op.Transpose(mixed, perm=[0, 2, 1, 3]), [0, 0, hidden_size])

    def activate(
        self, op: OpBuilder, linear: nn.Module, x: ir.Value, activation: Activation
    ) -> ir.Value:
        """Apply a linear layer to (..., in_features), and an activation to what comes out."""
        return activation(op, linear(op, x))

    def normalize(
        self, op: OpBuilder, linear: nn.Module, x: ir.Value, residual: ir.Value, norm: nn.Module
    ) -> ir.Value:
        """Apply a linear layer to (..., in_features), add the residual, and normalize the sum."""
        return norm(op, op.Add(linear(op, x), residual))


class Cpu(Portable):
    """What measured fastest on onnxruntime's CPU execution provider."""

    opset = 23

    def adds_key_bias(self) -> bool:
        """See `Portable.adds_key_bias`; softmax takes out what is added to all of its scores."""
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


def for_every_query(op: OpBuilder, bias: ir.Value, attention_mask: ir.Value) -> ir.Value:
    """Repeat an attention bias, (batch, 1, 1, keys), to (batch, 1, queries, keys)."""
    batch, length = op.Shape(attention_mask, start=0, end=1), op.Shape(attention_mask, start=1)
    return op.Expand(bias, op.Concat(batch, [1], length, length, axis=0))


def typed_like(y: ir.Value, x: ir.Value, features: int) -> ir.Value:
    """Give a product its type and shape, which nobody infers for onnxruntime's own operators."""
    assert x.shape is not None
    y.type = ir.TensorType(ir.DataType.FLOAT)
    y.shape = ir.Shape([*x.shape[:-1], features])
    return y


def dimension(x: ir.Value, axis: int) -> int:
    """A dimension of a value whose size is known."""
    assert x.shape is not None
    size = x.shape[axis]
    assert isinstance(size, int)
    return size
