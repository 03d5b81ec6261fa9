"""Report errors: a message, a tip, a JSON document if asked for, and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

from albert_edge.cleanup import exit_code_of_signal
from albert_edge.cli.printing import error_fields, note, print_json
from albert_edge.cli.streams import STDOUT, abandon
from albert_edge.disk.writing import naming
from albert_edge.errors import AlbertEdgeError, Argument, Message, QualityError, UsageError
from albert_edge.packages import explain_import

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Report = TypeVar("Report", bound="DataclassInstance")

# The base of all usage errors; Typer may bundle its own copy of click.
_CommandLineError: type[Exception] = typer.BadParameter.__bases__[0]


OUT_OF_MEMORY = AlbertEdgeError(
    "There is not enough memory.",
    tip="Close other programs, raise the limit of this process, or use a smaller variant.",
)


class ReportedError(Exception):
    """An error that the JSON document on stdout already contains."""

    def __init__(self, error: AlbertEdgeError) -> None:
        super().__init__(str(error))
        self.error = error


def run_and_show(
    step: Callable[[], Report], show: Callable[[Report], object], *, as_json: bool
) -> Report:
    """Run a step that a quality gate may refuse, and print its report, also that of a refusal.

    Args:
        step: Returns its report, or raises a QualityError that has it.
        show: Prints a report as text.
        as_json: Whether to print a JSON document instead.

    Raises:
        QualityError: The step was refused.
        ReportedError: It was refused, and the JSON document says so.
    """
    try:
        report = step()
    except QualityError as error:
        if as_json and error.report:
            print_json(error.report, error=error)
            raise ReportedError(error) from error
        if error.report:
            show(error.report)
        raise
    if as_json:
        print_json(report)
    else:
        show(report)
    return report


def run_and_report(app: Callable[..., object], arguments: list[str]) -> NoReturn:
    """Run the command line, report expected errors, and exit.

    Args:
        app: The Typer application.
        arguments: What follows the program's name.
    """
    as_json = "--json" in _options(arguments)
    try:
        code = _run(app, arguments, as_json=as_json)
    except MemoryError:
        _fail(OUT_OF_MEMORY, as_json=as_json)
    raise SystemExit(code)


def _run(app: Callable[..., object], arguments: list[str], *, as_json: bool) -> int:
    try:
        code = app(args=arguments, prog_name="albert-edge", standalone_mode=False)
        with naming(STDOUT):
            sys.stdout.flush()
    except ReportedError as reported:
        _fail(reported.error, as_json=False)
    except AlbertEdgeError as error:
        _fail(error, as_json=as_json)
    except _CommandLineError as error:
        _fail(as_usage_error(error), as_json=as_json)
    except typer.Abort:
        raise SystemExit(1) from None
    except BrokenPipeError:  # the reader of the answers ended, as `head` does
        abandon(sys.stdout)
        raise SystemExit(1) from None
    except ImportError as error:
        _fail(explain_import(error), as_json=as_json)
    except OSError as error:
        _fail(as_system_error(error), as_json=as_json)
    return code if isinstance(code, int) else 0


def as_system_error(error: OSError) -> AlbertEdgeError:
    """Convert an error of the operating system."""
    if error.filename == str(STDOUT):
        return AlbertEdgeError(
            f"Standard output cannot be written: {error.strerror or error}.",
            tip="Files that the command wrote are complete. Send its output to another place.",
        )
    if error.filename is None and not _is_in_a_folder():
        return AlbertEdgeError(
            "The current folder was removed.", tip="Change to another folder with cd."
        )
    return AlbertEdgeError(
        f"The operating system reports: {error}.", tip="Check free space, names and permissions."
    )


def _is_in_a_folder() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def as_usage_error(error: Exception) -> UsageError:
    """Convert an error of Typer about a command line that does not parse."""
    message = " ".join(getattr(error, "format_message", error.__str__)().split())
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "albert-edge"
    flags = [getattr(error, "option_name", ""), *getattr(getattr(error, "param", None), "opts", ())]
    flag = next((flag for flag in flags if flag.startswith("--") and flag in message), None)
    parts: list[str | Argument] = [message]
    if flag:
        before, _, after = message.partition(flag)
        parts = [before, Argument(flag.removeprefix("--").replace("-", "_")), after]
    return UsageError(Message(*parts), tip=f"`{command} --help` lists its arguments and options.")


def _options(arguments: list[str]) -> list[str]:
    """Return the arguments before a --, after which all are texts."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _fail(error: AlbertEdgeError, *, as_json: bool) -> NoReturn:
    if (code := exit_code_of_signal()) is not None:
        raise SystemExit(code) from None
    try:
        if as_json:
            print_json(error=error)
        sys.stdout.flush()
    except OSError:  # stdout is what failed
        abandon(sys.stdout)
    fields = error_fields(error)
    note(f"ERROR {fields['message']}", f"TIP   {fields['tip']}")
    raise SystemExit(error.exit_code) from None
