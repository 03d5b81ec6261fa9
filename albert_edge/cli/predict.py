"""`albert-edge predict`: texts from arguments or a file, answers to stdout or a file, streamed."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from albert_edge.cli.answers import open_answers
from albert_edge.cli.commands import BundleFolder, Json
from albert_edge.cli.printing import count_progress, note, print_json
from albert_edge.errors import InputError, RecordError, UsageError
from albert_edge.records import TEXT, TEXT_OR_PAIR, Fields, Record, read_records

if TYPE_CHECKING:
    from albert_edge.bundle.bundle import Bundle
    from albert_edge.runtime.pipeline import Pipeline

Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TEXT]...",
        help="Texts; JSON objects where the task needs more, such as question and context.",
    ),
]
InputFile = Annotated[
    Path | None,
    typer.Option("--input", help=".txt (a text a line), .jsonl, .csv, .tsv; - for stdin."),
]
OutputFile = Annotated[Path | None, typer.Option("--output", help=".jsonl, .csv or .tsv.")]
Task = Annotated[str | None, typer.Option(help="By default what the bundle was exported for.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="A parameter of the task, as the pipeline takes it: JSON, or else a text. Repeatable.",
    ),
]

ProviderOptions = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="An option of the execution provider. Repeatable."),
]

Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda, cuda:1, openvino, ... or a provider's name.")
]
Threads = Annotated[
    int | None, typer.Option(help="By default the processors this process may use.")
]
Workers = Annotated[
    int | None, typer.Option(help="Texts at once, sharing the threads; by default as many.")
]
TopK = Annotated[int | None, typer.Option(help="How many labels a text; by default the best.")]
Truncate = Annotated[bool, typer.Option("--truncate", help="Cut texts over the model's limit.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Say which device and variant answer.")]

# What an item is made of, by task; of all others it is a text.
_FIELDS = {
    "multiple-choice": Fields(("prompt",), lists=("choices",)),
    "question-answering": Fields(("question", "context")),
    "sentence-order": Fields(("text", "text_pair")),
    "text-classification": TEXT_OR_PAIR,
    "text-ranking": Fields(("query", "passage")),
}


@dataclass(frozen=True, slots=True)
class PredictReport:
    """Where the answers went, how many they are, and what gave them."""

    output: Path
    predictions: int
    device: str
    variant: str


def predict(
    bundle: BundleFolder,
    texts: Texts = None,
    input_file: InputFile = None,
    output_file: OutputFile = None,
    task: Task = None,
    device: Device = "auto",
    provider_option: ProviderOptions = None,
    precision: Annotated[str, typer.Option(help="auto, fp32, int8, ... as quantized.")] = "auto",
    threads: Threads = None,
    workers: Workers = None,
    top_k: TopK = None,
    truncate: Truncate = False,
    parameter: Parameters = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Answer texts: [TEXT]... or --input FILE."""
    from albert_edge.bundle.bundle import open_bundle
    from albert_edge.runtime.tasks import default_task, find_task

    _refuse_confusion(texts, input_file, output_file)
    parameters = _read_parameters(top_k, truncate, parameter or [])
    opened = open_bundle(bundle)
    named = task or opened.manifest.task
    task = find_task(named) if named else default_task(opened.manifest.head)
    _refuse_unknown(task, parameters)
    fields = _FIELDS.get(task, TEXT)
    options: dict[str, Any] = {
        "device": device,
        "provider_options": _read_options(provider_option or []),
        "precision": precision,
        "threads": threads,
        "workers": workers,
    }
    with contextlib.ExitStack() as stack:
        records = stack.enter_context(read_records(input_file, texts or [], fields))
        model = stack.enter_context(_load(task, opened, parameters, options))
        about = _about(model, verbose)
        write = stack.enter_context(
            open_answers(output_file, as_json=as_json, about=about, shown=fields.texts)
        )
        advance = stack.enter_context(count_progress("Texts", quiet=as_json))
        count = 0
        with _placed(input_file, lambda: count + 1):
            for record, answer in _answers(model, records, fields, input_file):
                write(record, answer)
                count += 1
                advance()
    if as_json and output_file:
        print_json(PredictReport(output_file, count, **about))


