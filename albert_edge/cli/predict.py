"""`albert-edge predict`: answer texts from arguments or files, to stdout or into a file."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from albert_edge.cli.grouping import grouped
from albert_edge.cli.options import BundleFolder, Json
from albert_edge.cli.predict_options import Engine, Files, Question, Texts, Verbose
from albert_edge.cli.predict_outputs import (
    Work,
    print_all,
    report_complete,
    stream_into,
    write_file,
)
from albert_edge.cli.printing import note
from albert_edge.disk.writing import refuse_link
from albert_edge.errors import Argument, Call, Message, UsageError
from albert_edge.labelling.folder import Existing, is_complete
from albert_edge.labelling.formats.choose import LINES, output_suffix
from albert_edge.records.fields import Fields
from albert_edge.records.inputs import Inputs, given_inputs, open_inputs
from albert_edge.records.paths import cannot_open

if TYPE_CHECKING:
    from albert_edge.bundle.bundle import Bundle
    from albert_edge.runtime.pipeline import Pipeline


@grouped
def predict(
    bundle: BundleFolder,
    question: Question,
    files: Files,
    engine: Engine,
    texts: Texts = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Answer texts: [TEXT]... or --input FILE."""
    from albert_edge.bundle.bundle import open_bundle
    from albert_edge.runtime.tasks import choose_task, pipeline_class

    _require_sources(texts, files)
    _require_table(files)
    target = _target(files)
    existing = _existing(files, target)
    parameters = _read_parameters(question)
    opened = open_bundle(bundle)
    task = choose_task(opened, question.task)
    pipeline = pipeline_class(task)
    pipeline.require_known(parameters)
    if target and is_complete(target, existing):
        report_complete(target, as_json=as_json)
        return
    with contextlib.ExitStack() as stack:
        inputs = stack.enter_context(_open(texts, files, pipeline.kind.fields))
        _require_other_file(inputs, target)
        model = stack.enter_context(_load(task, opened, parameters, engine))
        if verbose:
            reason = model.session.device.note or "as asked"
            note(f"{model.device} ({reason}), {model.session.variant.name}")
        work = _work(model, inputs, files, parameters)
        if files.output_file is None:
            print_all(work, as_json=as_json)
        elif target is None:
            suffix = _stream_suffix(files.output_file, as_json=as_json)
            sink = stack.enter_context(_open_stream(files.output_file))
            stream_into(work, sink, suffix, as_json=as_json)
        else:
            write_file(work, target, existing, as_json=as_json)


def _require_sources(texts: list[str] | None, files: Files) -> None:
    if bool(texts) == bool(files.input_file):
        raise UsageError(
            Message("predict takes either texts or ", Argument("input"), "."),
            tip=Message(Call("predict", "BUNDLE", "a text"), ", or ", Argument("input", "FILE")),
        )


def _require_other_file(inputs: Inputs, target: Path | None) -> None:
    """Check that no input would be replaced by the output."""
    if target and target.resolve() in [Path(name).resolve() for name in inputs.names]:
        raise UsageError(
            f"{target} is also the input.",
            tip=Message("Name another file with ", Argument("output"), "."),
        )


def _existing(files: Files, target: Path | None) -> Existing:
    """Read what to do with an output that exists: --force, --resume."""
    if files.force and files.resume:
        raise UsageError(
            Message(Argument("force"), " and ", Argument("resume"), " exclude each other."),
            tip="Leave out one of them.",
        )
    if target is None and (files.force or files.resume):
        option = Argument("force" if files.force else "resume")
        raise UsageError(
            Message(option, " concerns an output that is a file."),
            tip=Message("Name it with ", Argument("output", "FILE"), "."),
        )
    return "replace" if files.force else "resume" if files.resume else "refuse"


