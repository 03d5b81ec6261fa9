"""Locks of the operating system, which end with the process that holds them."""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]


def on_windows() -> bool:
    """Return whether locks are those of Windows, which cannot lock or open folders."""
    return fcntl is None


def lock(descriptor: int) -> bool | None:
    """Lock a file against other processes that lock it, until it is closed.

    The end of the process closes it too. Does not wait.

    Args:
        descriptor: The open file; on other systems than Windows also a folder.

    Returns:
        Whether it is locked; None if its file system has no locks, as some network file systems.
    """
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True
    import msvcrt  # Windows only

    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


def names(path: Path, descriptor: int) -> bool:
    """Return whether an open file or folder is still the one of that name.

    The process that held the lock before may have renamed or removed it meanwhile.
    """
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
