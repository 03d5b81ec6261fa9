"""The body of ALBERT: embeddings, encoder and pooler."""

from __future__ import annotations

from typing import Literal

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.architecture.config import AlbertConfig
from albert_edge.graph.encoder import Encoder
from albert_edge.graph.layers import Embeddings
from albert_edge.graph.linear import linear
from albert_edge.graph.operators.base import Portable
from albert_edge.graph.plan import Optimization
from albert_edge.graph.states import Trace

Reads = Literal["tokens", "pooled", "both"]


class AlbertModel(nn.Module):
    """Embeddings, encoder and, unless the head reads only the tokens, the pooler.

    Args:
        config: The geometry.
        operators: The target's operators.
        reads: What the head reads: every token, the pooled [CLS] only, or both.

    Attributes:
        trace: Records what exits read, in plans that trace; else None.
    """

    def __init__(self, config: AlbertConfig, operators: Portable, reads: Reads) -> None:
        super().__init__()
        self.operators = operators
        self.reads = reads
        self.trace = Trace(every_token=reads == "tokens") if operators.plan.traced else None
        self.embeddings = Embeddings(config, operators)
        first_token = reads == "pooled" and operators.plan.wants(Optimization.FIRST_TOKEN)
        self.encoder = Encoder(config, operators, first_token=first_token, trace=self.trace)
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
        hidden, bias = self.begin(op, input_ids, attention_mask, token_type_ids)
        return self.finish(op, self.encoder.repeat(op, hidden, bias), bias)

    def begin(
        self,
        op: OpBuilder,
        input_ids: ir.Value,
        attention_mask: ir.Value,
        token_type_ids: ir.Value,
    ) -> tuple[ir.Value, ir.Value]:
        """Return the hidden states before the first application, and the bias of attention."""
        if self.encoder.first_token:
            self.operators.applies(Optimization.FIRST_TOKEN)
        bias = self.operators.attention_bias(op, attention_mask)
        embeddings = self.embeddings(op, input_ids, token_type_ids)
        return self.encoder.project(op, embeddings), bias

    def finish(
        self, op: OpBuilder, hidden: ir.Value, bias: ir.Value
    ) -> tuple[ir.Value, ir.Value | None]:
        """Return what `forward` does, from the hidden states that `Encoder.repeat` returns."""
        hidden = self.encoder.finish(op, hidden, bias)
        if self.reads == "tokens":
            return hidden, None
        first = hidden if self.encoder.first_token else op.Slice(hidden, [0], [1], [1])
        return hidden, op.Tanh(self.pooler(op, op.Squeeze(first, [1])))
