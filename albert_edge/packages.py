"""Other people's packages: imported where they are needed, and honest about why if they are not.

A package that is not installed, one that is installed and does not load, and one that is too old
need different remedies. Whatever fails here says which of them it is, in the package's own words.
"""

from __future__ import annotations

import contextlib
import re
import sys
import traceback
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from albert_edge.errors import InstallationError, Message, MissingExtraError

# What is said where the memory that a library needs is not there.
_OUT_OF_MEMORY = ("failed to map segment", "bad_alloc", "Cannot allocate memory")
_LONGEST = 400  # characters of another package's message


def import_extra(*modules: str, extra: str, purpose: str | Message) -> Any:
    """Import modules of packages that an extra installs.

    Args:
        *modules: Such as "pyarrow"; what others import comes first, so that it is named.
        extra: The extra of albert-edge.
        purpose: What needs them, such as "Reading Parquet files".

    Returns:
        The first module.

    Raises:
        MissingExtraError: A package is not installed.
        InstallationError: A package is installed, but does not load, or only partly installed.
    """
    for name in modules:
        try:
            module = import_module(name)
        except Exception as error:  # packages that are broken raise more than ImportError
            raise explain_import(error, name, extra=extra, purpose=purpose) from error
        if _is_empty(module):
            raise _absent(name, extra, purpose)
    return sys.modules[modules[0]]


def explain_import(
    error: Exception, module: str = "", *, extra: str = "", purpose: str | Message = "albert-edge"
) -> InstallationError:
    """Convert the error of an import: the package is missing, or broken.

    Args:
        error: What the import raised.
        module: The module that was asked for, if it is known.
        extra: The extra that installs it; without one it is a package that is always installed.
        purpose: What needs it.
    """
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and missing not in sys.stdlib_module_names:
        is_asked_for = f"{module}.".startswith(f"{missing}.")
        if is_asked_for or "." not in missing:
            return _absent(missing, extra, purpose)
    return _broken(error, module or str(getattr(error, "name", None) or "albert_edge"), extra)


def distributions_of(module: str) -> dict[str, str]:
    """Return the installed packages that contain a top-level module, with their versions.

    A file elsewhere that has the name of the module, such as one of the user, belongs to none.
    """
    from importlib.metadata import distributions

    file = _file(module)
    top_level = re.compile(rf"^{re.escape(module)}([/.]|$)", re.MULTILINE)
    found = {}
    for package in distributions():
        with contextlib.suppress(Exception):  # of damaged metadata, which are another problem
            # The standard library's packages_distributions() takes ten times as long.
            texts = (package.read_text(name) for name in ("top_level.txt", "RECORD"))
            files = "\n".join(text or "" for text in texts)
            is_here = not file or Path(str(package.locate_file(""))) in Path(file).parents
            if is_here and top_level.search(files):
                found[package.name] = package.version
    return dict(sorted(found.items()))


def _file(module: str) -> str | None:
    return getattr(PathFinder.find_spec(module), "origin", None)


def how_to_repair(module: str, extra: str = "") -> str:
    """Return the command that installs the package of a top-level module again."""
    names = list(distributions_of(module))
    if len(names) > 1:
        return keep_one(names)
    if names:
        return f"pip install --force-reinstall {names[0]}"
    return f"pip install 'albert-edge[{extra}]'" if extra else "pip install albert-edge"


def keep_one(packages: list[str]) -> str:
    """Tell how to undo that packages with the same module were installed over each other."""
    return (
        f"These packages install the same module; keep one: pip uninstall -y {' '.join(packages)} "
        f"&& pip install {packages[-1]}"
    )


def too_old(module: ModuleType, oldest: str) -> InstallationError:
    """Return the error of a package that is older than albert-edge supports."""
    names = list(distributions_of(module.__name__)) or [module.__name__]
    return InstallationError(
        f"{names[-1]} {module.__version__} is too old: albert-edge needs {oldest} or later.",
        tip=keep_one(names) if len(names) > 1 else f"pip install --upgrade '{names[0]}>={oldest}'",
        where=module.__file__,
    )


def _absent(module: str, extra: str, purpose: str | Message) -> InstallationError:
    top = module.partition(".")[0]
    installed = _spell(distributions_of(top)) if top == module and not _is_blocked(top) else ""
    if installed:
        return InstallationError(
            f"{installed} is only partly installed: its module {top} is missing.",
            tip=how_to_repair(top, extra),
        )
    if extra:
        return MissingExtraError(module, extra=extra, purpose=purpose)
    return InstallationError(
        Message(purpose, f" needs {module}, which is not installed."), tip=how_to_repair(top)
    )


def _broken(error: Exception, module: str, extra: str) -> InstallationError:
    top = _culprit(error) or module.partition(".")[0]
    file = _file(top)
    installed = distributions_of(top)
    tip = how_to_repair(top, extra)
    if len(installed) > 1:
        state = f"{_spell(installed)} are installed over each other, and do not load"
    elif installed:
        state = f"{_spell(installed)} is installed, but does not load"
    else:
        state = f"{file or top} belongs to no installed package, and does not load"
        tip = f"Remove it. If {top} is needed: {tip}"
    if any(words in str(error) for words in _OUT_OF_MEMORY):
        tip = "There is not enough memory for it: close other programs, or raise the limit."
    return InstallationError(f"{state}: {_own_words(error)}", tip=tip, where=file)


def _is_blocked(module: str) -> bool:
    """Return whether the program itself forbids the import."""
    return module in sys.modules and sys.modules[module] is None


def _is_empty(module: ModuleType) -> bool:
    """Return whether only the folder is there: what an uninstallation leaves, or a user's own."""
    return getattr(module, "__file__", "") is None and hasattr(module, "__path__")


def _culprit(error: Exception) -> str:
    """Return the top-level module that was being loaded last, which others may have imported."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    loaded = [frame.f_globals for frame in frames if frame.f_code.co_name == "<module>"]
    names = [str(variables.get("__name__", "")).partition(".")[0] for variables in loaded]
    own = {"albert_edge", "__main__", ""} | sys.stdlib_module_names
    return next((name for name in reversed(names) if name not in own), "")


def _own_words(error: BaseException) -> str:
    """Return the message of an error, or of the one that it was raised from, in one line."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    words = " ".join(str(error).split())
    words = words if len(words) <= _LONGEST else f"{words[:_LONGEST]}..."
    return f"{type(error).__name__}: {words}".removesuffix(": ")


def _spell(installed: dict[str, str]) -> str:
    return " and ".join(f"{name} {version}" for name, version in installed.items())
