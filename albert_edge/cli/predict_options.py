"""The options of `predict`: what is asked, where answers go, what the model runs with."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import typer

from albert_edge.cli.options import Device, Task, Threads

Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TEXT]...",
        help="Texts; JSON objects where a task needs several fields, such as question and context.",
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Report the device and variant that answer.")
]


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What `predict` asks of each text."""

    task: Task = None
    top_k: Annotated[
        int | None, typer.Option(help="How many labels per text (default: only the best).")
    ] = None
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Cut texts over the model's limit.")
    ] = False
    return_layers: Annotated[
        bool,
        typer.Option("--return-layers", help="Add how many layers of the model an answer took."),
    ] = False
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A parameter of the task's pipeline; JSON or text. Repeatable.",
        ),
    ] = None


@dataclasses.dataclass(frozen=True, slots=True)
class Files:
    """Where `predict` reads texts and writes answers."""

    input_file: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help=".txt (one text per line), .jsonl, .csv, .tsv or .parquet; a pattern such as "
            "'*.csv'; - is stdin. Repeatable.",
        ),
    ] = None
    input_format: Annotated[
        str | None,
        typer.Option(help="txt, jsonl, csv, tsv or parquet (default: by name, or by content)."),
    ] = None
    column: Annotated[str | None, typer.Option(help="The column of the text (default: text).")] = (
        None
    )
    pair_column: Annotated[
        str | None, typer.Option(help="The column of the second text of a pair.")
    ] = None
    output_file: Annotated[
        str | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Write answers to .jsonl, .csv, .tsv (also .gz, .zst) or .parquet; - is stdout.",
        ),
    ] = None
    prefix: Annotated[
        str, typer.Option(help="Start of the names of the answer's columns, such as second_.")
    ] = ""
    csv_safe: Annotated[
        bool,
        typer.Option(
            "--csv-safe", help="Prefix cells that spreadsheets would run as formulas with '."
        ),
    ] = False
    on_error: Annotated[
        Literal["record", "stop"],
        typer.Option(help="If a record cannot be answered: stop, or record its error and go on."),
    ] = "stop"
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an unfinished output; keep a complete one.")
    ] = False


@dataclasses.dataclass(frozen=True, slots=True)
class Engine:
    """What `predict` runs the model with."""

    device: Device = "auto"
    provider_option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An option of the execution provider. Repeatable."),
    ] = None
    precision: Annotated[
        str, typer.Option(help="auto, or a precision the bundle has: fp32, int8, int8-exits, ...")
    ] = "auto"
    threads: Threads = None
    workers: Annotated[
        int | None, typer.Option(help="Texts answered at once (default: one per thread).")
    ] = None
