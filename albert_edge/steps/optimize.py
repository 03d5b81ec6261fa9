"""A bundle's portable model -> a variant authored for one target, with the same answers.

No graph is rewritten: the portable file serves as a store of named weights, and the graph is
authored again under another plan.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from albert_edge.architecture.heads import HEADS
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.bundle.change import change
from albert_edge.bundle.manifest import MODEL, Variant
from albert_edge.check.parity import Arrays, Parity, Run, compare, sample_inputs
from albert_edge.check.portable import portable_file, require_onnx
from albert_edge.check.sample import mask_token_id
from albert_edge.check.self_test import AnswerRecorder
from albert_edge.choices import require_choice
from albert_edge.errors import Argument, Message, UsageError
from albert_edge.graph.plan import OPTIMIZATIONS, Layout, Optimization, Plan, Target, best_layout
from albert_edge.onnx_format.reader import read_onnx
from albert_edge.onnx_format.stored_weights import StoredWeights
from albert_edge.progress import Progress, progress_bar
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.model_source import ModelFile
from albert_edge.steps.export import LARGEST_DIFFERENCE

Logits = Literal["all", "masked"]


@dataclass(frozen=True, slots=True)
class OptimizeReport:
    """The result of an optimization.

    Attributes:
        bundle: The bundle.
        variant: The variant written.
        nodes_before: Operators of the portable model.
        nodes_after: Operators of the variant.
        largest_difference: Largest absolute difference of any output to the portable model.
    """

    bundle: Path
    variant: Variant
    nodes_before: int
    nodes_after: int
    largest_difference: float

    def __repr__(self) -> str:
        nodes = f"{self.nodes_before} operators became {self.nodes_after}"
        return f"OptimizeReport('{self.bundle}': {self.variant!r}, {nodes})"


def optimize(
    bundle: str | os.PathLike[str],
    *,
    target: Target = "cpu",
    layout: Layout | None = None,
    logits: Logits = "all",
    progress: bool | Progress = False,
) -> OptimizeReport:
    """Author a variant of a bundle for one target, and check that its answers are the same.

    Args:
        bundle: A bundle exported by the native exporter.
        target: "cpu" for onnxruntime's CPU execution provider, "cuda" for its CUDA execution
            provider, "portable" for ONNX's standard operators. Answers are checked on the CPU
            whatever the target.
        layout: "loop" holds a layer once, so that the model loads in half the time or less;
            "unrolled" repeats it, which some tools read more easily. By default a loop, but
            unrolled for cuda, since a GPU waits for the CPU at every turn of a loop.
        logits: "masked" computes a fill-mask model's vocabulary logits only at [MASK], as
            outputs mask_positions (masks, 2) and mask_logits (masks, vocab_size).
        progress: Whether to show a progress bar, or what to call with ("writing weights", bytes
            written, bytes in all).

    Raises:
        QualityError: The answers differ by more than float32 rounding; nothing was written.
        AlbertEdgeError: See `albert_edge.errors`; nothing was written then either.
    """
    folder = open_bundle(bundle).require_folder("Optimizing")
    require_onnx("Optimizing")
    from albert_edge.graph.build import author
    from albert_edge.graph.writer import write_model

    with change(folder) as pending:
        opened = open_bundle(folder)  # read again, now that no other process can change it
        portable = portable_file(opened)
        config = opened.read_config()
        head = opened.manifest.head
        plan = _plan(opened, target, layout, logits)
        authored = author(config, head, plan)
        path = pending.path(f"onnx/{_name(plan)}.onnx")
        weight = StoredWeights(portable).__getitem__
        with progress_bar(progress, unit="bytes") as report:
            step = partial(report, "writing weights")
            files = write_model(authored, weight, path, step)
        inputs = sample_inputs(config, head, plan.mask_token_id)
        answers = AnswerRecorder(opened, config)
        parity = _compare(portable, path, plan, inputs, answers)
        variant = Variant(
            name=_name(plan),
            files={MODEL: tuple(map(pending.record, files))},
            inputs={MODEL: HEADS[head].inputs},
            precision="fp32",
            target=plan.target,
            layout=plan.layout,
            opset=authored.model.opset_imports[""],
            optimizations={name.value: count for name, count in authored.applied.items()},
            measured={LARGEST_DIFFERENCE: parity.largest},
        )
        pending.manifest = answers.write(pending, opened.manifest.with_variant(variant))
    return OptimizeReport(
        bundle=folder,
        variant=variant,
        nodes_before=read_onnx(portable).operators.total(),
        nodes_after=read_onnx(folder / variant.file).operators.total(),
        largest_difference=parity.largest,
    )


def _name(plan: Plan) -> str:
    target = "" if plan.target == "cpu" else f"_{plan.target}"
    masked = "_masked" if plan.wants(Optimization.MASKED_LOGITS) else ""
    return f"model_optimized{target}{masked}"


def _plan(bundle: Bundle, target: Target, layout: Layout | None, logits: Logits) -> Plan:
    require_choice("target", target, OPTIMIZATIONS)
    layout = layout or best_layout(target)
    require_choice("layout", layout, Layout)
    require_choice("logits", logits, Logits)
    optimizations = OPTIMIZATIONS[target]
    if logits == "all":
        return Plan(target, layout, optimizations)
    if not HEADS[bundle.manifest.head].masked_outputs:
        raise UsageError(
            f"{bundle.path} answers {bundle.manifest.head} and has no vocabulary logits.",
            tip=Message("Leave out ", Argument("logits", "masked"), "."),
        )
    # These change the outputs, so they are not among the optimizations of any target.
    return Plan(target, layout, optimizations | {Optimization.MASKED_LOGITS}, mask_token_id(bundle))


def _compare(
    portable: ModelFile, path: Path, plan: Plan, inputs: list[Arrays], answers: AnswerRecorder
) -> Parity:
    # The portable model runs first, so that the two are never in memory at once.
    expected = _expected(portable, plan, inputs, answers)
    run = run_file(path)
    answers.record(_name(plan), run)
    parity = compare(expected, run, inputs)
    parity.require(
        path.name,
        "the portable model",
        tip="Please report this model; the portable variant is untouched.",
    )
    return parity


def _expected(
    portable: ModelFile, plan: Plan, inputs: list[Arrays], answers: AnswerRecorder
) -> list[Arrays]:
    run = run_file(portable)
    answers.record_portable(run)
    return list(map(_reference(run, plan.mask_token_id), inputs))


def _reference(run: Run, mask_token_id: int | None) -> Run:
    """Run the portable model; with a mask token, only its logits at the masks are returned."""
    if mask_token_id is None:
        return run

    def at_masks(inputs: Arrays) -> Arrays:
        positions = np.argwhere(inputs["input_ids"] == mask_token_id)
        return {
            "mask_positions": positions,
            "mask_logits": run(inputs)["logits"][positions[:, 0], positions[:, 1]],
        }

    return at_masks
