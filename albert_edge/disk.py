"""Locks between processes, and waiting for the disk.

Standard library only.
"""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock a file against other processes that lock it, until it is closed.

    The end of the process closes it too.

    Args:
        descriptor: The open file; on other systems than Windows also a folder.
        wait: Whether to wait for another process, instead of returning False. Windows waits for
            10 seconds.

    Returns:
        Whether it is locked.
    """
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True
    import msvcrt  # Windows only

    try:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


def lock_named(descriptor: int, path: Path) -> bool:
    """Lock a file without waiting, if it is still the file of that name.

    The process that held the lock before may have renamed or removed it meanwhile.

    Args:
        descriptor: The open file.
        path: Its name.

    Returns:
        Whether it is locked, and of that name.
    """
    try:
        return lock(descriptor) and os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names of the files in a folder."""
    if os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
