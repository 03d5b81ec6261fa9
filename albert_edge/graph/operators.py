"""Which operators each target wants: the one place that knows.

`Portable` stays at an opset every runtime reads. `Cpu` overrides what onnxruntime's CPU execution
provider does faster another way. What it does *not* use is as telling, since each was measured to
be slower there: com.microsoft.SkipLayerNormalization than Add and LayerNormalization,
com.microsoft.MultiHeadAttention than Attention, com.microsoft.BiasGelu than Add and Gelu.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
from onnxscript import OpBuilder

from albert_edge.graph.activations import GELUS, Activation
from albert_edge.graph.plan import Optimization, Plan


class Portable:
    """Standard operators of opset 17: onnxruntime, transformers.js, OpenVINO and others read it.

    Attributes:
        plan: The plan being followed.
        applied: How often each optimization found its place while the graph was authored.
    """

    opset = 17

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.applied: Counter[Optimization] = Counter()

    def attention_bias(self, op: OpBuilder, attention_mask: ir.Value) -> ir.Value:
        """Turn a (batch, sequence) mask of 0 and 1 into what `attention` adds to its scores.

        Masked keys get the lowest finite float32 rather than -inf, so that a row with no key left
        stays finite, as in transformers.
        """
        lowest = float(np.finfo(np.float32).min)
        masked = op.Sub(1.0, op.Cast(attention_mask, to=ir.DataType.FLOAT))
        return op.Unsqueeze(op.Mul(masked, lowest), [1, 2])

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
        hidden_size = _last_dimension(query)
        head_size = hidden_size // heads

        def split(x: ir.Value, order: list[int]) -> ir.Value:
            return op.Transpose(op.Reshape(x, [0, 0, heads, head_size]), perm=order)

        scaled_query = op.Mul(split(query, [0, 2, 1, 3]), head_size**-0.5)
        scores = op.MatMul(scaled_query, split(key, [0, 2, 3, 1]))
        weights = op.Softmax(op.Add(scores, bias), axis=-1)
        mixed = op.MatMul(weights, split(value, [0, 2, 1, 3]))
        return op.Reshape(op.Transpose(mixed, perm=[0, 2, 1, 3]), [0, 0, hidden_size])

    def activate(self, op: OpBuilder, x: ir.Value, activation: Activation) -> ir.Value:
        """Apply an activation to (...)."""
        return activation(op, x)


class Cpu(Portable):
    """What measured fastest on onnxruntime's CPU execution provider."""

    opset = 23

    def attention_bias(self, op: OpBuilder, attention_mask: ir.Value) -> ir.Value:
        """See `Portable.attention_bias`; the fused operator wants (batch, 1, queries, keys)."""
        bias = super().attention_bias(op, attention_mask)
        if not self.plan.wants(Optimization.FUSED_ATTENTION):
            return bias
        batch, length = op.Shape(attention_mask, start=0, end=1), op.Shape(attention_mask, start=1)
        return op.Expand(bias, op.Concat(batch, [1], length, length, axis=0))

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
        if not self.plan.wants(Optimization.FUSED_ATTENTION):
            return super().attention(op, query, key, value, bias, heads)
        self.applied[Optimization.FUSED_ATTENTION] += 1
        mixed: ir.Value = op.Attention(
            query, key, value, bias, q_num_heads=heads, kv_num_heads=heads
        )
        return mixed

    def activate(self, op: OpBuilder, x: ir.Value, activation: Activation) -> ir.Value:
        """See `Portable.activate`; one Gelu operator (opset 20) when plan and model say so."""
        approximation = GELUS.get(activation.hidden_act)
        if approximation is None or not self.plan.wants(Optimization.FUSED_GELU):
            return super().activate(op, x, activation)
        self.applied[Optimization.FUSED_GELU] += 1
        return op.Gelu(x, approximate=approximation)


TARGETS: dict[str, type[Portable]] = {"portable": Portable, "cpu": Cpu}


def _last_dimension(x: ir.Value) -> int:
    assert x.shape is not None
    size = x.shape[-1]
    assert isinstance(size, int)
    return size
