"""Files that are no regular ones, in the place of one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def a_pipe(path: Path) -> None:
    """A pipe that nobody writes to: opening it waits for ever."""
    os.mkfifo(path)


def a_device(path: Path) -> None:
    """A device that never ends."""
    path.symlink_to("/dev/zero")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


SPECIAL: dict[str, Callable[[Path], None]] = {
    "pipe": a_pipe,
    "device": a_device,
    "folder": a_folder,
    "link to itself": a_link_to_itself,
}


def replace_file(path: Path, kind: str) -> None:
    """Put a special file in the place of whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    SPECIAL[kind](path)
