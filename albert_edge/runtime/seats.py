"""The processors, shared out among all runs of a process.

Every session has threads of its own. Where many sessions run at once, they would be many times
more threads than processors, all slowed down by each other; so a run waits until there is a
processor for each of its threads, first come, first served.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator


class Seats:
    """A number of seats, of which several can be taken at once.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = count
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextlib.contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        """Wait for so many seats, or for all if there are fewer, and hold them."""
        wanted = min(wanted, self._count)
        self._take(wanted)
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()

    def _take(self, wanted: int) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while self._waiting[0] is not ticket or self._free < wanted:
                    self._changed.wait()
                self._free -= wanted
            finally:  # also when Ctrl-C ends the wait
                self._waiting.remove(ticket)
                self._changed.notify_all()
