"""`albert-edge predict`: texts from arguments or a file, answers to stdout or a file, streamed."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer

from albert_edge.cli.commands import BundleFolder, Json
from albert_edge.cli.printing import count_progress
from albert_edge.cli.records import open_answers, read_records
from albert_edge.errors import UsageError


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
    precision: Annotated[str, typer.Option(help="auto or fp32.")] = "auto",
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
    if bool(texts) == (input_file is not None):
        raise UsageError(
            "predict takes texts or --input, one of the two.",
            tip="albert-edge predict BUNDLE 'a text', or --input FILE",
        )
    from albert_edge.runtime.pipeline import pipeline

    parameters: dict[str, Any] = {"truncation": truncate}
    if top_k is not None:
        parameters["top_k"] = top_k
    with contextlib.ExitStack() as stack:
        records = stack.enter_context(read_records(input_file, texts or []))
        model = stack.enter_context(
            pipeline(model=bundle, device=device, precision=precision, threads=threads)
        )
        write = stack.enter_context(open_answers(output_file, as_json=as_json))
        advance = stack.enter_context(count_progress("Texts", quiet=as_json))
        for record, answer in _answered(model, records, parameters):
            write(record, answer)
            advance()


def _answered(model: Any, records: Any, parameters: dict[str, Any]) -> Any:
    """Pair every record with its answer, one at a time."""
    seen = []

    def items() -> Any:
        for record in records:
            seen.append(record)
            pair = record.get("text_pair")
            yield {"text": record["text"], "text_pair": pair} if pair else record["text"]

    for answer in model(items(), **parameters):
        yield seen.pop(), answer
