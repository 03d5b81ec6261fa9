"""A folder that one process at a time holds, for work on what is beside it.

    .change/            held by the process that the last of the links names
        0 -> owner
        ...             files of that process

What is guaranteed where:

- A process that ends in any way, kill -9 included, holds nothing any more, and the next one removes
  what it left.
- On local disks the lock of the operating system keeps two processes apart. A symbolic link names
  the owner as well, and is made only if there is none, which network file systems guarantee too.
  So it also holds where locks are missing or have no effect. Processes of one machine see from it
  at once whether the owner lives; another machine waits until the owner has changed nothing for
  ten minutes.
- On Windows there are no such links, and only the lock of the operating system holds.

Where a file system has neither locks nor symbolic links, two processes at once are not kept apart.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from albert_edge.cleanup import cleaned_up
from albert_edge.disk.locks import lock, names, on_windows
from albert_edge.disk.owner import Owner, new_owner, parse_owner, require_own

_LOCK = "lock"  # what is locked on Windows, which cannot open folders
_ATTEMPTS = 1000  # to open a folder before its owner has removed it
_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class HeldError(Exception):
    """Another process holds the folder; the message says which, if it can be told."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A folder that this process holds.

    Attributes:
        path: The folder.
        descriptor: It, or on Windows a file in it, open and locked.
        owner: This process.
        turn: The number of the link that names it.
    """

    path: Path
    descriptor: int
    owner: Owner
    turn: int

    def require(self) -> None:
        """Check that no process of another machine has taken this one for dead.

        Raises:
            HeldError: One has.
        """
        is_taken = os.path.lexists(self.path / str(self.turn + 1))
        if is_taken or not names(_locked(self.path), self.descriptor):
            raise HeldError("This process was idle for over ten minutes, and another took over.")


@contextlib.contextmanager
def hold(path: Path) -> Iterator[Hold]:
    """Hold a folder: no other process holds it until the block ends. Then it is removed.

    Args:
        path: The folder, hidden beside what it guards. Its name is not used for anything else.

    Yields:
        The folder, empty but for the links that name its owner.

    Raises:
        HeldError: Another process holds it, or another thread of this one.
        OSError: It cannot be made, or others could change what is in it.
    """
    with cleaned_up(partial(_take, path, new_owner()), _release) as held:
        _remove_leftovers(path)
        yield held


def _take(path: Path, owner: Owner) -> Hold:
    """Become the owner of a folder."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        try:
            descriptor = _open(path)
        except FileNotFoundError:  # its owner has removed it just now
            continue
        owner.begin()
        held = None
        try:
            require_own(path, os.fstat(descriptor))
            is_locked = lock(descriptor)
            if is_locked is False:
                raise HeldError("It holds a lock.")
            turn = 0 if on_windows() else _claim(path, descriptor, owner, is_locked=bool(is_locked))
            if names(_locked(path), descriptor):  # else it is renamed already, to be removed
                held = Hold(path, descriptor, owner, turn)
                return held
        finally:
            if held is None:
                owner.end()
                os.close(descriptor)
    raise HeldError("Others take and release it all the time.")


def _open(path: Path) -> int:
    if on_windows():
        return os.open(_locked(path), os.O_RDWR | os.O_CREAT, 0o600)
    return os.open(path, _FOLDER_FLAGS)


def _locked(path: Path) -> Path:
    return path / _LOCK if on_windows() else path


def _claim(path: Path, descriptor: int, owner: Owner, *, is_locked: bool) -> int:
    """Add a link that names this owner, if none of those there lives, and return its number.

    Links are only added, and never by two processes under the same number. So of several processes
    that find an owner dead, one takes its place. The open folder cannot become another one in
    between, as a path can.
    """
    for turn in itertools.count():
        try:
            os.symlink(str(owner), str(turn), dir_fd=descriptor)
        except FileExistsError:
            if before := _living_owner(path, descriptor, turn, is_locked=is_locked):
                raise HeldError(f"It is process {before.process} on {before.host}.") from None
            continue
        except FileNotFoundError:  # removed by its owner, which `names` will find
            pass
        except OSError as error:
            if not is_locked:  # names the link only, since the folder is open
                raise OSError(error.errno, error.strerror, os.fspath(path)) from error
            # A file system without symbolic links: the lock has to do.
        return turn
    raise AssertionError("unreachable")


def _living_owner(path: Path, descriptor: int, turn: int, *, is_locked: bool) -> Owner | None:
    """Return the owner that a link names, if it lives."""
    try:
        link = os.readlink(str(turn), dir_fd=descriptor)
    except OSError:  # removed by its owner, which `names` will find, or no link: it names nobody
        return None
    owner = parse_owner(link)
    is_alive = owner and owner.lives(partial(_last_change, path), is_locked=is_locked)
    return owner if is_alive else None


def _last_change(path: Path) -> float:
    """Return when anything in a folder last changed."""
    latest = 0.0
    for place in (path, *path.rglob("*")):
        with contextlib.suppress(OSError):
            latest = max(latest, place.lstat().st_mtime)
    return latest


def _remove_leftovers(path: Path) -> None:
    """Remove what earlier owners left in the folder, and folders that they could not remove."""
    for entry in os.scandir(path):
        names_an_owner = entry.is_symlink() and entry.name.isdecimal()
        if not names_an_owner and entry.name != _LOCK:
            _remove(Path(entry.path))
    aside = re.compile(rf"{re.escape(path.name)}-[0-9a-f]{{15,}}")  # what `_release` renames it to
    with contextlib.suppress(OSError):
        for entry in os.scandir(path.parent):
            if aside.fullmatch(entry.name):
                _remove(Path(entry.path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _release(held: Hold) -> None:
    """Give the folder up and remove it; what cannot be removed, the next owner removes."""
    try:
        held.require()
        if on_windows():
            _remove_leftovers(held.path)
        else:
            # Renamed first: in a folder that loses its links one by one, two processes could both
            # become the owner.
            aside = held.path.with_name(f"{held.path.name}-{time.time_ns():x}")
            held.path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
    except (HeldError, OSError):
        pass
    finally:
        held.owner.end()
        os.close(held.descriptor)
    if on_windows():  # which removes no open file, so not that of the next owner
        with contextlib.suppress(OSError):
            _locked(held.path).unlink()
            held.path.rmdir()
