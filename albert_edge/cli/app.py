"""The command line's entry point and its one error boundary."""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

from albert_edge.cli import commands
from albert_edge.cli.bench import bench
from albert_edge.cli.doctor import doctor
from albert_edge.cli.evaluate import evaluate
from albert_edge.cli.predict import predict
from albert_edge.cli.quantize import quantize
from albert_edge.cli.report import report
from albert_edge.cli.spelling import spell_command_line
from albert_edge.errors import AlbertEdgeError

app = typer.Typer(
    name="albert-edge",
    help="ALBERT from a checkpoint to a small folder that runs anywhere onnxruntime runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    commands.export,
    commands.optimize,
    quantize,
    predict,
    evaluate,
    commands.inspect,
    commands.verify,
    bench,
    doctor,
    commands.demo,
    report,
):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"albert-edge {version('albert-edge')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """ALBERT from a checkpoint to a small folder that runs anywhere onnxruntime runs."""


def main() -> None:
    """Run the command line; every expected error ends as a message, a tip and an exit code."""
    signal.signal(signal.SIGINT, _interrupted)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # texts are Unicode, whatever the terminal is
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except AlbertEdgeError as error:
        _fail(*error.spell(spell_command_line), error.exit_code)
    except BrokenPipeError:  # the reader of our answers went away, as `head` does
        _abandon_stdout()
        raise SystemExit(1) from None
    except OSError as error:
        _abandon_stdout()
        _fail(f"The system refused: {error}.", "Check free space, names and permissions.", 1)


def _fail(message: str, tip: str, exit_code: int) -> NoReturn:
    print(f"ERROR {message}\nTIP   {tip}", file=sys.stderr)
    raise SystemExit(exit_code) from None


def _abandon_stdout() -> None:
    """Let what could not be written go, so that Python does not try once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)
