"""Programs frozen by PyInstaller, and what is inside them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.paths import ROOT

VENV = ROOT / ".venv/freeze"


def freeze(source: Path, folder: Path, *, everything_installed: bool = False) -> Path:
    """Run `pyinstaller SOURCE` and return the folder that it wrote.

    Args:
        source: A program or a spec.
        folder: An empty folder to work in.
        everything_installed: Whether to freeze in the environment of the tests, which has torch,
            the exporter and much else, instead of that of the wheel.
    """
    if not (VENV / "ready").exists():
        pytest.fail(f"{VENV} is not there or not complete; `make test` makes it", pytrace=False)
    programs = Path(sys.executable).parent if everything_installed else VENV / "bin"
    done = subprocess.run(
        [programs / "pyinstaller", "--log-level", "WARN", source],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYINSTALLER_CONFIG_DIR": str(folder), "HOME": str(folder)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder / "dist" / source.stem


def bare_environment(folder: Path, **more: str) -> dict[str, str]:
    """That of a machine without Python; HOME is a folder of the test."""
    return {"PATH": "/nowhere", "HOME": str(folder), "LC_ALL": "C.UTF-8", **more}


def frozen_bytes(program: Path) -> int:
    """The bytes of all files of a frozen program."""
    return sum(path.stat().st_size for path in program.rglob("*") if not path.is_symlink())


def frozen_modules(program: Path) -> set[str]:
    """The modules of a frozen program: those inside the executable, and extensions beside it."""
    from PyInstaller.archive.readers import CArchiveReader

    archive = CArchiveReader(str(program / program.name))
    inside = set(archive.open_embedded_archive("PYZ.pyz").toc)
    return inside | {name.replace(os.sep, ".") for name in _extensions(program / "_internal")}


def _extensions(internal: Path) -> Iterator[str]:
    for path in internal.rglob("*.so"):
        name = path.relative_to(internal).as_posix()
        yield name.partition(".")[0]
