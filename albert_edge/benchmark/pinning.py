"""Which processors a measured process is kept to, so that all have the same ones."""

from __future__ import annotations

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")


def choose_processors(count: int, cpus: Path = _CPUS) -> list[int]:
    """Some of the processors this process may use, on as many cores as there are.

    Args:
        count: How many.
        cpus: Where Linux describes them.

    Returns:
        Their numbers, or none where a process cannot be kept to processors (anywhere but Linux).
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    usable = sorted(os.sched_getaffinity(0), key=lambda cpu: (_twins_before(cpus, cpu), cpu))
    return sorted(usable[:count])


def _twins_before(cpus: Path, cpu: int) -> int:
    """How many processors of lower number share the core of one; 0 where it is unknown."""
    try:
        text = (cpus / f"cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return 0
    before = 0
    for part in text.strip().split(","):  # such as "0,4" or "0-1"
        first, _, last = part.partition("-")
        before += sum(twin < cpu for twin in range(int(first), int(last or first) + 1))
    return before
