"""A bundle's portable model -> a compressed variant, if its answers are good enough."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from albert_edge.architecture.heads import HEADS
from albert_edge.architecture.precisions import Compressed
from albert_edge.architecture.weights import Matrix
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.change import Change, change
from albert_edge.bundle.manifest import MODEL, Variant
from albert_edge.check.portable import portable_file, require_onnx
from albert_edge.check.quality import Budget, Quality
from albert_edge.check.sample import Texts, load_sample, require_labels
from albert_edge.check.self_test import AnswerRecorder
from albert_edge.compress.compressor import Compressor, Load, Run, load_model
from albert_edge.compress.options import (
    Compression,
    Int8,
    Int8Block,
    Mixed,
    Precisions,
    compression,
)
from albert_edge.compress.search import MatrixCost, SearchResult, search
from albert_edge.compress.tuning import Timing, tune
from albert_edge.errors import Argument, Call, Message, QualityError, UsageError
from albert_edge.progress import Progress, progress_bar
from albert_edge.runtime.adaptation import Adaptation
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.model_source import ModelFile
from albert_edge.runtime.self_test import answers_key

# Tried when a precision was refused, the smallest file first.
_REMEDIES = (Int8, Int8Block)


@dataclass(frozen=True, slots=True)
class QuantizeReport:
    """The result of quantizing, or why it was refused.

    Attributes:
        bundle: The bundle.
        precision: What was asked for; "mixed" for a search.
        passed: Whether the answers are within the budget. If not, nothing was written.
        misses: The limits of the budget that the answers exceed, in words.
        tip: What would pass, if this did not.
        quality: The measured quality, or None if a search ended without a model.
        budget: The limits that the quality has to meet.
        sample: The texts that the answers were compared on, in words.
        bytes: Size of the model, or None if a search ended without one.
        reference_bytes: Size of the fp32 model.
        matrices: Precision of each compressed matrix.
        costs: What compressing each matrix by itself costs, if a search measured it.
        tried: How many assignments of precisions to matrices were tried.
        variant: The variant written, or None.
        tuning: What was measured to choose activations and layout, if this was asked for.
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
    tuning: list[Timing] = field(default_factory=list)

    def __repr__(self) -> str:
        done = f"{self.bytes / 1e6:.1f} MB" if self.passed and self.bytes else "refused"
        return f"QuantizeReport('{self.bundle}': {self.precision}, {done}, {self.quality!r})"


def quantize(
    bundle: str | os.PathLike[str],
    precision: Compressed | Compression | None = None,
    *,
    texts: Texts | None = None,
    data: str | os.PathLike[str] | None = None,
    min_agreement: float | None = None,
    min_cosine: float | None = None,
    max_drop: float | None = None,
    progress: bool | Progress = False,
) -> QuantizeReport:
    """Write a compressed variant of a bundle, if its answers stay good enough.

    Args:
        bundle: A bundle exported by the native exporter.
        precision: "int8": integers with a scale per row or column, the fastest on a CPU;
            "int8-block" and "int4": a scale per block; "fp16": for GPUs; "mixed": the best
            precision for each matrix that keeps the answers within the budget. Or one of these
            with options, such as `Int8(activations="per-tensor")`; see
            `albert_edge.compress.options`. By default int8, or mixed if a budget is given. fp16
            is judged on the CPU, where onnxruntime computes the operators in fp32 and rounds the
            result of each to fp16.
        texts: Texts to compare answers on, or a file of them. By default a sample in twelve
            languages.
        data: Instead of texts, a .tsv, .csv or .jsonl file with a column "label", to compare the
            accuracy too.
        min_agreement: Minimum agreement with fp32, the share of decisions that stay the same,
            0 to 1; by default 0.99.
        min_cosine: Minimum mean cosine of the outputs and those of fp32; by default 0.999.
        max_drop: Maximum loss of accuracy in percentage points; needs `data`.
        progress: Whether to show a progress bar, or what to call with (what, done, total).

    Raises:
        QualityError: The answers are not good enough; nothing was written. Its `report` is a
            `QuantizeReport`, its tip names what would pass.
        AlbertEdgeError: See `albert_edge.errors`; nothing was written then either.
    """
    limits = {"min_agreement": min_agreement, "min_cosine": min_cosine, "max_drop": max_drop}
    if not isinstance(precision, Compression):
        precision = compression(precision or default_precision(*limits.values()))
    budget = _budget(limits, data)
    require_onnx("Quantizing")
    folder = open_bundle(bundle).require_folder("Quantizing")
    with change(folder) as pending, progress_bar(progress) as step:
        opened = open_bundle(folder)  # read again, now that no other process can change it
        config = opened.read_config()
        head = opened.manifest.head
        portable = portable_file(opened)
        answers = AnswerRecorder(opened, config)
        with tempfile.TemporaryDirectory(
            dir=pending.scratch, ignore_cleanup_errors=True
        ) as scratch:
            compressor = Compressor(
                config,
                head,
                portable,
                load_sample(opened, config, texts, data),
                Path(scratch),
                _recording(answers, portable),
                step,
            )
            again = partial(Call, "quantize", folder, texts=texts, data=data, **limits)
            report = _decide(compressor, folder, precision, budget, again)
            if report.passed and isinstance(precision, Int8) and precision.tune:
                precision, report = _tune(compressor, precision, report)
        _require_passed(report)
        variant = _write(pending, compressor, precision, report, head)
        _record(answers, pending.path(variant.file), variant)
        pending.manifest = answers.write(pending, opened.manifest.with_variant(variant))
    return replace(report, variant=variant)


