"""The command line's entry point and its one error boundary."""

from __future__ import annotations

import signal
import sys
from typing import Annotated, NoReturn

import typer

from albert_edge.cli import commands
from albert_edge.cli.predict import predict
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
    predict,
    commands.inspect,
    commands.verify,
    commands.demo,
):
    app.command()(command)


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """ALBERT from a checkpoint to a small folder that runs anywhere onnxruntime runs."""


def main() -> None:
    """Run the command line; every error of ours ends as a message, a tip and an exit code."""
    if sys.argv[1:] == ["--version"]:  # answered before a parser that is slower than the answer
        from importlib.metadata import version

        print(f"albert-edge {version('albert-edge')}")
        return
    signal.signal(signal.SIGINT, _interrupted)
    try:
        app()
    except AlbertEdgeError as error:
        print(f"ERROR {error}\nTIP   {error.tip}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:  # the reader of our answers went away, as `head` does
        sys.stderr.close()
        raise SystemExit(1) from None


def _interrupted(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)
