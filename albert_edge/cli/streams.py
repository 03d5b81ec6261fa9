"""Standard streams: those that were closed, those that break, and the encoding of the others."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import IO

STDOUT = Path("standard output")  # what errors call it


def prepare_streams() -> None:
    """Make the standard streams usable, before anything else opens a file.

    A stream that was closed is an open one of which every use fails, and not None. Else the next
    file to be opened would take its number, and receive what libraries print.
    """
    closed = {"stdin": os.O_WRONLY, "stdout": os.O_RDONLY, "stderr": os.O_WRONLY}
    for name, flags in closed.items():
        if getattr(sys, name) is None:  # remarks may get lost, but input and answers may not
            descriptor = os.open(os.devnull, flags)
            os.set_inheritable(descriptor, True)
            mode = "r" if name == "stdin" else "w"
            stream = os.fdopen(descriptor, mode, encoding="utf-8", closefd=False)
            setattr(sys, name, stream)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Texts are Unicode, which the terminal's encoding may lack.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    warnings.formatwarning = _describe_warning


def _describe_warning(message: Warning | str, *_: object, **__: object) -> str:
    from albert_edge.plain import plain

    return plain(f"WARNING: {message}") + "\n"


def abandon(stream: IO[str]) -> None:
    """Drop what could not be written, or Python tries again when it exits, and fails."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
