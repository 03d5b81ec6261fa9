"""The ways to compress a model, as values that check their options and make their plans.

quantize("bundle", Int8(activations="per-tensor"))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from albert_edge.architecture.weights import Matrix
from albert_edge.choices import require_choice
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.graph.plan import (
    CPU_OPTIMIZATIONS,
    OPTIMIZATIONS,
    Activations,
    IntegerWeights,
    Layout,
    Plan,
    Precision,
)

Precisions = Mapping[Matrix, Precision]
Fp16Target = Literal["cuda", "portable"]
Goal = Literal["smallest", "fastest"]

_CHOICES = {
    "layout": Layout,
    "target": Fp16Target,
    "prefer": Goal,
    "activations": Activations,
    "weights": IntegerWeights,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """A way to compress a model.

    Attributes:
        layout: "loop" holds a layer once, "unrolled" repeats it.
    """

    layout: Layout = "loop"

    name: ClassVar[str]
    file_name: ClassVar[str]

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            UsageError: One is not a valid choice.
        """
        for option, choices in _CHOICES.items():
            if option in _options(type(self)):
                require_choice(option, getattr(self, option), choices)

    def variant(self) -> str:
        """Return the name of the variant: that of optimum and transformers.js, if they have one."""
        return self.file_name

    def plan(self) -> Plan:
        """Return the plan to author the graph with."""
        return _integer_plan(self, dict.fromkeys(Matrix, Precision(self.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8(Compression):
    """Integers of 8 bits with a scale per row or column: the fastest on a CPU.

    Attributes:
        activations: What shares a scale when activations are quantized: each token
            ("per-token"), or all of a run ("per-tensor"), which is a little faster but lets
            texts of a batch change each other's answers.
        weights: "signed", or "unsigned" for other programs that open the file on CPUs without
            VNNI, where sums of products of signed weights saturate. This package gives the same
            answers with both on every CPU; with VNNI, unsigned weights are slower.
        tune: Whether to choose activations and layout by their time on this CPU, among those whose
            answers are good enough.
    """

    activations: Activations = "per-token"
    weights: IntegerWeights = "signed"
    tune: bool = False

    name: ClassVar = "int8"
    file_name: ClassVar = "model_quantized"

    def __post_init__(self) -> None:
        """Check the options; see `Compression`."""
        super(Int8, self).__post_init__()
        if self.tune and (self.activations, self.layout) != ("per-token", "loop"):
            chosen = "activations" if self.activations != "per-token" else "layout"
            raise UsageError(
                Message(Argument("tune", True), " chooses ", Argument(chosen), " itself."),
                tip=Message("Leave out one of them."),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Block(Compression):
    """Integers of 8 bits with a scale per block.

    The head is stored as in int8: it takes the same space, and int8 quantizes the activations of a
    head twice as finely.

    Attributes:
        weights: As in `Int8`, for the head.
    """

    weights: IntegerWeights = "signed"

    name: ClassVar = "int8-block"
    file_name: ClassVar = "model_int8_block"

    def plan(self) -> Plan:
        precisions = dict.fromkeys(Matrix, Precision.INT8_BLOCK) | {Matrix.HEAD: Precision.INT8}
        return _integer_plan(self, precisions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Int4(Compression):
    """Integers of 4 bits with a scale per block: the smallest file."""

    name: ClassVar = "int4"
    file_name: ClassVar = "model_q4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fp16(Compression):
    """Floating point of 16 bits, for GPUs.

    Attributes:
        target: Whose operators are used: "cuda" for onnxruntime's CUDA execution provider,
            "portable" for every other runtime that computes in fp16, such as WebGPU in
            transformers.js.
        layout: By default "unrolled", since a GPU waits for the CPU at every iteration of a loop.
    """

    target: Fp16Target = "cuda"
    layout: Layout = "unrolled"

    name: ClassVar = "fp16"
    file_name: ClassVar = "model_fp16"

    def variant(self) -> str:
        # transformers.js loads model_fp16, so that name is for what every runtime reads.
        return self.file_name + ("_cuda" if self.target == "cuda" else "")

    def plan(self) -> Plan:
        precisions = dict.fromkeys(Matrix, Precision.FP16)
        return Plan(self.target, self.layout, OPTIMIZATIONS[self.target], precisions=precisions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed(Compression):
    """The best precision of each matrix with which the answers stay within the budget.

    Attributes:
        prefer: What is best within the budget: the "smallest" file or the "fastest" model.
        activations: As in `Int8`.
        weights: As in `Int8`.
    """

    prefer: Goal = "smallest"
    activations: Activations = "per-token"
    weights: IntegerWeights = "signed"

    name: ClassVar = "mixed"
    file_name: ClassVar = "model_mixed"

    def plan(self, precisions: Precisions | None = None) -> Plan:
        """Return the plan to author the graph with, fp32 for matrices without a precision."""
        return _integer_plan(self, precisions or {})


COMPRESSIONS: dict[str, type[Compression]] = {
    kind.name: kind for kind in (Int8, Int8Block, Int4, Fp16, Mixed)
}


def compression(name: str, **options: Any) -> Compression:
    """Make a way to compress from its name and options.

    Args:
        name: A key of `COMPRESSIONS`.
        **options: Its options; those that are None are left at their defaults.

    Raises:
        UsageError: The name is unknown, or an option is unsupported or has an invalid value.
    """
    require_choice("precision", name, COMPRESSIONS)
    given = {option: value for option, value in options.items() if value is not None}
    for option, value in given.items():
        if option not in _options(COMPRESSIONS[name]):
            others = [other for other, kind in COMPRESSIONS.items() if option in _options(kind)]
            raise UsageError(
                Message(f"{name} does not take ", Argument(option, value), "."),
                tip=Message(
                    "Leave out ", Argument(option), f", or use precision {' or '.join(others)}."
                ),
            )
    return COMPRESSIONS[name](**given)


def _options(kind: type[Compression]) -> set[str]:
    return {field.name for field in fields(kind)}


def _integer_plan(options: Compression, precisions: Precisions) -> Plan:
    """Make a plan with the operators of a CPU, the only target with operators for integers."""
    known = _options(type(options)) & {"activations", "weights"}
    of_integers: dict[str, Any] = {name: getattr(options, name) for name in known}
    return Plan(
        "cpu",
        options.layout,
        CPU_OPTIMIZATIONS,
        precisions=precisions,
        smoothed=True,
        **of_integers,
    )
