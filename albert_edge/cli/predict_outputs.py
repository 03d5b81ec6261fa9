"""Where `predict` puts answers: on stdout, into a stream, or into a file that can be resumed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from albert_edge.cli.print_answers import Write, print_document, print_lines
from albert_edge.cli.printing import note, print_json
from albert_edge.cli.spelling import spell_command_line
from albert_edge.errors import InputError
from albert_edge.labelling.columns import JsonLayout
from albert_edge.labelling.folder import Existing
from albert_edge.progress import progress_bar
from albert_edge.records.inputs import Inputs

if TYPE_CHECKING:
    from albert_edge.labelling.label_file import LabelOptions
    from albert_edge.labelling.labeller import Labeller
    from albert_edge.labelling.output import Output
    from albert_edge.runtime.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class PredictReport:
    """Where the answers are, how many, and which device and variant gave them.

    Attributes:
        output: The file.
        predictions: How many records have an answer; None if the file was complete already.
        device: The device; None if nothing was answered.
        variant: The variant; None if nothing was answered.
        failed: How many records could not be answered.
    """

    output: Path
    predictions: int | None = None
    device: str | None = None
    variant: str | None = None
    failed: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be answered, and by what.

    Attributes:
        model: The pipeline.
        inputs: The records.
        labeller: How the pipeline answers them.
        options: How they become rows.
    """

    model: Pipeline
    inputs: Inputs
    labeller: Labeller
    options: LabelOptions

    @property
    def about(self) -> dict[str, str]:
        """The device and the variant."""
        return {"device": self.model.device, "variant": self.model.session.variant.name}


def print_all(work: Work, *, as_json: bool) -> None:
    """Print the answers to stdout.

    Args:
        work: What is to be answered.
        as_json: Whether as one JSON document.
    """
    if as_json:
        with print_document(work.about, JsonLayout(work.options.prefix)) as write:
            _print_each(work, write, progress=False)
        return
    fields = work.inputs.fields
    _print_each(work, print_lines([fields.column(name) for name in fields.texts]), progress=True)


def _print_each(work: Work, write: Write, *, progress: bool) -> None:
    failed = 0
    with progress_bar(progress) as report:
        count = 0
        for count, (row, outcome) in enumerate(work.labeller.outcomes(work.inputs.rows()), 1):
            write(row, outcome)
            failed += outcome.error is not None
            report("texts", count, None)
    _require_some_answered(count, failed)


def stream_into(work: Work, sink: BinaryIO, suffix: str, *, as_json: bool) -> None:
    """Write the answers to a pipe, a device or stdout.

    Args:
        work: What is to be answered.
        sink: Where to.
        suffix: The format.
        as_json: Whether to print a report as JSON.
    """
    from albert_edge.labelling.label_file import make_writer
    from albert_edge.labelling.stream import label_stream

    writer = make_writer(suffix, work.model, work.inputs, work.options)
    count, failed = label_stream(work.inputs.rows(), work.labeller, writer, sink)
    if as_json:
        print_json(PredictReport(Path(sink.name), count - failed, **work.about, failed=failed))
    _require_some_answered(count, failed)


def write_file(work: Work, target: Path, existing: Existing, *, as_json: bool) -> None:
    """Write the answers into a file, which gets its name when it is complete.

    Args:
        work: What is to be answered.
        target: The file.
        existing: What to do with an output that exists.
        as_json: Whether to print the report as JSON instead of a line.
    """
    from albert_edge.labelling.job import how_to_continue, label
    from albert_edge.labelling.label_file import open_output
    from albert_edge.labelling.progress import label_progress

    started = time.monotonic()
    with (
        open_output(target, existing, work.model, work.inputs, work.options) as output,
        label_progress(work.inputs.total_bytes, show=not as_json) as report,
    ):
        try:
            label(work.inputs.rows(), work.labeller, output, report)
        except SystemExit:
            if output.saved:
                note(how_to_continue(output).spell(spell_command_line))
            raise
    if as_json:
        answered = output.rows - output.failed
        print_json(PredictReport(target, answered, **work.about, failed=output.failed))
    else:
        note(_summarize(output, time.monotonic() - started))
    _require_some_answered(output.rows, output.failed)


def report_complete(target: Path, *, as_json: bool) -> None:
    """Report that an output was complete already, so that there was nothing to do."""
    if as_json:
        print_json(PredictReport(target))
    else:
        note(f"{target} is complete already.")


def _summarize(output: Output, seconds: float) -> str:
    """Describe a finished job in one line."""
    rate = (output.rows - output.kept) / seconds
    counts = [f"{output.rows - output.failed:,} texts answered"]
    if output.failed:
        counts.append(f"{output.failed:,} not")
    if output.kept:
        counts.append(f"{output.kept:,} by an earlier run")
    return f"{', '.join(counts)}; {seconds:.1f} s, {rate:,.0f} texts/s: {output.target}"


def _require_some_answered(count: int, failed: int) -> None:
    """Raise an error if there were records and none could be answered."""
    if failed and failed == count:
        raise InputError(
            f"None of the {count:,} records could be answered.",
            tip="The errors in their places say why.",
        )
