"""Environments with some packages only, and packages that are broken in every usual way."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

import albert_edge


def base_packages() -> set[str]:
    """Names of what albert-edge needs without any extra, and of what that needs."""
    found: set[str] = set()
    # In a source tree the metadata may be older than pyproject.toml.
    waiting = ["numpy", "packaging", "rich", "tokenizers", "typer"]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for line in importlib.metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def bare_environment(root: Path, *more: str) -> tuple[Path, Path]:
    """Make an environment with the base install and albert-edge's metadata alone.

    Args:
        root: An empty folder.
        *more: Further packages, such as "onnxruntime".

    Returns:
        Its python and its site-packages.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)
    (site,) = (root / "venv/lib").glob("python*/site-packages")
    for name in [*base_packages(), *more, "albert-edge"]:
        one = importlib.metadata.distribution(name)
        for top in {Path(str(file)).parts[0] for file in one.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists() and not top.startswith("__editable__"):
                (site / top).symlink_to(Path(str(one.locate_file(top))))
    (site / "albert_edge").unlink(missing_ok=True)
    (site / "albert_edge").symlink_to(Path(albert_edge.__file__).parent)
    return root / "venv/bin/python", site


def add_package(site: Path, name: str, version: str, module: str) -> None:
    """Add the metadata of a package that contains a module, as pip would."""
    metadata = site / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "top_level.txt").write_text(f"{module}\n")


def add_module(site: Path, name: str, files: dict[str, str]) -> None:
    """Add a module that is a folder of some files."""
    site.mkdir(exist_ok=True)
    for path, content in files.items():
        (site / name).mkdir(exist_ok=True)
        (site / name / path).write_text(content)
