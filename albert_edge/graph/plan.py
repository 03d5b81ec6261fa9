"""Plans: everything that can differ between two graphs of the same checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal

from albert_edge.architecture.weights import Matrix
from albert_edge.bundle.manifest import Variant
from albert_edge.choices import require_choice
from albert_edge.errors import Argument, Message, UsageError

Target = Literal["portable", "cpu", "cuda"]
Layout = Literal["unrolled", "loop"]
Activations = Literal["per-token", "per-tensor"]
IntegerWeights = Literal["signed", "unsigned"]


class Precision(StrEnum):
    """How a matrix is stored and multiplied."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"
    INT8_BLOCK = "int8-block"
    INT4 = "int4"

    @property
    def blocks(self) -> Blocks | None:
        """The blocks of values that share a scale, or None if blocks do not."""
        return _BLOCKS.get(self)


@dataclass(frozen=True, slots=True)
class Blocks:
    """How the rows of a matrix are cut into blocks that share a scale, as MatMulNBits reads them.

    Attributes:
        bits: Bits of a value, 4 or 8.
        size: Number of values in a block, a power of two from 16 up.
    """

    bits: int
    size: int


# Blocks are for accuracy. Larger ones multiply faster, but int8 by column is faster still.
_BLOCKS = {Precision.INT8_BLOCK: Blocks(8, 32), Precision.INT4: Blocks(4, 32)}

# The integer precisions, from the smallest file up; only the CPU target has operators for them.
INTEGERS = (Precision.INT4, Precision.INT8, Precision.INT8_BLOCK)


class Optimization(StrEnum):
    """A rewrite that changes no output, up to float32 rounding."""

    FUSED_ATTENTION = "fused-attention"
    FUSED_GELU = "fused-gelu"
    FIRST_TOKEN = "first-token"
    MASKED_LOGITS = "masked-logits"
    NO_KEY_BIAS = "no-key-bias"
    PACKED_PROJECTIONS = "packed-projections"
    FUSED_NORM = "fused-norm"

    @property
    def description(self) -> str:
        """A description in a line."""
        return _DESCRIPTIONS[self]


_DESCRIPTIONS = {
    Optimization.FUSED_ATTENTION: "attention (scores, mask, softmax, mixing) as one operator",
    Optimization.FUSED_GELU: "the activation of the feed-forward layer as one Gelu operator",
    Optimization.FIRST_TOKEN: "the last layer computed for [CLS] only, the one token that is read",
    Optimization.MASKED_LOGITS: "vocabulary logits computed at [MASK] tokens only",
    Optimization.NO_KEY_BIAS: "no bias of the keys: it adds the same to all scores of a query",
    Optimization.PACKED_PROJECTIONS: "queries, keys and values from one matrix, stored once",
    Optimization.FUSED_NORM: "bias, residual and normalization as one SkipLayerNormalization",
}


_FOR_ALL = frozenset({Optimization.FIRST_TOKEN})
_FOR_ONNXRUNTIME = _FOR_ALL | {Optimization.FUSED_ATTENTION, Optimization.FUSED_GELU}

# The optimizations that make onnxruntime's CPU execution provider faster.
CPU_OPTIMIZATIONS = _FOR_ONNXRUNTIME | {Optimization.NO_KEY_BIAS}

# The optimizations of each target.
OPTIMIZATIONS: dict[Target, frozenset[Optimization]] = {
    "portable": _FOR_ALL,
    "cpu": CPU_OPTIMIZATIONS,
    "cuda": _FOR_ONNXRUNTIME | {Optimization.PACKED_PROJECTIONS, Optimization.FUSED_NORM},
}


