"""`albert-edge predict`: texts from arguments or a file, answers to stdout or a file, streamed."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from albert_edge.cli.answers import open_answers
from albert_edge.cli.commands import BundleFolder, Json
from albert_edge.cli.printing import count_progress, print_json
from albert_edge.errors import InputError, UsageError
from albert_edge.records import TEXT, TEXT_OR_PAIR, Fields, read_records

if TYPE_CHECKING:
    from albert_edge.bundle import Bundle

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
    """Where the answers went, and how many they are."""

    output: Path
    predictions: int


def predict(
    bundle: BundleFolder,
    texts: Texts = None,
    input_file: InputFile = None,
    output_file: OutputFile = None,
    task: Task = None,
    device: Annotated[str, typer.Option(help="auto or cpu.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, int8, ... as quantized.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="By default the processors this process may use.")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(help="How many labels a text; by default the best.")
    ] = None,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Cut texts over the model's limit.")
    ] = False,
    parameter: Parameters = None,
    as_json: Json = False,
) -> None:
    """Answer texts: [TEXT]... or --input FILE."""
    from albert_edge.bundle import open_bundle
    from albert_edge.runtime.tasks import default_task, find_task

    _refuse_confusion(texts, input_file, output_file)
    parameters = _read_parameters(top_k, truncate, parameter or [])
    opened = open_bundle(bundle)
    task = find_task(task) if task else default_task(opened.manifest.task)
    _refuse_unknown(task, parameters)
    fields = _FIELDS.get(task, TEXT)
    count = 0
    with contextlib.ExitStack() as stack:
        records = stack.enter_context(read_records(input_file, texts or [], fields))
        model = stack.enter_context(_load(task, opened, device, precision, threads, parameters))
        write = stack.enter_context(open_answers(output_file, as_json=as_json, shown=fields.texts))
        advance = stack.enter_context(count_progress("Texts", quiet=as_json))
        for record in records:
            count += 1
            try:
                write(record, model.answer(fields.item(record)))
            except (InputError, TypeError) as error:
                place = f"{input_file}: record" if input_file else "Text"
                tip = getattr(error, "tip", "Correct it, or take it out.")
                raise InputError(f"{place} {count}: {error}", tip=tip) from error
            advance()
    if as_json and output_file:
        print_json(PredictReport(output_file, count))


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
        name, equals, value = option.partition("=")
        if not (name and equals):
            raise UsageError(
                f"--parameter {option!r} is not NAME=VALUE.",
                tip="Write, for instance, --parameter max_length=64",
            )
        if name in parameters:
            raise UsageError(f"{name} is given twice.", tip="Leave out one of them.")
        parameters[name] = _value(value)
    return parameters


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _refuse_unknown(task: str, parameters: Mapping[str, Any]) -> None:
    from albert_edge.runtime.tasks import TASKS

    check: Any = TASKS[task].parameters
    _, *known = inspect.signature(check).parameters
    for name in parameters:
        if name not in known:
            raise UsageError(f"{task} has no parameter {name}.", tip=f"It has {', '.join(known)}.")


def _load(
    task: str,
    bundle: Bundle,
    device: str,
    precision: str,
    threads: int | None,
    parameters: dict[str, Any],
) -> Any:
    from albert_edge.runtime.load import pipeline

    try:
        return pipeline(
            task, bundle, device=device, precision=precision, threads=threads, **parameters
        )
    except (TypeError, AttributeError) as error:  # a value is of a type the task does not expect
        given = ", ".join(f"{name}={json.dumps(value)}" for name, value in parameters.items())
        raise UsageError(
            f"{task} cannot use {given}: {error}.",
            tip="Write numbers, true, false, null and lists as in JSON; all else is a text.",
        ) from error
