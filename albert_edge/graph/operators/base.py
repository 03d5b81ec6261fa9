"""Operators of the ONNX standard, which the other targets override where others are faster.

`Portable` stays at an opset that every runtime reads. `Fused` is the base of `cpu.Cpu` and
`cuda.Cuda`, whose execution providers have one operator for attention and one for GELU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.architecture.activations import GELUS
from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.weights import WeightSpec
from albert_edge.graph.activations import Activation
from albert_edge.graph.observer import Observer
from albert_edge.graph.plan import Optimization, Plan, Precision
from albert_edge.graph.quantizer import Quantizer
from albert_edge.graph.values import dimension

Values = Sequence[ir.Value]
Modules = Sequence[nn.Module]


class Portable:
    """Standard operators of opset 17: onnxruntime, transformers.js, OpenVINO and others read it.

    Args:
        plan: The plan to follow.
        config: The geometry of the model.

    Attributes:
        plan: The plan.
        config: The geometry.
        applied: How often each optimization was applied.
        quantizer: Writes how activations are quantized.
        observer: Writes statistics of the input of each matrix, if the plan asks for them.
    """

    opset = 17

    def __init__(self, plan: Plan, config: AlbertConfig) -> None:
        self.plan = plan
        self.config = config
        self.applied: Counter[Optimization] = Counter()
        self.quantizer = Quantizer(plan.activations)
        self.observer = Observer.of(plan)

    @property
    def float_type(self) -> ir.DataType:
        """The floating-point type of weights and activations."""
        half = Precision.FP16 in self.plan.precisions.values()
        return ir.DataType.FLOAT16 if half else ir.DataType.FLOAT

    def applies(self, optimization: Optimization) -> bool:
        """Return whether the plan wants an optimization, and count it as applied if so."""
        if self.plan.wants(optimization):
            self.applied[optimization] += 1
            return True
        return False

    def precision(self, spec: WeightSpec) -> Precision:
        """Return the precision of a matrix or a table."""
        return self.plan.precision(spec.matrix) if spec.matrix else Precision.FP32

    def lower_bound(self, spec: WeightSpec) -> float | None:
        """Return what is subtracted from the input of a matrix before quantization, or None."""
        if spec.reads is None or not self.plan.shifts_activations:
            return None
        return spec.reads.lower_bound(self.config.hidden_act)

    def adds_key_bias(self) -> bool:
        """Return whether the keys of an attention layer have a bias."""
        return True

    def heads(self, query: ir.Value) -> int:
        """Return the number of attention heads of a projected query, (..., mixed)."""
        return dimension(query, -1) // self.config.head_size

    def packs_projections(self) -> bool:
        """Return whether one matrix computes queries, keys and values."""
        return False

    def attention_bias(self, op: OpBuilder, attention_mask: ir.Value) -> ir.Value:
        """Convert a (batch, sequence) mask of 0 and 1 to the bias that `attention` adds to scores.

        Masked keys get a finite number rather than -inf, so that a row with no key left stays
        finite, as in transformers. It is half the lowest, so that a kernel may add a score to it,
        or multiply both with log2(e).
        """
        float_type = self.float_type
        low = float(np.finfo(float_type.numpy()).min) / 2
        masked = op.Sub(1.0, op.Cast(attention_mask, to=float_type))
        return op.Unsqueeze(op.Mul(masked, low), [1, 2])

    def self_attention(
        self, op: OpBuilder, layers: Modules, hidden: ir.Value, queries: ir.Value, bias: ir.Value
    ) -> ir.Value:
        """Project hidden states, and let `queries` attend to all of them.

        Args:
            op: The graph being written.
            layers: The linear layers of query, key and value, or one that computes all three.
            hidden: (batch, sequence, hidden_size).
            queries: `hidden` itself, or its first token, (batch, 1, hidden_size).
            bias: The result of `attention_bias`.

        Returns:
            (batch, queries, mixed), where mixed is the features of all heads of the layer.
        """
        query, key, value = layers
        return self.attention(op, (query(op, queries), key(op, hidden), value(op, hidden)), bias)

    def attention(self, op: OpBuilder, projected: Values, bias: ir.Value) -> ir.Value:
        """Compute scaled dot-product attention (Vaswani et al. 2017, section 3.2).

        Args:
            op: The graph being written.
            projected: Query, (batch, queries, mixed); key and value, (batch, keys, mixed).
            bias: The result of `attention_bias`.

        Returns:
            (batch, queries, mixed).
        """
        query, key, value = projected
        heads, head_size = self.heads(query), self.config.head_size

        def split(x: ir.Value, order: list[int]) -> ir.Value:
            return op.Transpose(op.Reshape(x, [0, 0, heads, head_size]), perm=order)

        scaled_query = op.Mul(split(query, [0, 2, 1, 3]), head_size**-0.5)
        scores = op.MatMul(scaled_query, split(key, [0, 2, 3, 1]))
        weights = op.Softmax(op.Add(scores, bias), axis=-1)
        mixed = op.MatMul(weights, split(value, [0, 2, 1, 3]))
        return op.Reshape(op.Transpose(mixed, perm=[0, 2, 1, 3]), [0, 0, heads * head_size])

    def activate(
        self, op: OpBuilder, linear: nn.Module, x: ir.Value, activation: Activation
    ) -> ir.Value:
        """Apply a linear layer to (..., in_features), then an activation."""
        return activation(op, linear(op, x))

    def normalize(
        self, op: OpBuilder, linear: nn.Module, x: ir.Value, residual: ir.Value, norm: nn.Module
    ) -> ir.Value:
        """Apply a linear layer to (..., in_features), add the residual, and normalize the sum."""
        return norm(op, op.Add(linear(op, x), residual))


class Fused(Portable):
    """What the targets with fused operators share: when to use them, and the bias they take."""

    def fused_attention(self, op: OpBuilder, projected: Values, bias: ir.Value) -> ir.Value:
        """Write `Portable.attention` as one operator."""
        raise NotImplementedError

    def fused_gelu(
        self, op: OpBuilder, linear: nn.Module, x: ir.Value, approximation: str
    ) -> ir.Value:
        """Write `Portable.activate` for GELU; its approximation is "none" or "tanh"."""
        raise NotImplementedError

    def attention_bias(self, op: OpBuilder, attention_mask: ir.Value) -> ir.Value:
        """See `Portable.attention_bias`; fused operators take (batch, 1, queries, keys)."""
        bias = super().attention_bias(op, attention_mask)
        if not self.plan.wants(Optimization.FUSED_ATTENTION):
            return bias
        batch, length = op.Shape(attention_mask, start=0, end=1), op.Shape(attention_mask, start=1)
        return op.Expand(bias, op.Concat(batch, [1], length, length, axis=0))

    def attention(self, op: OpBuilder, projected: Values, bias: ir.Value) -> ir.Value:
        """See `Portable.attention`; one operator if the plan says so."""
        fused = self.applies(Optimization.FUSED_ATTENTION)
        return (self.fused_attention if fused else super().attention)(op, projected, bias)

    def activate(
        self, op: OpBuilder, linear: nn.Module, x: ir.Value, activation: Activation
    ) -> ir.Value:
        """See `Portable.activate`; one operator for GELU if the plan says so."""
        approximation = GELUS.get(activation.hidden_act)
        if approximation is None or not self.applies(Optimization.FUSED_GELU):
            return super().activate(op, linear, x, activation)
        return self.fused_gelu(op, linear, x, approximation)
