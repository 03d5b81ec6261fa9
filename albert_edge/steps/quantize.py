"""A bundle's portable model -> a compressed variant, if its answers are good enough."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from albert_edge.architecture.config import read_config
from albert_edge.architecture.heads import HEADS, Input
from albert_edge.architecture.precisions import Compressed
from albert_edge.architecture.weights import Matrix
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.change import Staging, change
from albert_edge.bundle.manifest import MODEL, Variant
from albert_edge.check.portable import portable_file, require_onnx
from albert_edge.check.quality import Budget, Quality
from albert_edge.check.sample import load_sample
from albert_edge.compress.compressor import Compressor, Progress, Run, Trial
from albert_edge.compress.options import (
    Compression,
    Fp16Target,
    Goal,
    Int8,
    Int8Block,
    Mixed,
    Precisions,
    compression,
)
from albert_edge.compress.search import Found, MatrixCost, search
from albert_edge.errors import Argument, Call, Message, QualityError, UsageError
from albert_edge.graph.plan import Activations, Layout
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.saturation import adds_signed_weights_exactly

# What is tried when a precision was refused, from the smallest file up.
_REMEDIES = (Int8, Int8Block)


@dataclass(frozen=True, slots=True)
class QuantizeReport:
    """What quantizing did, or why it was refused.

    Attributes:
        bundle: The bundle.
        precision: What was asked for; "mixed" for a search.
        passed: Whether the answers are within the budget. If not, nothing was written.
        misses: What they lack, in words.
        tip: What would pass, if they do not.
        quality: How good they are, or None if a search found nothing to judge.
        budget: What they may cost.
        sample: What they were judged on.
        bytes: Size of the model, or None if a search found none.
        reference_bytes: Size of the fp32 model.
        matrices: Precision of each compressed matrix.
        costs: What compressing only each matrix costs, if that was measured.
        tried: How many assignments of precisions to matrices a search judged.
        variant: The variant written, or None.
    """

    bundle: Path
    precision: str
    passed: bool
    misses: list[str]
    tip: Message
    quality: Quality | None
    budget: Budget
    sample: str
    bytes: int | None
    reference_bytes: int
    matrices: Precisions
    costs: list[MatrixCost] = field(default_factory=list)
    tried: int = 0
    variant: Variant | None = None


def quantize(
    bundle: str | os.PathLike[str],
    *,
    precision: Compressed | None = None,
    target: Fp16Target | None = None,
    layout: Layout | None = None,
    activations: Activations | None = None,
    texts: Sequence[str] | str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    min_agreement: float | None = None,
    min_cosine: float | None = None,
    max_drop: float | None = None,
    prefer: Goal | None = None,
    progress: Progress = lambda what, done, total: None,
) -> QuantizeReport:
    """Write a compressed variant of a bundle, if its answers stay good enough.

    Args:
        bundle: A bundle exported by the native exporter.
        precision: "int8": integers with a scale per row or column, the fastest on a CPU;
            "int8-block" and "int4": a scale per block; "fp16": for GPUs; "mixed": the best
            precision for each matrix that keeps the answers within the budget. By default int8,
            or mixed if a budget is given.
        target: Whose operators fp16 is written in: "cuda" (the default) for onnxruntime's CUDA
            execution provider, "portable" for every other runtime that computes in fp16, such as
            WebGPU in transformers.js. Either is judged on the CPU, where onnxruntime computes the
            operators in fp32 and rounds what comes out of each to fp16.
        layout: "loop" holds a layer once, "unrolled" repeats it; by default a loop, but unrolled
            for fp16, since a GPU waits for the CPU at every turn of a loop.
        activations: What shares a scale when int8 quantizes activations: each token
            ("per-token", the default) or all of a run ("per-tensor"), which is a little faster
            and lets texts of one batch change each other's answers.
        texts: What to judge the answers on: texts, or a file of them. By default a sample in
            twelve languages.
        data: Instead of texts, a .tsv, .csv or .jsonl file with a column "label", from which the
            accuracy is known too.
        min_agreement: Least share of decisions that stay the same, 0 to 1; by default 0.99.
        min_cosine: Least mean cosine of the outputs; by default 0.999.
        max_drop: Most points of accuracy that may be lost, in percent; needs `data`.
        prefer: What a search looks for within the budget: the "smallest" file, which is the
            default, or the "fastest" model.
        progress: Told (what, done, total) as work goes on.

    Returns:
        What was done.

    Raises:
        QualityError: The answers are not good enough; nothing was written. Its `report` is a
            `QuantizeReport`, its tip names what would pass.
        AlbertEdgeError: See `albert_edge.errors`; nothing was written then either.
    """
    given = any(limit is not None for limit in (min_agreement, min_cosine, max_drop))
    chosen: Compressed = precision or ("mixed" if given else "int8")
    asked = compression(
        chosen, layout=layout, activations=activations, target=target, prefer=prefer
    )
    budget = _budget(min_agreement, min_cosine, max_drop, data)
    require_onnx("Quantizing")
    folder = open_bundle(bundle).folder
    limits = {"min_agreement": min_agreement, "min_cosine": min_cosine, "max_drop": max_drop}
    options = {"layout": layout, "activations": activations, "texts": texts, "data": data, **limits}
    with change(folder) as pending:
        opened = open_bundle(folder)  # as it is now that nobody else can change it
        config = read_config(opened.listed("config.json"))
        with tempfile.TemporaryDirectory(dir=pending.staging.folder) as scratch:
            compressor = Compressor(
                config,
                opened.manifest.head,
                portable_file(opened),
                load_sample(opened, config, texts, data),
                Path(scratch),
                _load,
                progress,
            )
            report = _decide(compressor, folder, asked, budget, options)
        if not report.passed:
            raise QualityError(_refusal(report), tip=report.tip, report=report)
        inputs = HEADS[opened.manifest.head].inputs
        variant = _write(pending.staging, compressor, asked, report, inputs)
        pending.manifest = opened.manifest.with_variant(variant)
    return replace(report, variant=variant)


def _load(path: Path, *, integers: bool) -> Run:
    return run_file(path, unsigned_weights=integers and not adds_signed_weights_exactly())


def _budget(
    min_agreement: float | None, min_cosine: float | None, max_drop: float | None, data: object
) -> Budget:
    for option, value in (("min_agreement", min_agreement), ("min_cosine", min_cosine)):
        if value is not None and not 0 <= value <= 1:
            raise UsageError(f"{option} is {value}.", tip="It is a share from 0 to 1.")
    if max_drop is not None and data is None:
        raise UsageError(
            "max_drop needs labels to tell the accuracy from.",
            tip=Message("Pass ", Argument("data", "FILE"), " with the columns text and label."),
        )
    if max_drop is not None and not max_drop >= 0:
        raise UsageError(f"max_drop is {max_drop}.", tip="It is in percent, from 0 up.")
    # With labels a user who names the accuracy to keep has said what matters.
    floor = Budget(0.0, 0.0) if max_drop is not None else Budget()
    return Budget(
        floor.min_agreement if min_agreement is None else min_agreement,
        floor.min_cosine if min_cosine is None else min_cosine,
        max_drop,
    )


def _decide(
    compressor: Compressor,
    folder: Path,
    asked: Compression,
    budget: Budget,
    options: Mapping[str, Any],
) -> QuantizeReport:
    """Find the model to write, or what to say instead."""
    found = Found(None, [], 1)
    if isinstance(asked, Mixed):
        found = search(compressor, budget, asked)
        trial = found.best
    else:
        trial = compressor.try_out(asked.plan())
    misses = budget.misses(trial.quality) if trial else ["no assignment of precisions is"]
    tip = Message()
    if misses and not isinstance(asked, Mixed):
        tip = _remedy(compressor, asked, budget, folder, options)
    elif misses:
        tip = Message(
            "Lower ",
            Argument("min_agreement"),
            " or ",
            Argument("min_cosine"),
            ", or raise ",
            Argument("max_drop"),
            ".",
        )
    return QuantizeReport(
        bundle=folder,
        precision=asked.name,
        passed=not misses,
        misses=misses,
        tip=tip,
        quality=trial.quality if trial else None,
        budget=budget,
        sample=compressor.origin,
        bytes=trial.bytes if trial else None,
        reference_bytes=compressor.reference_bytes,
        matrices=trial.plan.precisions if trial else {},
        costs=found.costs,
        tried=found.tried,
    )


def _remedy(
    compressor: Compressor,
    refused: Compression,
    budget: Budget,
    folder: Path,
    options: Mapping[str, Any],
) -> Message:
    """Say which precision passes, having seen it pass, or how to find one."""
    for kind in _REMEDIES:
        if not isinstance(refused, kind):
            trial = compressor.try_out(kind(layout=refused.layout).plan())
            if not budget.misses(trial.quality):
                call = Call("quantize", folder, precision=kind.name, **options)
                return Message(call, f" passes: {_figures(trial)}")
    # A search takes many times as long as this: whether to wait for it is the user's choice.
    call = Call("quantize", folder, precision="mixed", **options)
    return Message(call, " searches for what passes; or lower what must be kept.")


def _figures(trial: Trial) -> str:
    quality = trial.quality
    agreement = "" if quality.agreement is None else f", agreement {quality.agreement:.2%}"
    return f"{trial.bytes / 1e6:.1f} MB, cosine {quality.cosine:.5f}{agreement}."


def _refusal(report: QuantizeReport) -> str:
    return f"{report.precision} is not good enough on {report.sample}: {'; '.join(report.misses)}."


def _write(
    staging: Staging,
    compressor: Compressor,
    asked: Compression,
    report: QuantizeReport,
    inputs: tuple[Input, ...],
) -> Variant:
    plan = asked.plan(report.matrices) if isinstance(asked, Mixed) else asked.plan()
    name = asked.variant()
    path = staging.path(f"onnx/{name}.onnx")
    files, authored = compressor.write(path, plan)
    applied = {kind.value: count for kind, count in authored.applied.items()}
    quality = {} if report.quality is None else asdict(report.quality)
    return Variant(
        name=name,
        files={MODEL: tuple(map(staging.record, files))},
        inputs={MODEL: inputs},
        precision=report.precision,
        target=plan.target,
        layout=plan.layout,
        opset=authored.model.opset_imports[""],
        optimizations={**applied, **compressor.rewrites(plan)},
        matrices={matrix.value: plan.precision(matrix).value for matrix in Matrix},
        activations=plan.activations if plan.quantizes_activations else "",
        measured={**quality, "sample": report.sample},
    )
