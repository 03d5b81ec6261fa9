"""Hooks for PyInstaller: plain `pyinstaller program.py` freezes a program that uses albert_edge.

PyInstaller asks `hook_dirs`, an entry point of the group `pyinstaller40`, for the folder, and runs
`hook-MODULE.py` when a program imports that module. A hook's `excludedimports` leaves out what this
module imports; where the program imports the same itself, it stays in.
"""

from __future__ import annotations

from pathlib import Path


def hook_dirs() -> list[str]:
    """Return the folders with hooks."""
    return [str(Path(__file__).parent)]
