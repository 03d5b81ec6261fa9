"""End a job between two records when it is interrupted or terminated."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class Interrupts:
    """SIGINT and SIGTERM raise SystemExit, but only inside `allowed`; others wait for it.

    What is outside `allowed`, such as writing an answer, is never cut off halfway. The exit code
    is 128 and the number of the signal. Outside the main thread, signals stay as they are.
    """

    def __init__(self) -> None:
        self._code = 0
        self._allowed = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._code = 128 + number
        if self._allowed:
            raise SystemExit(self._code)

    @contextlib.contextmanager
    def allowed(self) -> Iterator[None]:
        """Let a signal end the block, also one that came before it."""
        self._allowed = True
        try:
            if self._code:
                raise SystemExit(self._code)
            yield
        finally:
            self._allowed = False
