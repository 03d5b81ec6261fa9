"""The encoder of ALBERT: a few layers, applied many times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.weights import PROJECTION
from albert_edge.graph.control_flow import Turn, loop
from albert_edge.graph.layers import AlbertLayerGroup
from albert_edge.graph.linear import linear
from albert_edge.graph.operators.base import Portable
from albert_edge.graph.states import Trace


@dataclass(frozen=True, slots=True)
class Run:
    """A hidden group applied several times in a row.

    Attributes:
        group: The hidden group.
        start: The first of these applications.
        times: Their number.
    """

    group: nn.Module
    start: int
    times: int


class Encoder(nn.Module):
    """The projection of the embeddings, then every hidden group as often as it is applied.

    Applications are counted from 0, through all hidden groups.

    Args:
        config: The geometry.
        operators: The target's operators.
        first_token: Whether the last application computes the first token only.
        trace: Records what exits read after each application, if given.
    """

    def __init__(
        self, config: AlbertConfig, operators: Portable, *, first_token: bool, trace: Trace | None
    ) -> None:
        super().__init__()
        self.operators = operators
        self.first_token = first_token
        self.trace = trace
        self.bounds = list(pairwise(accumulate(config.layers_of_groups, initial=0)))
        sizes = config.embedding_size, config.hidden_size
        self.embedding_hidden_mapping_in = linear(operators, PROJECTION, *sizes)
        self.albert_layer_groups = nn.ModuleList(
            [
                AlbertLayerGroup(config, operators, group)
                for group in range(config.num_hidden_groups)
            ]
        )

    @property
    def applications(self) -> int:
        """How often a layer is applied."""
        return self.bounds[-1][1]

    def project(self, op: OpBuilder, embeddings: ir.Value) -> ir.Value:
        """Map (batch, sequence, embedding_size) to (batch, sequence, hidden_size)."""
        return self.embedding_hidden_mapping_in(op, embeddings)

    def runs(self, start: int, stop: int) -> Iterator[Run]:
        """Cut the applications from `start` to before `stop` into runs of one hidden group."""
        for group, (first, end) in zip(self.albert_layer_groups, self.bounds, strict=True):
            first, end = max(first, start), min(end, stop)
            if first < end:
                yield Run(group, first, end - first)

    def repeat(
        self,
        op: OpBuilder,
        hidden: ir.Value,
        bias: ir.Value,
        start: int = 0,
        needed: ir.Value | None = None,
    ) -> ir.Value:
        """Apply the layers to all tokens: the last time too, unless it is for the first token only.

        Args:
            op: The graph being written.
            hidden: (batch, sequence, hidden_size).
            bias: The result of `Portable.attention_bias`.
            start: The first application to write.
            needed: Whether to do it, a boolean scalar; None for always.

        Returns:
            (batch, sequence, hidden_size).
        """
        for run in self.runs(start, self.applications - self.first_token):
            hidden = self._repeat(op, run, hidden, bias, needed)
        return hidden

    def finish(self, op: OpBuilder, hidden: ir.Value, bias: ir.Value) -> ir.Value:
        """Apply the layers to the first token if that is left to do."""
        if self.first_token:
            hidden = self.albert_layer_groups[-1](op, hidden, bias, first_token=True)
            if self.trace:
                self.trace.record(op.Unsqueeze(self.trace.read(op, hidden), [0]))
        return hidden

    def _repeat(
        self, op: OpBuilder, run: Run, hidden: ir.Value, bias: ir.Value, needed: ir.Value | None
    ) -> ir.Value:
        trace = self.trace

        def step(op: OpBuilder, _: ir.Value, hidden: ir.Value) -> Turn:
            hidden = run.group(op, hidden, bias)
            return Turn([hidden], [trace.read(op, hidden)] if trace else [])

        if trace:
            hidden, states = loop(op, run.times, step, [hidden], keeps=1)
            trace.record(states)
        elif needed or (self.operators.plan.layout == "loop" and run.times > 1):
            (hidden,) = loop(op, run.times, step, [hidden], go_on=needed or True)
        else:
            for _ in range(run.times):
                hidden = run.group(op, hidden, bias)
        return hidden
