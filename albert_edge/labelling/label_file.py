"""Label inputs with a pipeline into a file."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from albert_edge.architecture.heads import LAYERS
from albert_edge.errors import RecordError, UsageError
from albert_edge.labelling.columns import JsonLayout, Layout, TableLayout
from albert_edge.labelling.folder import Existing, open_folder
from albert_edge.labelling.formats.choose import PARQUET, make_encoder, output_suffix
from albert_edge.labelling.labeller import Labeller
from albert_edge.labelling.output import Output
from albert_edge.labelling.row_writer import RowWriter
from albert_edge.records.inputs import Inputs
from albert_edge.runtime.parameters import RETURN_LAYERS
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.providers import load_onnxruntime

# What answers depend on besides the model.
_LIBRARIES = ("albert-edge", "numpy", "tokenizers")


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """How records and answers become rows.

    Attributes:
        prefix: Goes before the names of the columns of the answer.
        keep_errors: Whether a record that cannot be answered becomes a row with the error.
        parameters: The parameters of the pipeline.
        csv_safe: Whether no text of a table may be a formula to a spreadsheet.
    """

    prefix: str = ""
    keep_errors: bool = False
    parameters: Mapping[str, Any] | None = None
    csv_safe: bool = False


def make_labeller(
    model: Pipeline, inputs: Inputs, options: LabelOptions, *, at_once: bool
) -> Labeller:
    """Make the labeller of a pipeline.

    Args:
        model: The pipeline.
        inputs: The inputs, for what an item is.
        options: Whether errors are kept.
        at_once: Whether each record is answered before the next one is read.
    """
    on_error = "record" if options.keep_errors else "raise"
    in_batches = not model.session.device.is_cpu

    def answers(items: Iterator[Any]) -> Iterator[Any]:
        if at_once:
            return (model.answer(item, on_error=on_error) for item in items)
        if in_batches:
            return _from_memory(items, partial(model.stream, on_error=on_error))
        return model.stream(items, on_error=on_error)

    return Labeller(
        inputs.fields.item,
        answers,
        in_batches=in_batches,
        keep_errors=options.keep_errors,
    )


def _from_memory(
    items: Iterator[Any], answer: Callable[[list[Any]], Iterator[Any]]
) -> Iterator[Any]:
    """Answer a list of the items, whose batches depend on nothing else; then raise their error."""
    loaded, failure = [], None
    try:
        for item in items:
            loaded.append(item)
    except RecordError as error:
        failure = error
    yield from answer(loaded)
    if failure:
        raise failure


@contextlib.contextmanager
def open_output(
    target: Path, existing: Existing, model: Pipeline, inputs: Inputs, options: LabelOptions
) -> Iterator[Output]:
    """Open the output of a job.

    Args:
        target: The file; its name says the format.
        existing: What to do with an output that exists.
        model: The pipeline that answers.
        inputs: The records.
        options: How they become rows.

    Raises:
        UsageError: Another process writes it, an earlier job was started differently, the format
            cannot hold the answers, or a column of the answer is also one of the records.
        MissingExtraError: The format needs an extra.
    """
    writer = make_writer(output_suffix(target), model, inputs, options)
    started_with = describe_start(target, model, inputs, options)
    with open_folder(target, existing, started_with) as (folder, journal):
        yield Output(folder, journal, writer)


def make_writer(suffix: str, model: Pipeline, inputs: Inputs, options: LabelOptions) -> RowWriter:
    """Make what turns answers into rows of a format, such as ".csv.gz".

    Raises:
        UsageError: The format cannot hold the answers of the task.
        MissingExtraError: The format needs an extra.
    """
    return RowWriter(
        make_encoder(
            suffix,
            inputs.schema if suffix == PARQUET else None,
            for_spreadsheets=options.csv_safe,
        ),
        _layout(suffix, model, inputs, options),
        options.keep_errors,
    )


def _layout(suffix: str, model: Pipeline, inputs: Inputs, options: LabelOptions) -> Layout:
    if suffix.startswith(".jsonl"):
        return JsonLayout(options.prefix)
    columns = model.kind.answer_columns
    if columns and (options.parameters or {}).get(RETURN_LAYERS):
        columns += (LAYERS,)
    if not columns and suffix != PARQUET:
        raise UsageError(
            f"The answers of {model.task} do not fit a {suffix} table.",
            tip="Write them as .jsonl or .parquet.",
        )
    return TableLayout(
        columns,
        prefix=options.prefix,
        with_errors=options.keep_errors,
        columns=inputs.columns,
        fixed=suffix != PARQUET,
    )


def describe_start(
    target: Path, model: Pipeline, inputs: Inputs, options: LabelOptions
) -> dict[str, str]:
    """Describe what the contents of an output depend on, besides the records."""
    session = model.session
    manifest = session.bundle.manifest.to_json().encode()
    return {
        "bundle": hashlib.sha256(manifest).hexdigest()[:16],
        "variant": session.variant.name,
        "device": session.device.name,
        "task": model.task,
        "parameters": json.dumps(options.parameters or {}, sort_keys=True, default=str),
        "columns": json.dumps(dict(inputs.fields.columns), sort_keys=True),
        "format": output_suffix(target),
        "prefix": options.prefix,
        "on-error": "record" if options.keep_errors else "stop",
        **({"csv-safe": "yes"} if options.csv_safe else {}),
        **{name: _version(name) for name in _LIBRARIES},
        "onnxruntime": load_onnxruntime().__version__,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a source tree that is not installed, or a frozen program
        return "unknown"
