"""Which files the paths and patterns of a caller name."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from albert_edge.errors import UsageError

STDIN = Path("-")


def expand(paths: Sequence[Path | str]) -> tuple[Path, ...]:
    """Return the files that paths and patterns name, each once.

    Args:
        paths: Paths and patterns such as "data/*.csv" or "data/**/*.csv", in the order of the
            answers; the files of a pattern are sorted by name. "-" is stdin.

    Raises:
        UsageError: A pattern matches no file, or stdin is read beside files.
    """
    files: dict[Path, None] = {}
    for path in paths:
        name = os.fspath(path)
        if name == "-" or os.path.lexists(name) or not glob.has_magic(name):
            files[Path(name)] = None
            continue
        matches = sorted(filter(os.path.isfile, glob.glob(name, recursive=True)))
        if not matches:
            raise UsageError(f"{name} matches no file.", tip="Check the pattern and the folder.")
        files |= dict.fromkeys(map(Path, matches))
    if STDIN in files and len(files) > 1:
        raise UsageError("stdin is read beside files.", tip="Name files only, or - only.")
    return tuple(files)


def cannot_open(path: Path, error: OSError) -> UsageError:
    """Build the error about a file that cannot be opened."""
    if path.is_dir():
        return UsageError(
            f"{path} is a folder.", tip=f"Name its files, such as '{path / '*.csv'}'."
        )
    return UsageError(
        f"{path} cannot be opened: {error.strerror}.", tip="Check its name and permissions."
    )
