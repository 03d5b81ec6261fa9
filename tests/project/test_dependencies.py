"""Every package that is imported is declared, and every declared one is imported."""

from __future__ import annotations

import ast
import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.paths import DATA, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Module -> the package that has it, where the names differ.
PACKAGES = {
    "cyclonedx": "cyclonedx-python-lib",
    "google": "protobuf",
    "mkdocs": "mkdocs-material",
    "optimum": "optimum-onnx",
    "packageurl": "packageurl-python",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
}
UNDECLARED = {
    "-typeshed": "only for type checkers",
    "pyinstaller": "runs the hooks, and nothing else imports them",
    "tqdm": "the progress bar of a notebook, used only where it is installed",
}
NOT_IMPORTED = {
    "build": "a command",
    "check-jsonschema": "a command",
    "import-linter": "a command",
    "mkdocstrings": "a plugin of mkdocs",
    "mypy": "a command",
    "onnxruntime-gpu": "the module onnxruntime",
    "pip": "a command",
    "pip-audit": "a command",
    "pytest-xdist": "a plugin of pytest",
    "ruff": "a command",
    "uv": "a command",
    "zizmor": "a command",
}
# Only these are not for a user.
FOR_DEVELOPERS = ("dev", "docs", "neighbours", "release")


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extra: str | None = None) -> set[str]:
    """Packages of an extra, or those that are always installed."""
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return {normalized(Requirement(line).name) for line in lines}


def calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", None))
            if called in names:
                yield node


def imported_modules(path: Path) -> Iterator[str]:
    """Top-level names of what a file imports, also by import_module("...")."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
    for call in calls(tree, "import_module", "importorskip", "import_extra"):
        names = (argument.value for argument in call.args if isinstance(argument, ast.Constant))
        yield from (str(name).partition(".")[0] for name in names)


def imported_packages(*folders: str) -> set[str]:
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    # Scripts that wrote data say themselves what they need, since nothing runs them again.
    paths = [path for path in paths if DATA not in path.parents]
    modules = {module for path in paths for module in imported_modules(path)}
    return {
        normalized(PACKAGES.get(module, module))
        for module in modules - {"albert_edge"} - sys.stdlib_module_names
    }


ALL = declared().union(*(declared(extra) for extra in PROJECT["optional-dependencies"]))
FOR_USERS = declared().union(
    *(declared(extra) for extra in PROJECT["optional-dependencies"] if extra not in FOR_DEVELOPERS)
)


def test_what_the_package_imports_is_declared_for_its_users() -> None:
    assert imported_packages("albert_edge") - FOR_USERS == set(UNDECLARED)


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "docs", "examples", "models", "release"])
def test_what_other_folders_import_is_declared(folder: str) -> None:
    # Scripts of one of these folders import each other; some tests import them.
    benchmarks = [ROOT / "benchmarks", ROOT / "benchmarks/training", ROOT / "release"]
    folders = [*benchmarks, *filter(Path.is_dir, (ROOT / "examples").iterdir())]
    scripts = {normalized(path.stem) for folder in folders for path in folder.iterdir()}
    assert imported_packages(folder) - ALL <= scripts | {"support", "odd-peers"}


def test_what_is_declared_is_imported() -> None:
    imported = imported_packages("albert_edge")
    assert FOR_USERS - imported == {"onnxruntime-gpu"}
    assert ALL - imported - imported_packages("tests", "docs", "release") == set(NOT_IMPORTED)


def test_frozen_programs_leave_out_what_answers_do_not_need() -> None:
    modules = {
        module
        for path in (ROOT / "albert_edge").rglob("*.py")
        for module in imported_modules(path)
        if path.parent.name != "__pyinstaller"
    }
    needed = {"numpy", "onnxruntime", "packaging", "tokenizers", "typer"}
    not_needed = modules - sys.stdlib_module_names - needed - {"albert_edge", "_typeshed"}
    hooks = ROOT / "albert_edge/__pyinstaller"
    everywhere = runpy.run_path(str(hooks / "hook-albert_edge.py"))["excludedimports"]
    bars = runpy.run_path(str(hooks / "hook-albert_edge.progress.py"))["excludedimports"]
    assert sorted([*everywhere, *bars]) == sorted(not_needed)


def test_an_error_names_the_extra_that_has_the_package() -> None:
    named = set()
    for path in (ROOT / "albert_edge").rglob("*.py"):
        for call in calls(ast.parse(path.read_text(encoding="utf-8")), "import_extra"):
            [value] = [word.value for word in call.keywords if word.arg == "extra"]
            assert isinstance(value, ast.Constant)
            modules = [node.value for node in call.args if isinstance(node, ast.Constant)]
            named |= {(str(module).partition(".")[0], str(value.value)) for module in modules}
    assert len(named) > 5
    for package, extra in named:
        assert normalized(PACKAGES.get(package, package)) in declared(extra), (package, extra)
