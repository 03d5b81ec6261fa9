"""Commands as real processes that are signalled at any moment, and what they leave behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.paths import ROOT

_MARK = "ALBERT_EDGE_TEST_PROCESS"


def environment(**more: str) -> dict[str, str]:
    """That of this process, with the package of this source tree."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


@dataclass(frozen=True)
class Ended:
    """How a process ended that was signalled.

    Attributes:
        code: Its exit code as a shell sees it, 128 + N if signal N killed it.
        seconds: From the signal to its end.
        was_ready: Whether it handled signals when it was signalled.
        out: What it had printed.
        err: Its remarks.
        left: What was alive or in the folder for temporary files when it had ended.
    """

    code: int
    seconds: float
    was_ready: bool
    out: str
    err: str
    left: list[str] = field(default_factory=list)


def run_and_signal(
    arguments: Sequence[object], folder: Path, number: int | None, moment: float = 0.0
) -> Ended:
    """Run a command, and send it a signal.

    Args:
        arguments: Of albert-edge.
        folder: An empty folder for temporary files and what it prints.
        number: The signal, or None to let it run. SIGINT is sent to all of its process group, as a
            terminal does.
        moment: Seconds after its start.
    """
    mark = uuid.uuid4().hex
    scratch = folder / "tmp"
    scratch.mkdir(parents=True)
    out, err = folder / "out", folder / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "albert_edge", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environment(TMPDIR=str(scratch), **{_MARK: mark}),
            start_new_session=True,
        )
        was_ready = False
        if number is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moment)
            was_ready = _handles_signals(process.pid)
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        started = time.monotonic()
        code = process.wait(120)
        seconds = time.monotonic() - started
    left = [f"process {name}" for name in _marked(mark)]
    left += [f"temporary {path.name}" for path in scratch.iterdir()]
    return Ended(
        code if code >= 0 else 128 - code,
        seconds,
        was_ready,
        out.read_text(encoding="utf-8"),
        err.read_text(encoding="utf-8"),
        left,
    )


def _handles_signals(process: int) -> bool:
    """Return whether a process has a handler for SIGTERM, which Python itself leaves alone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def _marked(mark: str) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes():
                yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:100]
