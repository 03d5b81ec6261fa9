"""`albert-edge predict`: answer texts from arguments or a file, one after the other."""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from albert_edge.cli.grouping import grouped
from albert_edge.cli.options import (
    BundleFolder,
    Engine,
    Files,
    Json,
    Question,
    Texts,
    Verbose,
)
from albert_edge.cli.print_answers import open_answers
from albert_edge.cli.printing import note, print_json
from albert_edge.errors import Argument, Call, InputError, Message, RecordError, UsageError
from albert_edge.progress import progress_bar
from albert_edge.records.fields import Fields, Record
from albert_edge.records.inputs import given_inputs, open_inputs, valid_records

if TYPE_CHECKING:
    from albert_edge.bundle.bundle import Bundle
    from albert_edge.runtime.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class PredictReport:
    """Where the answers are, how many, and which device and variant gave them."""

    output: Path
    predictions: int
    device: str
    variant: str


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

    _require_one_source(texts, files)
    parameters = _read_parameters(question)
    opened = open_bundle(bundle)
    task = choose_task(opened, question.task)
    pipeline = pipeline_class(task)
    pipeline.require_known(parameters)
    fields = pipeline.kind.fields
    with contextlib.ExitStack() as stack:
        if files.input_file is None:
            inputs = given_inputs(texts or [], fields)
        else:
            inputs = stack.enter_context(open_inputs([files.input_file], fields))
        records = valid_records(inputs.rows())
        model = stack.enter_context(_load(task, opened, parameters, engine))
        about = _about(model, verbose)
        write = stack.enter_context(
            open_answers(files.output_file, as_json=as_json, about=about, shown=fields.texts)
        )
        progress = stack.enter_context(progress_bar(not as_json))
        count = 0
        with _numbered(files.input_file, lambda: count + 1):
            for record, answer in _answers(model, records, fields, files.input_file):
                write(record, answer)
                count += 1
                progress("texts", count, None)
    if as_json and files.output_file:
        print_json(PredictReport(files.output_file, count, **about))


def _about(model: Pipeline, verbose: bool) -> dict[str, str]:
    """Name the device and variant that answer; also print them if `verbose`."""
    about = {"device": model.device, "variant": model.session.variant.name}
    if verbose:
        note(f"{model.device} ({model.session.device.note or 'as asked'}), {about['variant']}")
    return about


@contextlib.contextmanager
def _numbered(source: Path | None, number: Callable[[], int]) -> Iterator[None]:
    """Add the item's number to its errors; a `RecordError` has it already."""
    try:
        yield
    except RecordError:
        raise
    except (InputError, TypeError) as error:
        place = f"{source}: record" if source else "Text"
        fault = (
            error
            if isinstance(error, InputError)
            else InputError(str(error), tip="Correct it, or take it out.")
        )
        raise fault.at(f"{place} {number()}: ") from error


def _answers(
    model: Pipeline, records: Iterator[Record], fields: Fields, source: Path | None
) -> Iterator[tuple[Record, Any]]:
    """Yield each record with its answer."""
    waiting: deque[Record] = deque()

    def items() -> Iterator[Any]:
        for record in records:
            waiting.append(record)
            yield fields.item(record)

    # The writer of a pipe may wait for an answer before sending the next text.
    at_once = source is not None and not source.is_file()
    answers = map(model.answer, items()) if at_once else model.stream(items())
    for answer in answers:
        yield waiting.popleft(), answer


def _require_one_source(texts: list[str] | None, files: Files) -> None:
    source, target = files.input_file, files.output_file
    if bool(texts) == (source is not None):
        raise UsageError(
            Message("predict takes either texts or ", Argument("input"), "."),
            tip=Message(Call("predict", "BUNDLE", "a text"), ", or ", Argument("input", "FILE")),
        )
    if source and target and source.exists() and target.exists() and source.samefile(target):
        raise UsageError(
            f"{target} is also the input.",
            tip=Message("Name another file with ", Argument("output"), "."),
        )


def _read_parameters(question: Question) -> dict[str, Any]:
    """Read the parameters of the pipeline: --truncate, --top-k and --parameter."""
    parameters: dict[str, Any] = {"truncation": True} if question.truncate else {}
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
