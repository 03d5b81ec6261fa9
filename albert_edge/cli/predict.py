"""`albert-edge predict`: texts from arguments or a file, answers to stdout or a file, streamed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from albert_edge.cli.answers import open_answers
from albert_edge.cli.commands import BundleFolder, Json
from albert_edge.cli.printing import count_progress, print_json
from albert_edge.errors import InputError, UsageError
from albert_edge.records import Record, read_records


@dataclass(frozen=True, slots=True)
class PredictReport:
    """Where the answers went, and how many they are."""

    output: Path
    predictions: int


def predict(
    bundle: BundleFolder,
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...")] = None,
    input_file: Annotated[
        Path | None,
        typer.Option("--input", help=".txt (a text a line), .jsonl, .csv, .tsv; - for stdin."),
    ] = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", help=".jsonl, .csv or .tsv.")
    ] = None,
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
    as_json: Json = False,
) -> None:
    """Answer texts: [TEXT]... or --input FILE."""
    _refuse_confusion(texts, input_file, output_file)
    parameters: dict[str, Any] = {"truncation": truncate}
    if top_k is not None:
        parameters["top_k"] = top_k
    count = 0
    with contextlib.ExitStack() as stack:
        records = stack.enter_context(read_records(input_file, texts or []))
        model = stack.enter_context(_load(bundle, device, precision, threads, parameters))
        write = stack.enter_context(open_answers(output_file, as_json=as_json))
        advance = stack.enter_context(count_progress("Texts", quiet=as_json))
        for record in records:
            count += 1
            try:
                write(record, model.answer(_item(record)))
            except InputError as error:
                place = f"{input_file}: record" if input_file else "Text"
                raise InputError(f"{place} {count}: {error}", tip=error.tip) from error
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


def _load(
    bundle: Path, device: str, precision: str, threads: int | None, parameters: dict[str, Any]
) -> Any:
    from albert_edge.runtime.load import pipeline

    try:
        return pipeline(
            model=bundle, device=device, precision=precision, threads=threads, **parameters
        )
    except TypeError as error:  # the task has no such parameter
        raise UsageError(f"{bundle}: {error}.", tip="Leave that option out.") from error


def _item(record: Record) -> Any:
    pair = record.get("text_pair")
    return {"text": record["text"], "text_pair": pair} if pair else record["text"]
