"""The body of ALBERT (Lan et al. 2019, https://arxiv.org/abs/1909.11942).

Attribute names are the checkpoint's own, so a parameter's path is its tensor's name. Shapes are
written (batch, sequence, features).
"""

from __future__ import annotations

from typing import Literal

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.weights import ATTENTION, LAYER, PARTS, PROJECTION
from albert_edge.graph.activations import Activation
from albert_edge.graph.embedding import Table, embedding
from albert_edge.graph.floats import LayerNorm, Linear
from albert_edge.graph.linear import linear
from albert_edge.graph.operators.base import Portable
from albert_edge.graph.plan import Optimization


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

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__()
        size = config.hidden_size
        self.operators = operators
        if operators.packs_projections():
            # Their columns stand side by side in one matrix.
            self.query_key_value = Linear(size, len(PARTS) * size, None)
            self.projections: list[nn.Module] = [self.query_key_value]
        else:
            key_bias = operators.adds_key_bias()
            self.query = linear(operators, f"{ATTENTION}.query", size, size)
            self.key = linear(operators, f"{ATTENTION}.key", size, size, bias=key_bias)
            self.value = linear(operators, f"{ATTENTION}.value", size, size)
            self.projections = [self.query, self.key, self.value]
        self.dense = linear(operators, f"{ATTENTION}.dense", size, size)
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

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__()
        self.operators = operators
        self.attention = SelfAttention(config, operators)
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

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__()
        self.albert_layers = nn.ModuleList(
            [AlbertLayer(config, operators) for _ in range(config.inner_group_num)]
        )

    def forward(
        self, op: OpBuilder, hidden: ir.Value, bias: ir.Value, *, first_token: bool = False
    ) -> ir.Value:
        """Map (batch, sequence, hidden_size) to the same, or with `first_token` to one token."""
        *earlier, last = self.albert_layers
        for layer in earlier:
            hidden = layer(op, hidden, bias)
        return last(op, hidden, bias, first_token=first_token)


class Encoder(nn.Module):
    """The projection of the embeddings, then every hidden group as often as it is applied."""

    def __init__(self, config: AlbertConfig, operators: Portable) -> None:
        super().__init__()
        self.operators = operators
        self.layers_of_groups = config.layers_of_groups
        sizes = config.embedding_size, config.hidden_size
        self.embedding_hidden_mapping_in = linear(operators, PROJECTION, *sizes)
        self.albert_layer_groups = nn.ModuleList(
            [AlbertLayerGroup(config, operators) for _ in range(config.num_hidden_groups)]
        )

    def forward(
        self, op: OpBuilder, embeddings: ir.Value, bias: ir.Value, *, first_token: bool
    ) -> ir.Value:
        """Map (batch, sequence, embedding_size) to (batch, sequence or 1, hidden_size)."""
        hidden = self.embedding_hidden_mapping_in(op, embeddings)
        *earlier, last = self.layers_of_groups
        counts = [*earlier, last - first_token]
        for group, times in zip(self.albert_layer_groups, counts, strict=True):
            hidden = self._repeat(op, group, times, hidden, bias)
        if first_token:
            hidden = self.albert_layer_groups[-1](op, hidden, bias, first_token=True)
        return hidden

    def _repeat(
        self, op: OpBuilder, group: nn.Module, times: int, hidden: ir.Value, bias: ir.Value
    ) -> ir.Value:
        if self.operators.plan.layout == "loop" and times > 1:
            return _loop(op, group, times, hidden, bias)
        for _ in range(times):
            hidden = group(op, hidden, bias)
        return hidden


def _loop(
    op: OpBuilder, group: nn.Module, times: int, hidden: ir.Value, bias: ir.Value
) -> ir.Value:
    """Apply the group `times` times in an ONNX Loop that carries the hidden states."""

    def body(op: OpBuilder, _: ir.Value, go_on: ir.Value, carried: ir.Value) -> list[ir.Value]:
        return [op.Identity(go_on), group(op, carried, bias)]

    def flag(name: str) -> ir.Value:
        return ir.val(name, ir.DataType.BOOL, [])

    def states(name: str) -> ir.Value:
        return ir.val(name, hidden.dtype, hidden.shape)

    graph = op.builder.subgraph(
        body,
        inputs=[ir.val("iteration", ir.DataType.INT64, []), flag("go_on"), states("carried")],
        outputs=[flag("still_go_on"), states("carried_on")],
        name="hidden_group",
    )
    for node in graph:  # names in the body must differ from those outside
        for output in node.outputs:
            output.name = f"loop/{output.name}"
    result = op.Loop(times, True, hidden, body=graph)
    result.type, result.shape = hidden.type, hidden.shape
    return result


Reads = Literal["tokens", "pooled", "both"]


class AlbertModel(nn.Module):
    """Embeddings, encoder and, unless the head reads only the tokens, the pooler.

    Args:
        config: The geometry.
        operators: The target's operators.
        reads: What the head reads: every token, the pooled [CLS] only, or both.
    """

    def __init__(self, config: AlbertConfig, operators: Portable, reads: Reads) -> None:
        super().__init__()
        self.operators = operators
        self.reads = reads
        self.embeddings = Embeddings(config, operators)
        self.encoder = Encoder(config, operators)
        if reads != "tokens":
            size = config.hidden_size
            self.pooler = linear(operators, "albert.pooler", size, size)

    def forward(
        self,
        op: OpBuilder,
        input_ids: ir.Value,
        attention_mask: ir.Value,
        token_type_ids: ir.Value,
    ) -> tuple[ir.Value, ir.Value | None]:
        """Run the body of the model.

        Args:
            op: The graph being written.
            input_ids: (batch, sequence).
            attention_mask: (batch, sequence), 1 for tokens and 0 for padding.
            token_type_ids: (batch, sequence).

        Returns:
            The hidden states, (batch, sequence or 1, hidden_size), and the pooled first token,
            (batch, hidden_size), or None where the head reads only the tokens.
        """
        first_token = self.reads == "pooled" and self.operators.applies(Optimization.FIRST_TOKEN)
        bias = self.operators.attention_bias(op, attention_mask)
        embeddings = self.embeddings(op, input_ids, token_type_ids)
        hidden = self.encoder(op, embeddings, bias, first_token=first_token)
        if self.reads == "tokens":
            return hidden, None
        first = hidden if first_token else op.Slice(hidden, [0], [1], [1])
        return hidden, op.Tanh(self.pooler(op, op.Squeeze(first, [1])))
