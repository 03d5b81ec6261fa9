"""Fresh processes in which models are built and measured, seen from their parent."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from albert_edge.benchmark.worker import Failure
from albert_edge.cleanup import child_process
from albert_edge.runtime.closable import Closable

T = TypeVar("T")

ROOT = Path(__file__).parents[2]

_PROGRAM = "from albert_edge.benchmark.worker import main; main()"


class WorkerError(Exception):
    """What was asked of a process failed there, or the process ended; the message says why."""


class Worker(Closable):
    """A fresh process that does one call after the other. Closing kills it.

    Args:
        log: A file for what it prints.
        threads: How many threads libraries that read OMP_NUM_THREADS start.
        processors: Those it is kept to; all, if there are none.
    """

    def __init__(self, log: Path, threads: int, processors: list[int]) -> None:
        self._log = log
        self.started = perf_counter()
        self._open = contextlib.ExitStack()
        with log.open("wb") as stderr:
            self._process = self._open.enter_context(
                child_process(
                    [sys.executable, "-P", "-c", _PROGRAM, *map(str, processors)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env=_environment(threads),
                )
            )

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Have the process call a function that stands at the top of a module.

        Raises:
            WorkerError: The function failed, or the process ended.
        """
        assert self._process.stdin and self._process.stdout
        try:
            pickle.dump((function, arguments), self._process.stdin)
            self._process.stdin.flush()
            answer = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            raise WorkerError(self._last_words()) from None
        if isinstance(answer, Failure):
            raise WorkerError(answer.reason)
        result: T = answer
        return result

    def _last_words(self) -> str:
        code = self._process.wait()
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"its process {how}" + (f": {lines[-1][:300]}" if lines else "")

    def close(self) -> None:
        """End the process, whatever it does."""
        self._open.close()


def _environment(threads: int) -> dict[str, str]:
    """That of this process, with its import path, and the peers kept from the network."""
    path = os.pathsep.join([str(ROOT), *(entry or os.getcwd() for entry in sys.path)])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