def _require_passed(report: QuantizeReport) -> None:
    if not report.passed:
        misses = "; ".join(report.misses)
        raise QualityError(
            f"{report.precision} is not good enough on {report.sample}: {misses}.",
            tip=report.tip,
            report=report,
        )


def _record(answers: AnswerRecorder, file: Path, variant: Variant) -> None:
    """Answer the self-test with a variant, in every form in which it is loaded."""
    run = load_model(file, signed_weights=variant.multiplies_signed_weights)
    answers.record(variant.name, run)
    if variant.narrow_activations:
        key = answers_key(variant, Adaptation.NARROW_ACTIVATIONS)
        answers.record(key, _load_narrow(file))


def default_precision(*limits: float | None) -> Compressed:
    """Choose int8, or the best precision for each matrix if a limit is given."""
    return "int8" if all(limit is None for limit in limits) else "mixed"


def _load_narrow(model: ModelFile) -> Run:
    return run_file(model, adaptation=Adaptation.NARROW_ACTIVATIONS)


def _recording(answers: AnswerRecorder, portable: ModelFile) -> Load:
    """Load models, and let the portable one answer the self-test while it is in memory."""

    def load(model: ModelFile, *, signed_weights: bool) -> Run:
        run = load_model(model, signed_weights=signed_weights)
        if model is portable:
            answers.record_portable(run)
        return run

    return load


def _budget(limits: Mapping[str, float | None], data: object) -> Budget:
    if limits["max_drop"] is not None:
        require_labels(data)
    given = {name: value for name, value in limits.items() if value is not None}
    for name, value in given.items():
        in_percent = name == "max_drop"
        if not 0 <= value <= (math.inf if in_percent else 1):
            tip = "It is in percent, from 0 up." if in_percent else "It is a share from 0 to 1."
            raise UsageError(Message(Argument(name), f" is {value}."), tip=tip)
    # A limit on the accuracy itself replaces the default limits on what stands in for it.
    return replace(Budget(0.0, 0.0) if "max_drop" in given else Budget(), **given)


def _decide(
    compressor: Compressor,
    folder: Path,
    asked: Compression,
    budget: Budget,
    again: Callable[..., Call],
) -> QuantizeReport:
    """Find the model to write, or what to advise instead."""
    if isinstance(asked, Mixed):
        result = search(compressor, budget, asked)
    else:
        result = SearchResult(compressor.try_out(asked.plan()), [], 1)
    trial = result.best
    misses = (
        budget.misses(trial.quality) if trial else ["no assignment of precisions meets the limits"]
    )
    return QuantizeReport(
        bundle=folder,
        precision=asked.name,
        passed=not misses,
        misses=misses,
        tip=_remedy(compressor, asked, budget, again) if misses else Message(),
        quality=trial.quality if trial else None,
        budget=budget,
        sample=compressor.origin,
        bytes=trial.bytes if trial else None,
        reference_bytes=compressor.reference_bytes,
        matrices=trial.plan.precisions if trial else {},
        costs=result.costs,
        tried=result.tried,
    )


