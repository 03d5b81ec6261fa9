"""A plan: everything that may differ between two graphs of the same checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Target = Literal["portable", "cpu"]
Layout = Literal["unrolled", "loop"]


class Optimization(StrEnum):
    """A rewrite that leaves every answer as it was, up to float32 rounding."""

    FUSED_ATTENTION = "fused-attention"
    FUSED_GELU = "fused-gelu"
    FIRST_TOKEN = "first-token"
    MASKED_LOGITS = "masked-logits"

    @property
    def description(self) -> str:
        """One line for people: what it replaces."""
        return _DESCRIPTIONS[self]


_DESCRIPTIONS = {
    Optimization.FUSED_ATTENTION: "scores, mask, softmax and mixing as one Attention operator",
    Optimization.FUSED_GELU: "the activation of the feed-forward layer as one Gelu operator",
    Optimization.FIRST_TOKEN: "the last layer computed for [CLS] alone, the only token read",
    Optimization.MASKED_LOGITS: "vocabulary logits computed at [MASK] tokens alone",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How a graph is authored.

    Attributes:
        target: Whose operators are used: "portable" (the ONNX standard, opset 17) or "cpu"
            (what measured fastest on onnxruntime's CPU execution provider).
        layout: "unrolled" repeats the nodes of a layer per application; "loop" holds each hidden
            group once, in the body of an ONNX Loop. The weights are stored once either way.
        optimizations: The rewrites to apply where the model has a place for them.
        mask_token_id: The id of [MASK], needed by `Optimization.MASKED_LOGITS`.
    """

    target: Target = "portable"
    layout: Layout = "unrolled"
    optimizations: frozenset[Optimization] = frozenset()
    mask_token_id: int | None = None

    def wants(self, optimization: Optimization) -> bool:
        """Whether this plan asks for the optimization."""
        return optimization in self.optimizations
