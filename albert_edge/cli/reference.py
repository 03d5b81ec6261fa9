"""Render the reference page of the command line: `python -m albert_edge.cli.reference`."""

from __future__ import annotations

import inspect
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer

from albert_edge.cli.commands import app

_HEAD = """\
# Command line

This page is generated from the commands; `albert-edge COMMAND --help` shows the same.

Answers go to stdout, everything else to stderr. With `--json` a command prints one JSON document
with a `schema_version`, also where it fails: its field `error` then has `type`, `message`, `tip`,
`exit_code`, `option` and `where`. `albert-edge --install-completion` sets up completion in your
shell, and `NO_COLOR` is respected.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed |
| 2 | invalid arguments or options |
| 3 | refused by the quality gate of `quantize`, or by a comparison |
| 4 | an extra or a device is missing, or a package is broken |
| 5 | the source cannot be reached |
| 129, 130, 143 | ended by SIGHUP, SIGINT (Ctrl-C) or SIGTERM |

Signals end every command within two seconds, a second one at once. Processes that it started end
with it, temporary files are removed, and files and bundles are as before or complete. Signals that
were ignored when it started, as by `nohup`, stay ignored.
"""


def render_reference() -> str:
    """Render the page with a section for each command, in the order of `albert-edge --help`."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    functions = [info.callback for info in app.registered_commands]
    sections = map(_section, commands, commands.values(), functions)
    return "\n".join([_HEAD, *sections])


def _section(name: str, command: Any, function: Any) -> str:
    hints = get_type_hints(function)
    arguments = [part for part in command.params if part.param_type_name == "argument"]
    usage = " ".join([f"albert-edge {name}", *map(_placeholder, arguments), "[OPTIONS]"])
    rows = [
        f"| {_names(part)} | {_default(part)} | {_help(part, hints[part.name])} |"
        for part in command.params
    ]
    lines = [f"## {name}", "", inspect.cleandoc(command.help), "", "```text", usage, "```", ""]
    return "\n".join([*lines, "| name | default | meaning |", "| --- | --- | --- |", *rows, ""])


def _placeholder(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _names(part: Any) -> str:
    if part.param_type_name == "argument":
        return f"`{_placeholder(part)}`"
    return ", ".join(f"`{flag}`" for flag in (*part.opts, *part.secondary_opts))


def _default(part: Any) -> str:
    if part.required:
        return "required"
    value = part.default
    return "" if value is None or isinstance(value, bool) else f"`{value}`"


def _help(part: Any, hint: Any) -> str:
    """Join the help and the choices, if the help does not name them all."""
    choices = [choice for choice in _choices(hint) if choice not in part.help]
    named = f" One of {', '.join(f'`{choice}`' for choice in _choices(hint))}." if choices else ""
    return f"{part.help}{named}".replace("|", "\\|")


def _choices(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [choice for inner in get_args(hint) for choice in _choices(inner)]


if __name__ == "__main__":
    print(render_reference(), end="")
