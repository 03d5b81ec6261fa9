"""Limit the threads of concurrent runs to the processors of this process.

Every session has its own threads. Without a limit, many sessions running at once would have many
times more threads than processors, which slows all of them down. So a run waits until there is a
processor for each of its threads; waiting runs start in order of arrival.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import deque
from collections.abc import Iterator

from albert_edge.runtime.cpus import usable_cpus


class Seats:
    """A first-come, first-served counter of processors, of which a run takes several at once.

    Attributes:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = count
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextlib.contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        """Wait for that many seats, or for all if there are fewer, and hold them."""
        wanted = min(wanted, self.count)
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


@functools.cache
def process_seats() -> Seats:
    """Return the seats of this process, one for each processor it may use."""
    return Seats(usable_cpus())
