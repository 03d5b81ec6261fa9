"""The commands, and what is asked of albert-edge itself."""

from __future__ import annotations

from typing import Annotated

import typer

from albert_edge.cli.bench import bench
from albert_edge.cli.demo import demo
from albert_edge.cli.doctor import doctor
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
        from albert_edge import __version__

        show(f"albert-edge {__version__}")
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
