"""The installed script as a process of its own: pipes, signals, terminals.

Tests of what a command does call `main` in their own process, since a start costs half a second.
"""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support.command_line import Outcome

SCRIPT = Path(sys.executable).with_name("albert-edge")


def environment(**changes: str) -> dict[str, str]:
    """That of a plain shell, whatever the one the tests run in asks for."""
    unwanted = {"NO_COLOR", "FORCE_COLOR", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "COLUMNS"}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "TERM": "xterm-256color", **changes}


def start(*arguments: object, **options: Any) -> Outcome:
    """Run the installed script to its end."""
    command = [str(SCRIPT), *map(str, arguments)]
    options = {"env": environment(), "timeout": 60, **options}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", **options)
    return Outcome(done.returncode, done.stdout, done.stderr)


def on_a_terminal(*arguments: object, **changes: str) -> str:
    """Run the script with a terminal for its output, and return all it wrote there."""
    ours, theirs = pty.openpty()
    command = [str(SCRIPT), *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**changes)
    ) as process:
        os.close(theirs)
        written = b""
        # Linux ends a terminal whose other side was closed with an error.
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 4096):
                written += piece
    os.close(ours)
    assert process.returncode == 0
    return written.decode()


def first_line(process: subprocess.Popen[str]) -> str:
    """The first line of stdout, or "" if none comes for a long time."""
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: lines.append(process.stdout.readline()), daemon=True)  # type: ignore[union-attr]
    reader.start()
    reader.join(5)
    return lines[0] if lines else ""


@contextlib.contextmanager
def running(*arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The script, started with pipes; killed in the end if it still runs."""
    command = [str(SCRIPT), *map(str, arguments)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process = subprocess.Popen(command, env=environment(), encoding="utf-8", **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
