"""`albert-edge export`: convert a checkpoint to a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from albert_edge.cli.grouping import grouped
from albert_edge.cli.options import (
    Exporter,
    ExportTask,
    Force,
    Json,
    Out,
    Reading,
    Source,
    Verify,
)
from albert_edge.cli.printing import megabytes, note, print_json, show
from albert_edge.cli.spelling import spell_command_line

if TYPE_CHECKING:
    from albert_edge.steps.export import ExportReport

# Names in a list; copies of a whole model would fill the screen.
_MOST = 10


@grouped
def export(
    source: Source,
    out: Out = None,
    *,
    task: ExportTask = "auto",
    reading: Reading,
    exporter: Exporter = "native",
    verify: Verify = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Export a checkpoint to a bundle."""
    from albert_edge.steps.export import export

    report = export(
        source,
        out,
        task=task,
        **asdict(reading),
        exporter=exporter,
        verify=verify,
        force=force,
        progress=not as_json,
    )
    if as_json:
        print_json(report)
        return
    _describe(report)
    if reading.layers is not None:
        note(f"The model has the first {report.layers} layers only.")
    show(report.bundle)


def _describe(report: ExportReport) -> None:
    what = report.task or report.head
    note(f"Exported {report.source} for {what}: {megabytes(report.model_bytes)}.")
    if report.base:
        note(f"Merged the adapter into {report.base}.")
    if report.largest_difference is not None:
        note(f"Largest difference from transformers: {report.largest_difference:.1e}.")
    if report.unused:
        note(f"Tensors this head does not use: {_shortened(report.unused)}.")
    if report.ignored:
        note(f"Ignored, since no ALBERT has them: {_shortened(report.ignored)}.")
    if report.prefix:
        note(f"Names of tensors began with {report.prefix}, which was taken off.")
    if report.lacks_pooler:
        note("The checkpoint has no pooler: the model outputs last_hidden_state only.")
    if report.normalization:
        note(f"The tokenizer {report.normalization}.")
    for warning in report.warnings:
        note(f"WARNING: {warning.spell(spell_command_line)}")
    if not report.tokenizer:
        note("The checkpoint has no tokenizer; the bundle takes only token ids.")


def _shortened(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + rest
