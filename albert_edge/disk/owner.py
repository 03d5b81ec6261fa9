"""Who holds something on a disk, in words that other processes can check."""

from __future__ import annotations

import errno
import itertools
import os
import socket
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Seconds without a sign of life after which an owner that cannot be looked at counts as ended.
LEASE = 600.0

_turn = itertools.count()
_held: set[str] = set()


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, and what it holds.

    Attributes:
        host: The name of the machine.
        space: The start of its kernel and the namespace of its processes; "" if there is no /proc.
        process: The id of the process.
        start: When it started, in the kernel's ticks; "" if there is no /proc.
        turn: Tells what one process holds from what it held before.
    """

    host: str
    space: str
    process: int
    start: str
    turn: int

    def __str__(self) -> str:
        return "|".join((self.host, self.space, str(self.process), self.start, str(self.turn)))

    def begin(self) -> None:
        """Take note that this process holds it."""
        _held.add(str(self))

    def end(self) -> None:
        """Take note that this process holds it no longer."""
        _held.discard(str(self))

    def lives(self, last_change: Callable[[], float], *, is_locked: bool) -> bool:
        """Return whether the process still holds it.

        Args:
            last_change: Returns when it last changed something, in seconds since the epoch.
            is_locked: Whether the lock of the operating system could be taken, which shows that
                no process of this machine has it, unless locks have no effect there.
        """
        here = new_owner()
        if (self.host, self.space) == (here.host, here.space):
            if self.process == here.process:
                return str(self) in _held
            if self.start:
                return self.start == _start(self.process)
            if not _exists(self.process):
                return False
        elif self.space and _kernel(self.space) == _kernel(here.space):  # another container
            if is_locked:
                return False
        elif self.space and self.host == here.host:  # before this machine started again
            return False
        return abs(time.time() - last_change()) < LEASE


def new_owner() -> Owner:
    """Describe this process and something it holds from now on."""
    process = os.getpid()
    return Owner(socket.gethostname(), _space(), process, _start(process), next(_turn))


def parse_owner(text: str) -> Owner | None:
    """Read what `str` of an owner wrote; None if it is something else."""
    try:
        host, space, process, start, turn = text.split("|")
        return Owner(host, space, int(process), start, int(turn))
    except ValueError:
        return None


def require_own(folder: Path, status: os.stat_result) -> None:
    """Check that no other user can change what is in a folder that was found.

    Where users share a folder such as /tmp, which keeps them from removing each other's files, one
    of them could have made it first.

    Args:
        folder: The folder.
        status: What it is.

    Raises:
        OSError: It is in such a place, and of another user or writable by others.
    """
    if not hasattr(os, "geteuid") or not folder.parent.stat().st_mode & stat.S_ISVTX:
        return
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        reason = f"others can change {folder.name}, which is to be private; remove it"
        raise OSError(errno.EPERM, reason, os.fspath(folder))


def _kernel(space: str) -> str:
    return space.partition("/")[0]


@cache
def _space() -> str:
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{kernel}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def _start(process: int) -> str:
    """Return when a process started; "" if it has ended or there is no /proc."""
    try:
        fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    is_ended = fields[0] in (b"Z", b"X")
    return "" if is_ended else fields[19].decode()


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