def _require_table(files: Files) -> None:
    """Check that --csv-safe is given for a table."""
    names = Path(files.output_file or "").suffixes
    if files.csv_safe and not {".csv", ".tsv"} & set(names):
        raise UsageError(
            Message(Argument("csv_safe"), " concerns .csv and .tsv, which spreadsheets open."),
            tip=Message("Leave it out, or write ", Argument("output", "answers.csv"), "."),
        )


def _target(files: Files) -> Path | None:
    """Return the file that answers are written to; None if they go to stdout or into a stream."""
    if files.output_file is None or files.output_file == "-":
        return None
    target = Path(files.output_file)
    output_suffix(target)  # an unknown format is refused before anything else
    refuse_link(target)
    return target if target.is_file() or not target.exists() else None


def _open(
    texts: list[str] | None, files: Files, fields: Fields
) -> contextlib.AbstractContextManager[Inputs]:
    chosen = fields.chosen(files.column, files.pair_column)
    if files.input_file is None:
        return contextlib.nullcontext(given_inputs(list(map(_as_utf8, texts or [])), chosen))
    return open_inputs(files.input_file, chosen, input_format=files.input_format)


def _as_utf8(text: str) -> str:
    """Return an argument in UTF-8, which Python reads otherwise where a locale says so."""
    with contextlib.suppress(UnicodeError):
        return os.fsencode(text).decode()
    return text


def _work(model: Pipeline, inputs: Inputs, files: Files, parameters: Mapping[str, Any]) -> Work:
    from albert_edge.labelling.label_file import LabelOptions, make_labeller

    paths = files.input_file or []
    options = LabelOptions(
        files.prefix,
        keep_errors=files.on_error == "record",
        parameters=parameters,
        csv_safe=files.csv_safe,
    )
    # The writer of a pipe may wait for an answer before sending the next text.
    at_once = any(path == "-" or Path(path).is_fifo() for path in paths)
    return Work(model, inputs, make_labeller(model, inputs, options, at_once=at_once), options)


def _stream_suffix(path: str, *, as_json: bool) -> str:
    """Return the format of a stream, whose rows are written as they come."""
    if path == "-" and as_json:
        raise UsageError(
            Message(Argument("json"), " and ", Argument("output", "-"), " both write to stdout."),
            tip="Leave out one of them.",
        )
    suffix = ".jsonl" if path == "-" else output_suffix(Path(path))
    if suffix not in LINES:
        raise UsageError(
            f"{path} is not a regular file, which {suffix} needs.", tip=f"Use {', '.join(LINES)}."
        )
    return suffix


@contextlib.contextmanager
def _open_stream(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdout.buffer
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "wb", buffering=0))
        except OSError as error:
            raise cannot_open(Path(path), error) from error
        yield file


def _read_parameters(question: Question) -> dict[str, Any]:
    """Read the parameters of the pipeline: --truncate, --top-k, --return-layers, --parameter."""
    parameters: dict[str, Any] = {"truncation": True} if question.truncate else {}
    if question.return_layers:
        parameters["return_layers"] = True
    if question.top_k is not None:
        parameters["top_k"] = question.top_k
    for option in question.parameter or []:
        name, value = _pair("parameter", option, example="max_length=64")
        if name in parameters:
            raise UsageError(f"{name} is given twice.", tip="Leave out one of them.")
        parameters[name] = _value(value)
    return parameters


def _pair(option: str, text: str, *, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(
            Message(Argument(option), f" {text!r} is not NAME=VALUE."),
            tip=Message("Write, for instance, ", Argument(option, example)),
        )
    return name, value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _load(task: str, bundle: Bundle, parameters: Mapping[str, Any], engine: Engine) -> Pipeline:
    from albert_edge.runtime.load import load_pipeline

    pairs = (
        _pair("provider_option", option, example="device_type=GPU")
        for option in engine.provider_option or []
    )
    return load_pipeline(
        task,
        bundle,
        device=engine.device,
        provider_options=dict(pairs),
        precision=engine.precision,
        threads=engine.threads,
        workers=engine.workers,
        **parameters,
    )
