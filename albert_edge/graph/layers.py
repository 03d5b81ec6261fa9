"""The layers of ALBERT (Lan et al. 2019, https://arxiv.org/abs/1909.11942).

Attribute names are the checkpoint's own, so a parameter's path is its tensor's name. Shapes are
written (batch, sequence, features).
"""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.weights import ATTENTION, LAYER, PARTS
from albert_edge.graph.activations import Activation
from albert_edge.graph.embedding import Table, embedding
from albert_edge.graph.floats import LayerNorm, Linear
from albert_edge.graph.linear import linear
from albert_edge.graph.operators.base import Portable


class Embeddings(nn.Module):
    """Word, token type and position embeddings, added and normalized."""

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__()
        size = config.embedding_size

        def table(name: str, rows: int) -> Table:
            return embedding(operators, f"albert.embeddings.{name}", rows, size)

        self.word_embeddings = table("word_embeddings", config.vocab_size)
        self.token_type_embeddings = table("token_type_embeddings", config.type_vocab_size)
        self.position_embeddings = table("position_embeddings", config.max_position_embeddings)
        self.LayerNorm = LayerNorm(size, config.layer_norm_eps)

    def forward(self, op: OpBuilder, input_ids: ir.Value, token_type_ids: ir.Value) -> ir.Value:
        """Map two (batch, sequence) arrays of ids to (batch, sequence, embedding_size)."""
        words = self.word_embeddings(op, input_ids)
        types = self.token_type_embeddings(op, token_type_ids)
        positions = self.position_embeddings.leading(op, op.Shape(input_ids, start=1))
        return self.LayerNorm(op, op.Add(op.Add(words, types), positions))


class Smoothing(nn.Module):
    """Scale hidden states before they are quantized, in plans that smooth.

    The rows of the matrices that read them hold the inverse, so outputs stay the same while the
    features fit a single scale better (Xiao et al. 2022, https://arxiv.org/abs/2211.10438). All
    applications of a layer share the vector.
    """

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__()
        self.weight = nn.Parameter([config.hidden_size]) if operators.plan.smoothed else None

    def forward(self, op: OpBuilder, hidden: ir.Value) -> ir.Value:
        """Map (..., hidden_size) to (..., hidden_size)."""
        return op.Mul(hidden, self.weight) if self.weight else hidden


class SelfAttention(nn.Module):
    """Multi-head self-attention with its residual connection and LayerNorm."""

    def __init__(self, config: AlbertConfig, operators: Portable, layer: int) -> None:
        super().__init__()
        size, mixed = config.hidden_size, config.heads(layer) * config.head_size
        self.operators = operators
        if operators.packs_projections():
            # Their columns stand side by side in one matrix.
            self.query_key_value = Linear(size, len(PARTS) * mixed, None)
            self.projections: list[nn.Module] = [self.query_key_value]
        else:
            key_bias = operators.adds_key_bias()
            self.query = linear(operators, f"{ATTENTION}.query", size, mixed)
            self.key = linear(operators, f"{ATTENTION}.key", size, mixed, bias=key_bias)
            self.value = linear(operators, f"{ATTENTION}.value", size, mixed)
            self.projections = [self.query, self.key, self.value]
        self.dense = linear(operators, f"{ATTENTION}.dense", mixed, size)
        self.smoothing = Smoothing(config, operators)
        self.LayerNorm = LayerNorm(size, config.layer_norm_eps)

    def forward(
        self, op: OpBuilder, hidden: ir.Value, queries: ir.Value, bias: ir.Value
    ) -> ir.Value:
        """Let `queries`, rows of `hidden`, attend to all of `hidden`.

        Args:
            op: The graph being written.
            hidden: (batch, sequence, hidden_size).
            queries: (batch, queries, hidden_size).
            bias: The result of `Portable.attention_bias`.

        Returns:
            (batch, queries, hidden_size).
        """
        smoothed = self.smoothing(op, hidden)
        smoothed_queries = smoothed if queries is hidden else self.smoothing(op, queries)
        mixed = self.operators.self_attention(
            op, self.projections, smoothed, smoothed_queries, bias
        )
        return self.operators.normalize(op, self.dense, mixed, queries, self.LayerNorm)


class AlbertLayer(nn.Module):
    """Self-attention and feed-forward: the layer whose weights are shared."""

    def __init__(self, config: AlbertConfig, operators: Portable, layer: int) -> None:
        super().__init__()
        self.operators = operators
        self.attention = SelfAttention(config, operators, layer)
        sizes = config.hidden_size, config.intermediate_size
        self.smoothing = Smoothing(config, operators)
        self.ffn = linear(operators, f"{LAYER}.ffn", *sizes)
        self.activation = Activation(config.hidden_act)
        self.ffn_output = linear(operators, f"{LAYER}.ffn_output", *reversed(sizes))
        self.full_layer_layer_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(
        self, op: OpBuilder, hidden: ir.Value, bias: ir.Value, *, first_token: bool = False
    ) -> ir.Value:
        """Map (batch, sequence, hidden_size) to the same, or with `first_token` to one token."""
        queries = hidden
        if first_token:
            queries = op.Slice(hidden, [0], [1], [1])
            bias = op.Slice(bias, [0], [1], [2])
        attended = self.attention(op, hidden, queries, bias)
        smoothed = self.smoothing(op, attended)
        expanded = self.operators.activate(op, self.ffn, smoothed, self.activation)
        norm = self.full_layer_layer_norm
        return self.operators.normalize(op, self.ffn_output, expanded, attended, norm)


class AlbertLayerGroup(nn.Module):
    """The inner layers of one hidden group, applied in order."""

    def __init__(self, config: AlbertConfig, operators: Portable, group: int) -> None:
        super().__init__()
        layers = (config.distinct_layer(group, inner) for inner in range(config.inner_group_num))
        self.albert_layers = nn.ModuleList(
            [AlbertLayer(config, operators, layer) for layer in layers]
        )

    def forward(
        self, op: OpBuilder, hidden: ir.Value, bias: ir.Value, *, first_token: bool = False
    ) -> ir.Value:
        """Map (batch, sequence, hidden_size) to the same, or with `first_token` to one token."""
        *earlier, last = self.albert_layers
        for layer in earlier:
            hidden = layer(op, hidden, bias)
        return last(op, hidden, bias, first_token=first_token)
