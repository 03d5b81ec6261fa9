"""The entry point of the command line: its commands and what runs before them."""

from __future__ import annotations

import signal
import sys
import warnings
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

from albert_edge.cli.bench import bench
from albert_edge.cli.demo import demo
from albert_edge.cli.doctor import doctor
from albert_edge.cli.error import run_and_report
from albert_edge.cli.evaluate import evaluate
from albert_edge.cli.export import export
from albert_edge.cli.inspect import inspect
from albert_edge.cli.models import models
from albert_edge.cli.optimize import optimize
from albert_edge.cli.pack import pack, unpack
from albert_edge.cli.predict import predict
from albert_edge.cli.printing import show
from albert_edge.cli.quantize import quantize
from albert_edge.cli.report import report
from albert_edge.cli.sign import sign
from albert_edge.cli.specialize import specialize
from albert_edge.cli.verify import verify
from albert_edge.plain import plain

_COMMANDS = (
    *(export, optimize, quantize, specialize, predict, evaluate, inspect, verify, bench),
    *(pack, unpack, sign, doctor, models, demo, report),
)

app = typer.Typer(
    name="albert-edge",
    help="Turn ALBERT checkpoints into small folders that run anywhere onnxruntime runs.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for command in _COMMANDS:
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        show(f"albert-edge {version('albert-edge')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Turn ALBERT checkpoints into small folders that run anywhere onnxruntime runs."""
    if context.invoked_subcommand is None:
        print(context.get_help())  # noqa: T201  # in colours of Typer
        raise typer.Exit(2)


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, _exit_interrupted)
    warnings.formatwarning = _describe_warning
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Texts are Unicode, which the terminal's encoding may lack.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    run_and_report(app, sys.argv[1:])


def _describe_warning(message: Warning | str, *_: object, **__: object) -> str:
    return plain(f"WARNING: {message}") + "\n"


def _exit_interrupted(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)
