"""The hidden states that early exits read, and a record of them for fitting exits.

`rows` is the number of texts, or of all their tokens for a head that answers for every token.
"""

from __future__ import annotations

import onnx_ir as ir
from onnxscript import OpBuilder

from albert_edge.graph.values import dimension


def read_states(op: OpBuilder, hidden: ir.Value, *, every_token: bool) -> ir.Value:
    """Take what an exit reads from (batch, sequence, hidden_size): (rows, hidden_size)."""
    if every_token:
        return op.Reshape(hidden, [-1, dimension(hidden, -1)])
    return op.Gather(hidden, 0, axis=1)  # [CLS]


class Trace:
    """Records what exits would read after each application of the layer.

    Args:
        every_token: Whether exits read every token, or [CLS] only.
    """

    def __init__(self, *, every_token: bool) -> None:
        self.every_token = every_token
        self._parts: list[ir.Value] = []

    def read(self, op: OpBuilder, hidden: ir.Value) -> ir.Value:
        """Take what an exit reads: (rows, hidden_size)."""
        return read_states(op, hidden, every_token=self.every_token)

    def record(self, states: ir.Value) -> None:
        """Record the states after the next applications, (applications, rows, hidden_size)."""
        self._parts.append(states)

    def states(self, op: OpBuilder) -> ir.Value:
        """Return the states after all applications, (num_hidden_layers, rows, hidden_size)."""
        return op.Concat(*self._parts, axis=0)
