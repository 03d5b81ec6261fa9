"""Packages that are installed and broken are reported with their own error, by every command."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from support.hostile import Row, Verdict, how_many, judge
from support.installations import add_module, add_package
from support.paths import ROOT

from albert_edge.check.parity import require_transformers
from albert_edge.check.portable import require_onnx
from albert_edge.checkpoint.formats.checksum import crc32c
from albert_edge.checkpoint.formats.flax import read_flax
from albert_edge.checkpoint.formats.keras import read_keras
from albert_edge.checkpoint.formats.pickle import read_pickle
from albert_edge.checkpoint.formats.safetensors import read_safetensors
from albert_edge.checkpoint.source import find_source
from albert_edge.errors import InstallationError
from albert_edge.packages import distributions_of, import_extra
from albert_edge.records.arrow import load_pyarrow
from albert_edge.report.looks import require_matplotlib
from albert_edge.report.render import environment
from albert_edge.runtime.providers import OLDEST, load_onnxruntime
from albert_edge.steps.exporters import optimum

Report = Callable[[Row], None]


@dataclass(frozen=True)
class Fault:
    """A way in which the module `broken` can be installed.

    Attributes:
        says: What the error quotes.
        files: The files of the module.
        packages: The packages that own it, with versions.
        kind: The class of the error.
        tip: What the tip has.
    """

    says: str
    files: dict[str, str] = field(default_factory=dict)
    packages: tuple[tuple[str, str], ...] = (("NAME", "1.30.0"),)
    kind: str = "InstallationError"
    tip: str = "pip install --force-reinstall NAME"


BROKEN = "broken"


def raising(error: str) -> dict[str, str]:
    return {"__init__.py": f"raise {error}"}


TAG = f"cpython-{sys.version_info.major}{sys.version_info.minor}-x86_64-linux-gnu"
NO_DLL = "DLL load failed while importing core: The specified module could not be found."
NO_GLIBC = "/lib/libm.so.6: version `GLIBC_2.99' not found (required by core.so)"
BOTH = (("NAME", "1.30.0"), ("NAME-gpu", "1.31.0"))
KEEP_ONE = "pip uninstall -y NAME NAME-gpu && pip install NAME-gpu"
FAULTS = {
    "missing DLL": Fault(NO_DLL, raising(f"ImportError({NO_DLL!r})")),
    "wrong glibc": Fault(NO_GLIBC, raising(f"ImportError({NO_GLIBC!r})")),
    "missing shared object": Fault(
        "libx.so.9: cannot open", {"__init__.py": "import ctypes; ctypes.CDLL('libx.so.9')"}
    ),
    "not a library": Fault(
        "invalid ELF header",
        {"__init__.py": "from NAME import core", f"core.{TAG}.so": "<html>404</html>" * 50},
    ),
    "cut off": Fault(
        "file too short", {"__init__.py": "from NAME import core", f"core.{TAG}.so": "\x7fELF"}
    ),
    "another Python": Fault(
        "core",
        {"__init__.py": "from NAME.core import run", "core.cpython-36m-x86_64-linux-gnu.so": ""},
    ),
    "another numpy": Fault(
        "numpy.core.multiarray failed to import",
        raising("ImportError('numpy.core.multiarray failed to import')"),
    ),
    "numpy's ABI": Fault(
        "compiled against ABI version",
        raising("RuntimeError('module compiled against ABI version 9')"),
    ),
    "an attribute that numpy dropped": Fault(
        "has no attribute 'float_of_old'", {"__init__.py": "import numpy; numpy.float_of_old"}
    ),
    "another Python's syntax": Fault("SyntaxError: Missing", {"__init__.py": "print 'hello'"}),
    "a package without Python files": Fault("", {"core.txt": ""}),
    "its files are gone": Fault("is only partly installed"),
    "two over each other": Fault(
        "are installed over each other, and do not load: ImportError: undefined symbol",
        raising("ImportError('undefined symbol: OrtGetApiBase')"),
        BOTH,
        tip=KEEP_ONE,
    ),
    "a file of the user": Fault(
        "belongs to no installed package", raising("ImportError('odd')"), (), tip="Remove it."
    ),
    "the cause is quoted": Fault(
        "OSError: the cause",
        {
            "__init__.py": "try:\n  raise OSError('the cause')\nexcept OSError as e:\n"
            "  raise ImportError('please read this') from e"
        },
    ),
    "a part of Python is missing": Fault(
        "_not_built",
        raising(
            "ModuleNotFoundError(\"No module named '_ssl' as it was _not_built\", name='_ssl')"
        ),
    ),
    "a folder of the user": Fault("", {"core.txt": ""}, (), "MissingExtraError", "[cpu]"),
    "absent": Fault("which is not installed", {}, (), "MissingExtraError", "[cpu]"),
    "what it needs is absent": Fault(
        "needs something_else, which is not installed",
        {"__init__.py": "import something_else"},
        kind="MissingExtraError",
        tip="pip install 'albert-edge[cpu]'",
    ),
}
# Only onnxruntime itself is asked for its version.
VERSIONS = "__version__ = {!r}\ndef get_version_string(): return {!r}"
OF_ONNXRUNTIME = {
    "too old": Fault(
        "onnxruntime 1.21.1 is too old: albert-edge needs 1.22",
        {"__init__.py": VERSIONS.format("1.21.1", "1.21.1")},
        (("NAME", "1.21.1"),),
        tip="pip install --upgrade 'onnxruntime>=1.22'",
    ),
    "Python files and library of two versions": Fault(
        "of version 1.30.0, its library of 1.31.0: two packages",
        {"__init__.py": VERSIONS.format("1.30.0", "1.31.0")},
        BOTH,
        tip=KEEP_ONE,
    ),
    "empty": Fault("has no attribute '__version__'", {"__init__.py": ""}),
}


def put(fault: Fault, name: str, site: Path) -> None:
    """Install a broken package."""

    def named(text: str) -> str:
        return text.replace("NAME", name)

    add_module(site, name, {named(path): named(content) for path, content in fault.files.items()})
    for package, version in fault.packages:
        add_package(site, named(package), version, name)


def judged(
    tmp_path: Path, cases: dict[str, tuple[Fault, str, Callable[[], object]]]
) -> tuple[int, list[Any]]:
    """Load broken modules in other processes; how many cases there are, and those that fail."""

    def payload(name: str, fault: Fault, module: str, load: Callable[[], object]) -> Any:
        site = tmp_path / re.sub(r"\W", "-", name)
        put(fault, module, site)
        if module == "transformers":  # torch is asked for before, and takes seconds
            add_module(site, "torch", {"__init__.py": ""})
        return lambda: (site, module, load)

    verdicts = judge(
        lambda case: load_broken(*case),
        [(name, payload(name, *case)) for name, case in cases.items()],
        seconds=10,
    )
    wrong = [
        (verdict.name, verdict.value or verdict.detail)
        for verdict, (fault, module, _) in zip(verdicts, cases.values(), strict=True)
        if not _is_right(fault, module, verdict)
    ]
    return len(verdicts), wrong


def load_broken(site: Path, module: str, load: Callable[[], object]) -> tuple[str, str, str]:
    """Load a module from a folder; return the class of the error, its message and its tip."""
    sys.path.insert(0, str(site))
    # The real one, which this process may have loaded, and which cannot be loaded a second time.
    loaded = {name: sys.modules[name] for name in sys.modules if name.partition(".")[0] == module}
    for name in loaded:
        del sys.modules[name]
    importlib.invalidate_caches()
    try:
        load()
    except InstallationError as error:
        return type(error).__name__, str(error), error.tip
    finally:
        sys.path.remove(str(site))
        sys.modules.update(loaded)
    return "", "it loaded", ""


def _is_right(fault: Fault, module: str, verdict: Verdict) -> bool:
    if verdict.value is None:
        return False
    kind, message, tip = verdict.value
    is_told = fault.says in message and "\n" not in message
    return kind == fault.kind and is_told and fault.tip.replace("NAME", module) in tip


def test_what_is_installed_and_broken_is_reported_with_its_own_error(
    tmp_path: Path, report: Report
) -> None:
    def load() -> object:
        return import_extra(BROKEN, extra="cpu", purpose="This")

    # The real onnxruntime comes later on the path: where ours is no module, any name is as good.
    cases = {
        **{name: (fault, BROKEN, load) for name, fault in FAULTS.items()},
        **{
            name: (fault, "onnxruntime", load_onnxruntime) for name, fault in OF_ONNXRUNTIME.items()
        },
    }
    count, wrong = judged(tmp_path, cases)
    report(
        Row(
            "A package that is installed and broken is reported with its own error",
            count,
            len(wrong),
        )
    )
    assert not wrong, "\n".join(map(str, wrong))


ABSENT = ROOT / "absent"
# What asks for each package of an extra. It comes first on the path, the real one later.
USES: dict[str, Callable[[], object]] = {
    "pyarrow": lambda: load_pyarrow("This"),
    "jinja2": environment,
    "matplotlib": require_matplotlib,
    "torch": lambda: read_pickle(ABSENT),
    "h5py": lambda: read_keras(ABSENT),
    "msgpack": lambda: read_flax(ABSENT),
    "ml_dtypes": lambda: read_safetensors(ABSENT),
    "safetensors": lambda: read_safetensors(ABSENT),
    "google_crc32c": lambda: crc32c(b""),
    "onnx": lambda: require_onnx("This"),
    "onnxscript": lambda: require_onnx("This"),
    "transformers": require_transformers,
    "huggingface_hub": lambda: find_source("someone/something"),
    "optimum": optimum.require_packages,
}


def test_the_packages_of_every_extra_are_reported_alike(tmp_path: Path, report: Report) -> None:
    fault = FAULTS["not a library"]
    count, wrong = judged(tmp_path, {name: (fault, name, use) for name, use in USES.items()})
    report(Row("So are the packages of every extra", count, len(wrong)))
    assert not wrong, "\n".join(map(str, wrong))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in ("cpu", "gpu"):
        (requirement,) = map(Requirement, project["optional-dependencies"][extra])
        assert str(requirement.specifier) == f">={OLDEST}"


# --- as users meet it -----------------------------------------------------------------------

# What needs onnxruntime to do its work ends with the error; the others do the rest of theirs.
COMMANDS: dict[str, tuple[object, ...]] = {
    "predict": ("Where is the station?", "--json"),
    "verify": ("--json",),
    "doctor": ("--json",),
    "bench": ("--json",),
    "evaluate": (ROOT / "absent.csv", "--json"),
    "quantize": ("--precision", "int4", "--json"),
    "optimize": ("--json",),
}
GOES_ON = ("verify", "doctor")
SHOWN = ("not a library", "two over each other", "too old")


def run(site: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "albert_edge", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        timeout=100,
    )


def test_every_command_says_the_same(langid: Path, tmp_path: Path, report: Report) -> None:
    count = 0
    wrong: list[Any] = []
    for name in SHOWN[: how_many(1, len(SHOWN))]:
        fault = {**FAULTS, **OF_ONNXRUNTIME}[name]
        put(fault, "onnxruntime", site := tmp_path / name.replace(" ", "-"))
        said = set()
        for command in list(COMMANDS)[: how_many(3, len(COMMANDS))]:
            model = () if command == "doctor" else (langid,)
            done = run(site, command, *model, *COMMANDS[command])
            document = json.loads(done.stdout)
            if command == "doctor":
                message, tip = (document["onnxruntime"][key] for key in ("fault", "tip"))
                (finding,) = (f for f in document["findings"] if f["subject"] == "onnxruntime")
                assert (finding["found"], finding["advice"]) == (message, tip)
            elif command == "verify":
                message, tip = document["unanswered"]["model"], None
            else:
                message, tip = (document["error"][key] for key in ("message", "tip"))
            said |= {message} if tip is None else {message, tip}
            count += 1
            if done.returncode != (0 if command in GOES_ON else 4) or "Traceback" in done.stderr:
                wrong.append((name, command, done))
        if len(said) != 2 or not any(fault.says in words for words in said):
            wrong.append((name, "", said))
    report(Row("Every command and doctor say the same of a broken onnxruntime", count, len(wrong)))
    assert not wrong, "\n".join(map(str, wrong))


def test_a_package_of_the_command_line_that_raises_any_error(tmp_path: Path) -> None:
    put(FAULTS["numpy's ABI"], "typer", tmp_path / "site")
    done = run(tmp_path / "site", "doctor")
    error, tip = done.stderr.splitlines()
    assert done.returncode == 4
    assert "ERROR typer 1.30.0 is installed, but does not load: RuntimeError: module" in error
    assert tip == "TIP   pip install --force-reinstall typer"


def test_damaged_metadata_of_another_package_hide_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_package(tmp_path, "good", "1.0", "strange")
    add_package(tmp_path, "damaged", "1.0", "other")
    for path in tmp_path.glob("damaged*/*"):
        path.write_bytes(b"\xff\xfe")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert distributions_of("strange") == {"good": "1.0"}


@pytest.mark.parametrize("module", ["tokenizers", "numpy"][: how_many(1, 2)])
def test_packages_that_are_always_installed(module: str, langid: Path, tmp_path: Path) -> None:
    put(FAULTS["not a library"], module, tmp_path / "site")
    commands = ["predict", "optimize", "evaluate"][: how_many(1, 3)]
    for command in commands:
        done = run(tmp_path / "site", command, langid, *COMMANDS.get(command, ())[:1])
        error, tip = done.stderr.splitlines()
        assert done.returncode == 4
        assert f"ERROR {module} 1.30.0 is installed, but does not load: ImportError" in error
        assert tip == f"TIP   pip install --force-reinstall {module}"
