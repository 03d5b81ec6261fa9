"""How much memory this machine has, and how much of it this process may use."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from albert_edge.runtime import cgroups

_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in bytes; None where it is unknown.

    Attributes:
        total: Of the machine.
        available: What new programs can use without swapping.
        limit: What control groups allow this process; None is no limit.
        swap: Size of the swap space; read on Linux only.
    """

    total: int | None
    available: int | None
    limit: int | None
    swap: int | None = None


def describe_memory() -> Memory:
    """Describe the memory of this machine, as far as its system reports it."""
    if sys.platform == "win32":
        return _ask_windows()
    total, available, swap = read_meminfo(_MEMINFO)
    return Memory(total or _physical(), available, memory_limit(total), swap)


def read_meminfo(path: Path) -> tuple[int | None, int | None, int | None]:
    """Read total memory, available memory and swap space in bytes from Linux's /proc/meminfo."""
    try:
        text = path.read_text()
    except OSError:
        return None, None, None
    lines = re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)
    sizes = {name: int(kilobytes) * 1024 for name, kilobytes in lines}
    return sizes.get("MemTotal"), sizes.get("MemAvailable"), sizes.get("SwapTotal")


def memory_limit(
    total: int | None, proc: Path = cgroups.PROC, mount: Path = cgroups.MOUNT
) -> int | None:
    """Find the bytes that control groups allow this process, or None without a limit.

    Args:
        total: Memory of the machine. Version 1 writes "no limit" as a number above it.
        proc: The process's list of control groups.
        mount: Where they are mounted.

    Returns:
        The smallest limit of the group and its parents, from memory.max (version 2) or
        memory.limit_in_bytes (version 1).
    """
    limits = map(_limit, cgroups.group_folders("memory", proc, mount))
    least = min((limit for limit in limits if limit is not None), default=None)
    beyond = total if total is not None else 2**62
    return None if least is None or least >= beyond else least


def _limit(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            return int((folder / name).read_text())
        except (OSError, ValueError):  # "max" is no limit
            continue
    return None


def _physical() -> int | None:
    """Ask POSIX for the memory, on macOS and others without /proc."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),
    )


def _ask_windows() -> Memory:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    try:
        kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
        is_known = kernel.GlobalMemoryStatusEx(ctypes.byref(status))
    except (AttributeError, OSError):
        is_known = 0
    return Memory(status.total, status.available, None) if is_known else Memory(None, None, None)
