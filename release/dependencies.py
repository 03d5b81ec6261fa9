"""What an installation consists of: versions with hashes for every platform, and their metadata."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from archives import ROOT

# Not for users; neighbours need other versions of what users have.
_FOR_DEVELOPERS = ("dev", "docs", "neighbours", "release")
RUNTIME = "base"


def extras() -> list[str]:
    """List what can be installed: without an extra, and with each extra for users."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [name for name in project["optional-dependencies"] if name not in _FOR_DEVELOPERS]
    return [RUNTIME, *names]


def pin(extra: str, out: Path) -> Path:
    """Write the versions that an installation resolves to, with the hashes of all their files.

    The file has no address, so it works with any index: `pip install --require-hashes -r FILE`.
    """
    path = out / f"requirements-{extra}.txt"
    wanted = [] if extra == RUNTIME else ["--extra", extra]
    command = ["uv", "pip", "compile", "pyproject.toml", *wanted, "--quiet"]
    command += ["--universal", "--python-version", "3.11", "--constraint", "constraints/pins.txt"]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--output-file", str(path)]
    uv = Path(sys.executable).with_name(command[0])
    subprocess.run([uv, *command[1:]], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    if "://" in path.read_text(encoding="utf-8"):
        raise SystemExit(f"{path} has an address in it.")
    return path


def describe(requirements: Path) -> list[dict[str, Any]]:
    """Resolve pinned versions for this platform, and return pip's report on each."""
    command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--no-deps"]
    command += ["--ignore-installed", "--require-hashes", "--requirement", str(requirements)]
    done = subprocess.run(
        [*command, "--report", "-"], check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    installed: list[dict[str, Any]] = json.loads(done.stdout)["install"]
    return installed