def _tune(
    compressor: Compressor, asked: Int8, report: QuantizeReport
) -> tuple[Int8, QuantizeReport]:
    """Choose activations and layout by time."""
    timings = tune(compressor, asked.plan(), report.budget)
    (chosen,) = (timing for timing in timings if timing.is_chosen)
    tuned = Int8(weights=asked.weights, activations=chosen.activations, layout=chosen.layout)
    trial = compressor.try_out(tuned.plan())
    return tuned, replace(report, quality=trial.quality, bytes=trial.bytes, tuning=timings)


def _remedy(
    compressor: Compressor, refused: Compression, budget: Budget, again: Callable[..., Call]
) -> Message:
    """Advise a precision that was seen to pass, or how to find one."""
    if isinstance(refused, Mixed):
        lower = (Argument("min_agreement"), " or ", Argument("min_cosine"))
        return Message("Lower ", *lower, ", or raise ", Argument("max_drop"), ".")
    for kind in _REMEDIES:
        if isinstance(refused, kind):
            continue
        remedy = _with_options_of(kind, refused)
        trial = compressor.try_out(remedy.plan())
        quality = trial.quality
        if not budget.misses(quality):
            figures = f"{trial.bytes / 1e6:.1f} MB, cosine {quality.cosine:.5f}"
            figures += f", agreement {a:.2%}" if (a := quality.agreement) is not None else ""
            return Message(again(precision=_shortest(remedy)), f" passes: {figures}.")
    # A search takes many times as long as this: whether to wait for it is the user's choice.
    call = again(precision=_shortest(_with_options_of(Mixed, refused)))
    return Message(call, " searches for a mixture that passes; or lower the limits.")


def _with_options_of(kind: type[Compression], other: Compression) -> Compression:
    """Compress in another way, with those options of `other` that are not its defaults."""
    options = {}
    for option in fields(other):
        value = getattr(other, option.name)
        if value != option.default and any(known.name == option.name for known in fields(kind)):
            options[option.name] = value
    return kind(**options)


def _shortest(asked: Compression) -> str | Compression:
    """Return the name of a way to compress, unless it has options of its own."""
    return asked.name if asked == compression(asked.name) else asked


def _write(
    pending: Change, compressor: Compressor, asked: Compression, report: QuantizeReport, head: str
) -> Variant:
    plan = asked.plan(report.matrices) if isinstance(asked, Mixed) else asked.plan()
    name = asked.variant()
    path = pending.path(f"onnx/{name}.onnx")
    files, authored = compressor.write(path, plan)
    applied = {kind.value: count for kind, count in authored.applied.items()}
    quality = {} if report.quality is None else asdict(report.quality)
    narrow = None
    if plan.can_narrow_activations:
        narrow = compressor.judge(_load_narrow(path), f"{asked.name}, 7-bit activations")
        quality["narrow_activations"] = asdict(narrow)
    return Variant(
        name=name,
        files={MODEL: tuple(map(pending.record, files))},
        inputs={MODEL: HEADS[head].inputs},
        precision=report.precision,
        target=plan.target,
        layout=plan.layout,
        opset=authored.model.opset_imports[""],
        optimizations={**applied, **compressor.rewrites(plan)},
        matrices={matrix.value: plan.precision(matrix).value for matrix in Matrix},
        activations=plan.activations if plan.quantizes_activations else "",
        weights=plan.weights if plan.quantizes_activations else "",
        narrow_activations=narrow is not None and not report.budget.misses(narrow),
        measured={**quality, **_tuning(report), "sample": report.sample},
    )


def _tuning(report: QuantizeReport) -> dict[str, Any]:
    return {"tuning": list(map(asdict, report.tuning))} if report.tuning else {}
