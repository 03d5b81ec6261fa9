"""Early exits: a classifier after each of the first applications of the layer, which may answer.

The model stops at the first classifier that is certain: of classes by its softmax response
(Schuster et al. 2021, https://arxiv.org/abs/2104.08803), of a number if it hardly differs from that
of the exit before (Zhou et al. 2020, https://arxiv.org/abs/2006.04152). Texts run one at a time, so
that no text waits for another or depends on it. Shapes are as in `states`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.architecture.heads import LAYERS, Decision
from albert_edge.graph.control_flow import Turn, choose, loop
from albert_edge.graph.encoder import Encoder, Run
from albert_edge.graph.states import read_states

_END = np.iinfo(np.int64).max  # of a slice


class Exits(nn.Module):
    """The classifiers after the first applications, and how certain one must be to answer.

    Args:
        count: Number of exits.
        hidden_size: Features of a hidden state.
        classes: Entries of a row of logits.
        decision: How logits turn into decisions; None for a number.
        every_token: Whether there is a decision for every token, rather than for the text.
        choices: Whether the decision is one of the rows, rather than of the entries of a row.
    """

    def __init__(
        self,
        count: int,
        hidden_size: int,
        classes: int,
        *,
        decision: Decision | None,
        every_token: bool,
        choices: bool,
    ) -> None:
        super().__init__()
        self.count = count
        self.classes = classes
        self.decision = decision
        self.every_token = every_token
        self.choices = choices
        self.weight = nn.Parameter([count, hidden_size, classes])
        self.bias = nn.Parameter([count, classes])
        self.threshold = nn.Parameter([1])

    def forward(
        self,
        op: OpBuilder,
        encoder: Encoder,
        hidden: ir.Value,
        bias: ir.Value,
        attention_mask: ir.Value,
        finish: Callable[[OpBuilder, ir.Value], ir.Value],
    ) -> dict[str, ir.Value]:
        """Apply layers until an exit is certain; if none is, do the rest as without exits.

        Args:
            op: The graph being written.
            encoder: Owns the layers.
            hidden: The hidden states before the first application.
            bias: The result of `Portable.attention_bias`.
            attention_mask: (1, sequence), or (choices, sequence).
            finish: Maps the hidden states that `Encoder.repeat` returns to the logits.

        Returns:
            The logits, and how many applications were used, (1,).
        """
        mask = self._mask(op, attention_mask) if self.every_token else None
        hidden, logits, certainties, uncertain = self._apply(op, encoder, hidden, bias, mask)
        # Not within the branch: onnxruntime runs a loop in a branch without packed weights.
        hidden = encoder.repeat(op, hidden, bias, self.count, uncertain)

        def go_on(op: OpBuilder) -> Sequence[ir.Value]:
            return finish(op, hidden), op.Constant(value_ints=[encoder.applications])

        def answer(op: OpBuilder) -> Sequence[ir.Value]:
            answers = op.Unsqueeze(logits, [0]) if self.every_token else op.Identity(logits)
            return answers, op.Shape(certainties, end=1)

        names = "logits", LAYERS
        return dict(zip(names, choose(op, uncertain, go_on, answer, names), strict=True))

    def _apply(
        self,
        op: OpBuilder,
        encoder: Encoder,
        hidden: ir.Value,
        bias: ir.Value,
        mask: ir.Value | None,
    ) -> tuple[ir.Value, ir.Value, ir.Value, ir.Value]:
        """Apply layers until an exit is certain or there is none left.

        Returns:
            The hidden states and the logits after the last of these applications, the certainty
            after each of them, and whether the last certainty is too low.
        """
        threshold = op.Squeeze(self.threshold, [0])
        # A matrix with a row per class is read faster; onnxruntime transposes it once, at load.
        by_class = op.Transpose(self.weight, perm=[0, 2, 1])

        def step(
            run: Run, op: OpBuilder, turn: ir.Value, hidden: ir.Value, previous: ir.Value
        ) -> Turn:
            hidden = run.group(op, hidden, bias)
            application = op.Add(turn, run.start) if run.start else turn
            states = read_states(op, hidden, every_token=self.every_token)
            weight, offset = (op.Gather(x, application) for x in (by_class, self.bias))
            logits = op.Gemm(states, weight, offset, transB=1)
            certainty = self._certainty(op, logits, previous, mask)
            return Turn([hidden, logits], [certainty], op.Less(certainty, threshold))

        logits = op.ConstantOfShape([1, 1], value=ir.tensor(np.array([np.inf], np.float32)))
        logits.shape = ir.Shape([None, None])
        certainties: ir.Value | None = None
        uncertain: ir.Value | bool = True
        for run in encoder.runs(0, self.count):
            hidden, logits, added = loop(
                op, run.times, partial(step, run), [hidden, logits], go_on=uncertain, keeps=1
            )
            certainties = op.Concat(certainties, added, axis=0) if certainties else added
            uncertain = op.Less(op.Gather(certainties, -1), threshold)
        assert certainties is not None
        assert isinstance(uncertain, ir.Value)
        return hidden, logits, certainties, uncertain

    def _mask(self, op: OpBuilder, attention_mask: ir.Value) -> ir.Value:
        """Return 1 for tokens that are answered, 0 for [CLS], [SEP] and padding, (tokens, 1)."""
        tokens = op.Cast(op.Reshape(attention_mask, [-1, 1]), to=ir.DataType.FLOAT)
        another_follows = op.Pad(op.Slice(tokens, [1], [_END], [0]), [0, 0, 1, 0])
        return op.Pad(op.Slice(another_follows, [1], [_END], [0]), [1, 0, 0, 0])

    def _certainty(
        self, op: OpBuilder, logits: ir.Value, previous: ir.Value, mask: ir.Value | None
    ) -> ir.Value:
        """Return how certain an exit is, a scalar, from its logits and those of the one before."""
        if self.decision is None:
            return op.Neg(op.ReduceL1(op.Sub(logits, previous), keepdims=0))
        if self.decision == "positive":
            return op.ReduceMin(op.Abs(logits), keepdims=0)
        log_probabilities = op.LogSoftmax(logits, axis=0 if self.choices else -1)
        if mask is None:
            return op.ReduceMax(log_probabilities, keepdims=0)
        largest, _ = op.TopK(log_probabilities, [1], axis=-1, _outputs=2)
        return op.ReduceMin(op.Mul(largest, mask), keepdims=0)  # 0, the maximum, at padding