def _about(model: Pipeline, verbose: bool) -> dict[str, str]:
    """What answers, for a report; said at once if `verbose`."""
    about = {"device": model.device, "variant": model.session.variant.name}
    if verbose:
        note(f"{model.device} ({model.session.device.note or 'as asked'}), {about['variant']}")
    return about


@contextlib.contextmanager
def _placed(source: Path | None, number: Callable[[], int]) -> Iterator[None]:
    """Have an error of an item say which item it is about; one of a record says so itself."""
    try:
        yield
    except RecordError:
        raise
    except (InputError, TypeError) as error:
        place = f"{source}: record" if source else "Text"
        tip = getattr(error, "tip", "Correct it, or take it out.")
        raise InputError(f"{place} {number()}: {error}", tip=tip) from error


def _answers(
    model: Pipeline, records: Iterator[Record], fields: Fields, source: Path | None
) -> Iterator[tuple[Record, Any]]:
    """Each record with its answer."""
    waiting: deque[Record] = deque()

    def items() -> Iterator[Any]:
        for record in records:
            waiting.append(record)
            yield fields.item(record)

    # From a pipe or a terminal each is answered before the next is asked for.
    at_once = source is not None and not source.is_file()
    answers = map(model.answer, items()) if at_once else model.stream(items())
    for answer in answers:
        yield waiting.popleft(), answer


def _refuse_confusion(texts: list[str] | None, source: Path | None, target: Path | None) -> None:
    if bool(texts) == (source is not None):
        raise UsageError(
            "predict takes texts or --input, one of the two.",
            tip="albert-edge predict BUNDLE 'a text', or --input FILE",
        )
    if source and target and source.exists() and target.exists() and source.samefile(target):
        raise UsageError(f"{target} is the input.", tip="Name another file with --output.")


def _read_parameters(top_k: int | None, truncate: bool, options: list[str]) -> dict[str, Any]:
    """The parameters of every call, from the options of their own and from --parameter."""
    parameters: dict[str, Any] = {"truncation": True} if truncate else {}
    if top_k is not None:
        parameters["top_k"] = top_k
    for option in options:
        name, value = _pair("--parameter", option)
        if name in parameters:
            raise UsageError(f"{name} is given twice.", tip="Leave out one of them.")
        parameters[name] = _value(value)
    return parameters


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(
            f"{option} {text!r} is not NAME=VALUE.", tip=f"Write, for instance, {_EXAMPLES[option]}"
        )
    return name, value


_EXAMPLES = {
    "--parameter": "--parameter max_length=64",
    "--provider-option": "--provider-option device_type=GPU",
}


def _read_options(options: list[str]) -> dict[str, str]:
    return dict(_pair("--provider-option", option) for option in options)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _refuse_unknown(task: str, parameters: Mapping[str, Any]) -> None:
    from albert_edge.runtime.tasks import load_task

    check: Any = load_task(task).parameters
    _, *known = inspect.signature(check).parameters
    for name in parameters:
        if name not in known:
            raise UsageError(f"{task} has no parameter {name}.", tip=f"It has {', '.join(known)}.")


def _load(
    task: str, bundle: Bundle, parameters: Mapping[str, Any], options: Mapping[str, Any]
) -> Pipeline:
    from albert_edge.runtime.load import pipeline

    try:
        return pipeline(task, bundle, **options, **parameters)
    except (TypeError, AttributeError) as error:  # a value is of a type the task does not expect
        given = ", ".join(f"{name}={json.dumps(value)}" for name, value in parameters.items())
        raise UsageError(
            f"{task} cannot use {given}: {error}.",
            tip="Write numbers, true, false, null and lists as in JSON; all else is a text.",
        ) from error
