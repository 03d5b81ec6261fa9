"""Print results to stdout, as text or JSON, and remarks to stderr.

All that commands print goes through here, which escapes control characters and bidirectional
overrides in untrusted text. Remarks and errors also lose tokens and passwords.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from albert_edge.cli.spelling import spell_command_line
from albert_edge.cli.streams import STDOUT, abandon
from albert_edge.disk.writing import naming
from albert_edge.errors import AlbertEdgeError, Argument, Message
from albert_edge.plain import plain, plain_json, without_secrets

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA_VERSION = 1


def print_json(
    report: DataclassInstance | None = None, *, error: AlbertEdgeError | None = None
) -> None:
    """Print one JSON document: the schema's version, the fields of a report, an error if any."""
    document = {
        "schema_version": SCHEMA_VERSION,
        **(dataclasses.asdict(report) if report else {}),
        **({"error": error_fields(error)} if error else {}),
    }
    text = json.dumps(_finite(document), indent=2, ensure_ascii=False, default=_text)
    with naming(STDOUT):
        print(plain_json(text))


def error_fields(error: AlbertEdgeError) -> dict[str, Any]:
    """Describe an error for a JSON document: arguments spelled as flags, no token or password."""
    fields = {
        "type": type(error).__name__,
        "message": error.message.spell(spell_command_line),
        "tip": error.remedy.spell(spell_command_line),
        "exit_code": error.exit_code,
        "option": error.option and spell_command_line(Argument(error.option)),
        "where": error.where,
    }
    return {
        name: without_secrets(value) if isinstance(value, str) else value
        for name, value in fields.items()
    }


def _text(value: Any) -> str:
    return value.spell(spell_command_line) if isinstance(value, Message) else os.fspath(value)


def _finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON lacks, by null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show(*lines: object, flush: bool = False) -> None:
    """Print lines to stdout. Control characters in them, line ends too, are printed as escapes.

    Args:
        *lines: Texts or paths.
        flush: Whether a reader may wait for them.
    """
    with naming(STDOUT):
        for line in lines:
            print(plain(str(line)), flush=flush)


def show_fields(*fields: str) -> None:
    """Print a line of fields with tabs between them to stdout, at once."""
    with naming(STDOUT):
        print(*map(plain, fields), sep="\t", flush=True)


def note(*lines: str) -> None:
    """Print remarks to stderr, as `show` prints lines, without tokens and passwords.

    Where that fails, nobody sees them.
    """
    try:
        for line in lines:
            print(plain(without_secrets(line)), file=sys.stderr)
    except OSError:
        abandon(sys.stderr)


def megabytes(count: int) -> str:
    """Format a number of bytes as kB or MB.

    >>> megabytes(46_916_637)
    '46.9 MB'
    """
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
