"""Build the wheel and the source archive twice, in different surroundings: the bytes must agree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUMS = "SHA256SUMS"

# What must not matter: the folder, the permissions of files, the time, its zone and the language.
_SURROUNDINGS = (
    ("one", "022", {"TZ": "UTC", "LC_ALL": "C.UTF-8"}),
    ("another folder", "077", {"TZ": "Pacific/Auckland", "LC_ALL": "C"}),
)


def make_empty(out: Path) -> None:
    """Make a folder, or empty that of an earlier run, which no other folder is taken for.

    SHA256SUMS is there from the start, so that a run that failed is known as one too.
    """
    if out.exists() and not (out / SUMS).is_file() and any(out.iterdir()):
        raise SystemExit(f"{out} is not of an earlier run: it has no {SUMS}. Nothing was removed.")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / SUMS).touch()


def build(out: Path) -> list[Path]:
    """Build the newest commit into a folder.

    Returns:
        The wheel and the source archive.

    Raises:
        SystemExit: The two builds differ.
    """
    epoch = _git("log", "-1", "--format=%ct").strip()
    with tempfile.TemporaryDirectory() as scratch:
        first, second = (
            _build(Path(scratch) / name, umask, {**environment, "SOURCE_DATE_EPOCH": epoch})
            for name, umask, environment in _SURROUNDINGS
        )
        if first != second:
            names = [name for name in first | second if first.get(name) != second.get(name)]
            raise SystemExit(f"Two builds of the same commit differ: {', '.join(names)}")
    for name, content in first.items():
        (out / name).write_bytes(content)
    return [out / name for name in first]


def _build(folder: Path, umask: str, environment: dict[str, str]) -> dict[str, bytes]:
    folder.mkdir()
    archive = folder / "source.tar"
    _git("archive", "--output", str(archive), "HEAD")
    source = folder / "source"
    with tarfile.open(archive) as tar:
        tar.extractall(source, filter="data")
    for path in source.rglob("*"):
        if path.is_file():
            path.chmod(path.stat().st_mode & ~int(umask, 8))
            os.utime(path, (time.time(), time.time()))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist"]
    done = subprocess.run(
        ["sh", "-c", 'umask "$0" && exec "$@"', umask, *command],
        cwd=source,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise SystemExit(f"The build failed:\n{done.stdout}\n{done.stderr}")
    return {path.name: path.read_bytes() for path in sorted((source / "dist").iterdir())}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout
