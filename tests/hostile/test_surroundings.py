"""Commands where a system lacks what others have: they work, or one line says what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.command_line import SHIPPED
from support.disturbed import environment
from support.hostile import Row, how_many

import albert_edge
from albert_edge.bundle.bundle import open_bundle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="uses Linux to take things away"),
]

COMMANDS: dict[str, str] = {
    "predict": "predict BUNDLE Wörter --precision int8",
    "export": "export CHECKPOINT OUT",
    "quantize": "quantize BUNDLE --precision int4 --min-agreement 0.5 --min-cosine 0.5",
    "verify": "verify BUNDLE",
    "doctor": "doctor --json",
    "predict --output": "predict BUNDLE --input TEXTS --output OUT.csv",
    "pack": "pack BUNDLE --output OUT.albert",
    "optimize": "optimize BUNDLE --target portable --layout unrolled",
    "evaluate": "evaluate BUNDLE LABELLED",
    "inspect": "inspect BUNDLE --json",
    "bench": "bench BUNDLE --shapes 1x8 --rounds 1 --json",
    "report": "report BUNDLE --output OUT.html --data LABELLED",
    "models": "models",
}
WRITES = {"export", "quantize", "predict --output", "pack", "optimize", "report"}
CHANGES = {"quantize", "optimize"}


@dataclass(frozen=True)
class Surroundings:
    """What is different.

    Attributes:
        before: Shell commands that run before, as root where they need it.
        variables: Of the environment; None takes one away.
        name: The name of the bundle, and the beginning of other names.
        fails: The commands that cannot work here; others must.
        says: What their error says; "" for anything, and they may also work.
        needs_root: Whether only root can make it so.
    """

    before: str = ""
    variables: dict[str, str | None] | None = None
    name: bytes = b"n"
    fails: frozenset[str] = frozenset()
    says: str = ""
    needs_root: bool = False


# Root without these is like another user to files of user 1000.
NO_ROOT = "-dac_override,-dac_read_search,-fowner"


# A namespace of mounts of its own is what `unshare -m` gives the shell that runs `before`.
ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SURROUNDINGS = {
    "names that are not UTF-8": Surroundings(name=b"n\xff"),
    "no /proc and no /sys": Surroundings(
        "mount -t tmpfs none /proc && mount -t tmpfs none /sys", needs_root=True
    ),
    "another user, who may only read": Surroundings(
        "chown -R 1000 . && chmod -R a+rX,go-w .",
        fails=frozenset(WRITES),
        says="Permission denied",
        needs_root=True,
    ),
    "an ASCII locale": Surroundings(variables=dict(ASCII)),
    "no HOME": Surroundings(variables={"HOME": None, "XDG_CACHE_HOME": None}),
    "TMPDIR does not exist": Surroundings(variables={"TMPDIR": "/nonexistent"}),
    "a read-only disk, also for temporary files": Surroundings(
        "(cd / && mount --bind tmp tmp && mount -o remount,bind,ro tmp && "
        "mount -t tmpfs -o ro none var/tmp)",
        variables={"TMPDIR": "/nonexistent"},
        fails=frozenset(WRITES | {"bench"}),
        needs_root=True,
    ),
    "the current folder was removed": Surroundings("mkdir gone && cd gone && rmdir ../gone"),
    "a read-only bundle": Surroundings(
        'mount --bind "$BUNDLE" "$BUNDLE" && mount -o remount,bind,ro "$BUNDLE"',
        fails=frozenset(CHANGES),
        says="Read-only file system",
        needs_root=True,
    ),
    "umask 077": Surroundings("umask 077"),
    "no /dev/shm": Surroundings("mount -t tmpfs -o ro none /dev/shm", needs_root=True),
    "few open files": Surroundings("ulimit -n 40"),
    "names in an ASCII locale": Surroundings(variables=dict(ASCII), name="ñ".encode()),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    albert_edge.export(SHIPPED, root / "bundle")
    albert_edge.quantize(root / "bundle", precision="int8")
    (root / "texts").write_text("Where is it?\nWo ist es?\n" * 5)
    (root / "labelled").write_text("text,label\n" + "Where is it?,en\nWo ist es?,de\n" * 20)
    return root


@dataclass(frozen=True)
class Result:
    code: int
    out: bytes
    err: bytes


def run(place: Surroundings, command: str, world: Path, folder: Path) -> Result:
    """Run a command in a folder that has what it reads."""
    folder.mkdir(parents=True)
    name = os.fsdecode(place.name)
    files = {"CHECKPOINT": ".checkpoint", "BUNDLE": "", "TEXTS": ".txt", "LABELLED": ".csv"}
    paths = {word: folder / f"{name}{suffix}" for word, suffix in {**files, "OUT": ".out"}.items()}
    shutil.copytree(SHIPPED, paths["CHECKPOINT"])
    shutil.copytree(world / "bundle", paths["BUNDLE"])
    shutil.copyfile(world / "texts", paths["TEXTS"])
    shutil.copyfile(world / "labelled", paths["LABELLED"])
    words = []
    for word in COMMANDS[command].split():
        head, dot, suffix = word.partition(".")
        words.append(f"{paths[head]}{dot}{suffix}" if head in paths else word)
    variables = environment(COLUMNS="80", BUNDLE=str(paths["BUNDLE"]))
    for key, value in (place.variables or {}).items():
        variables.pop(key, None)
        variables |= {} if value is None else {key: value}
    start = 'exec "$@"'
    if place.says == "Permission denied":
        start = f'exec setpriv --bounding-set={NO_ROOT} "$@"'
    script = f"cd {str(folder)!r} && {place.before or 'true'} && {start}"
    unshare = ["unshare", "-m"] if place.needs_root else []
    done = subprocess.run(
        [*unshare, "bash", "-c", script, "bash", sys.executable, "-m", "albert_edge", *words],
        env=variables,
        capture_output=True,
        timeout=200,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def problems(place: Surroundings, command: str, result: Result) -> list[str]:
    """What is wrong with a result."""
    err = result.err.decode(errors="backslashreplace")
    found = []
    if any(word in err for word in ("Traceback", "Exception ignored", "Fatal Python")):
        found += [err[-600:]]
    if result.code == 0:
        return found + ["it works"] * (command in place.fails and bool(place.says))
    lines = [line for line in err.splitlines() if line.startswith(("ERROR ", "TIP   "))]
    if command not in place.fails or place.says not in err or len(lines) != 2:
        found += [f"exit code {result.code}: {err[-600:]}"]
    return found


def is_whole(folder: Path) -> bool:
    """Whether all bundles in a folder are complete, and nothing is hidden in or beside them."""
    for name in os.listdir(os.fsencode(folder)):
        path = folder / os.fsdecode(name)
        if (path / "albert_edge.json").exists():
            open_bundle(path).check_all()
            if any(file.startswith(".") for file in os.listdir(path)):
                return False
        if name.startswith(b"."):
            return False
    return True


def test_commands_work_or_say_what_is_missing(
    world: Path, tmp_path: Path, report: Callable[[Row], None]
) -> None:
    wrong, count = [], 0
    can_mount = subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
    for number, (name, place) in enumerate(list(SURROUNDINGS.items())[: how_many(6, 99)]):
        if place.needs_root and not can_mount:
            continue
        for command in list(COMMANDS)[: how_many(1 + bool(place.name[1:]), 99)]:
            folder = tmp_path / str(number) / command.replace(" ", "")
            found = problems(place, command, run(place, command, world, folder))
            found += [] if is_whole(folder) else ["not whole"]
            count += 1
            if found:
                wrong.append((name, command, found))
    promise = "Without /proc, UTF-8, HOME, TMPDIR or permissions, commands work or say so in a line"
    report(Row(promise, count, len(wrong)))
    assert not wrong, "\n".join(map(str, wrong))