def best_layout(target: Target) -> Layout:
    """Return the default layout of a target.

    A loop loads faster, but a GPU waits for the CPU at every iteration.
    """
    return "unrolled" if target == "cuda" else "loop"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to author a graph. A plan that cannot be authored cannot be constructed.

    Attributes:
        target: Whose operators are used: "portable" (the ONNX standard, opset 17), "cpu" (those
            measured fastest on onnxruntime's CPU execution provider) or "cuda" (those that its CUDA
            execution provider has fused kernels for).
        layout: "unrolled" repeats the nodes of a layer per application; "loop" holds each hidden
            group once, in the body of an ONNX Loop. The weights are stored once either way.
        optimizations: The rewrites to apply where the model has a place for them.
        mask_token_id: The id of [MASK], needed by `Optimization.MASKED_LOGITS`.
        precisions: Precision of each matrix; fp32 by default. fp16 is for all matrices or none;
            integers need target "cpu".
        activations: What shares a scale when activations are quantized: the features of a token
            ("per-token") or the whole input of a matrix ("per-tensor").
        weights: Whether the integers of int8 matrices are stored as int8, or as uint8 with a zero
            point of 128: the same numbers, for other kernels.
        smoothed: Whether the inputs of attention and feed-forward layer are divided by a vector,
            which the rows of their matrices were multiplied with.
        observed: Whether statistics of the inputs of matrices are outputs too, for calibration.
        moments: As `observed`, but for pruning: all second moments of what neurons and heads yield,
            and of no other input.
        exits: The number of early exits: each of the first applications of the layer is followed
            by one, which answers if it is certain. Such a graph takes one text at a time.
        traced: Whether what exits read after each application is an output too, for fitting them.
    """

    target: Target = "portable"
    layout: Layout = "unrolled"
    optimizations: frozenset[Optimization] = frozenset()
    mask_token_id: int | None = None
    precisions: Mapping[Matrix, Precision] = field(default_factory=dict)
    activations: Activations = "per-token"
    weights: IntegerWeights = "signed"
    smoothed: bool = False
    observed: bool = False
    moments: bool = False
    exits: int = 0
    traced: bool = False

    def __hash__(self) -> int:
        named = (getattr(self, field.name) for field in fields(self) if field.name != "precisions")
        return hash((*named, frozenset(self.precisions.items())))

    def __post_init__(self) -> None:
        """Check that the plan can be authored.

        Raises:
            UsageError: A value is unsupported, or two values exclude each other.
        """
        require_choice("target", self.target, OPTIMIZATIONS)
        require_choice("layout", self.layout, Layout)
        require_choice("activations", self.activations, Activations)
        require_choice("weights", self.weights, IntegerWeights)
        used = {self.precision(matrix) for matrix in Matrix}
        integers = used.intersection(INTEGERS)
        if integers and self.target != "cpu":
            raise UsageError(
                f"Target {self.target} does not support {', '.join(sorted(integers))}.",
                tip="Use target cpu, or fp16 or fp32.",
            )
        if Precision.FP16 in used and len(used) > 1:
            raise UsageError(
                "fp16 cannot be mixed with other precisions.",
                tip="Use fp16 for every matrix, or for none.",
            )
        if self.wants(Optimization.MASKED_LOGITS) and self.mask_token_id is None:
            raise UsageError(
                f"{Optimization.MASKED_LOGITS} needs the id of [MASK].",
                tip=Message("Give ", Argument("mask_token_id"), "."),
            )
        if self.exits or self.traced:
            self._check_exits(used)

    def _check_exits(self, used: set[Precision]) -> None:
        if self.exits < 0:
            raise UsageError(
                Message(Argument("exits", self.exits), " is negative."),
                tip="Give the number of applications of the layer to put an exit after.",
            )
        if self.exits and self.traced:
            raise UsageError(
                "A graph has early exits, or the states to fit them with; not both.",
                tip=Message("Leave out ", Argument("exits"), " or ", Argument("traced"), "."),
            )
        if self.layout != "loop" or self.target == "cuda" or Precision.FP16 in used:
            raise UsageError(
                "Early exits end a loop on the CPU, in fp32 or integers; the plan has layout "
                f"{self.layout}, target {self.target} and precision {', '.join(sorted(used))}.",
                tip=Message("Use ", Argument("layout", "loop"), " and target cpu or portable."),
            )

    def precision(self, matrix: Matrix) -> Precision:
        """Return the precision of a matrix."""
        return self.precisions.get(matrix, Precision.FP32)

    @property
    def shifts_activations(self) -> bool:
        """Whether activations with a lower bound are shifted to zero before quantization."""
        return self.activations == "per-token"

    @property
    def quantizes_activations(self) -> bool:
        """Whether the graph quantizes activations, as int8 matrices require."""
        tables = {Matrix.EMBEDDINGS}  # looked up, not multiplied
        return any(self.precision(m) is Precision.INT8 for m in Matrix if m not in tables)

    @property
    def can_narrow_activations(self) -> bool:
        """Whether activations of 7 bits would make the layers faster on some CPUs."""
        others = {Matrix.EMBEDDINGS, Matrix.HEAD}  # a lookup, and little work
        layers = {self.precision(m) for m in Matrix if m not in others}
        per_token = self.activations == "per-token"
        return Precision.INT8 in layers and per_token and self.weights == "signed"

    @property
    def multiplies_signed_weights(self) -> bool:
        """Whether there are products of signed weights, whose sums saturate on some CPUs."""
        return self.quantizes_activations and self.weights == "signed"

    def wants(self, optimization: Optimization) -> bool:
        """Return whether this plan asks for the optimization."""
        return optimization in self.optimizations


def plan_of(variant: Variant) -> Plan:
    """Return the plan that a variant of a bundle was authored under."""
    named: dict[str, Any] = {
        name: value
        for name in ("target", "layout", "activations", "weights")
        if (value := getattr(variant, name))
    }
    precisions = {Matrix(name): Precision(value) for name, value in variant.matrices.items()}
    return Plan(
        **named,
        optimizations=frozenset(name for name in Optimization if name in variant.optimizations),
        precisions=precisions,
        smoothed=not set(precisions.values()).isdisjoint(INTEGERS),
    )
