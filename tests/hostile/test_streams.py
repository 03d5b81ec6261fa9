"""Standard streams that are closed, full or without a reader: it works, or a line says why not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.command_line import SHIPPED, contents
from support.disturbed import environment
from support.hostile import Row, how_many

import albert_edge

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")

Report = Callable[[Row], None]


@dataclass(frozen=True)
class Streams:
    """What a shell does with the streams of a command.

    Attributes:
        shell: The redirection; GONE is the number of a pipe whose reader has left.
        readable: The streams that can still be read here.
        keeps_answers: Whether stdout works.
        tells: Whether stderr has to say that it does not.
    """

    shell: str
    readable: tuple[str, ...]
    keeps_answers: bool = True
    tells: bool = False


STREAMS = {
    "stdout is full": Streams(">/dev/full", ("err",), keeps_answers=False, tells=True),
    "stdout is closed": Streams(">&-", ("err",), keeps_answers=False, tells=True),
    "stdin is closed": Streams("<&-", ("out", "err")),
    "stderr is closed": Streams("2>&-", ("out",)),
    "stderr is full": Streams("2>/dev/full", ("out",)),
    "stderr has no reader": Streams("2>&GONE", ("out",)),
    "stdout has no reader": Streams(">&GONE", ("err",), keeps_answers=False),
    "all are closed": Streams("<&- >&- 2>&-", (), keeps_answers=False),
    "stdout and stderr are full": Streams(">/dev/full 2>&1", (), keeps_answers=False),
}
COMMANDS: dict[str, tuple[object, ...]] = {
    "predict": ("predict", "BUNDLE", "Where is the station?"),
    "export": ("export", SHIPPED, "OUT"),
    "models": ("models",),
    "inspect": ("inspect", "BUNDLE", "--json"),
    "an error": ("inspect", "ABSENT"),
    "an error as JSON": ("inspect", "ABSENT", "--json"),
    "an unknown option": ("predict", "--unknown"),
    "help": ("--help",),
    "predict --input": ("predict", "BUNDLE", "--input", "TEXTS"),
    "predict --output": ("predict", "BUNDLE", "--input", "TEXTS", "--output", "OUT.csv"),
    "doctor": ("doctor",),
}


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("streams")
    albert_edge.export(SHIPPED, root / "bundle")
    (root / "texts.txt").write_text("Where is it?\nWo ist es?\n" * 5)
    return root


def run(world: Path, folder: Path, command: tuple[object, ...], redirection: str) -> Result:
    """Run a command by a shell."""
    folder.mkdir()
    names = {"BUNDLE": world / "bundle", "TEXTS": world / "texts.txt"}
    names |= {"OUT": folder / "out", "OUT.csv": folder / "out.csv"}
    words = [str(names.get(str(word), word)) for word in command]
    reading, gone = os.pipe()
    script = f'exec "$@" {redirection.replace("GONE", str(gone))}'
    os.close(reading)
    try:
        done = subprocess.run(
            ["bash", "-c", script, "bash", sys.executable, "-m", "albert_edge", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env=environment(COLUMNS="80"),
            cwd=folder,
            pass_fds=[gone],
            timeout=100,
        )
    finally:
        os.close(gone)
    return Result(done.returncode, done.stdout.replace(str(folder), "FOLDER"), done.stderr)


def problems(streams: Streams, result: Result, usual: Result, command: str) -> list[str]:
    """What is wrong with a result, by what it is with streams that work."""
    found = []
    if re.search("Traceback|Exception ignored", result.out + result.err):
        found += ["a traceback"]
    prints = bool(usual.out)
    expected = usual.code if streams.keeps_answers or not prints else usual.code or 1
    if result.code != expected:
        found += [f"exit code {result.code} instead of {expected}"]
    if streams.tells and expected != usual.code:
        lines = [line[:6] for line in result.err.splitlines()]
        is_named = "Standard output cannot be written" in result.err
        if lines[-2:] != ["ERROR ", "TIP   "] or not (is_named or command == "help"):
            found += [f"stderr: {result.err!r}"]
    if "out" in streams.readable and command != "doctor" and result.out != usual.out:
        found += [f"stdout: {result.out!r}"]
    return found


def test_streams_that_break_are_no_traceback(world: Path, tmp_path: Path, report: Report) -> None:
    wrong, count = [], 0
    for command in list(COMMANDS)[: how_many(1, len(COMMANDS))]:
        usual = run(world, tmp_path / command, COMMANDS[command], "")
        made = contents(tmp_path / command)
        for name, streams in list(STREAMS.items())[: how_many(6, len(STREAMS))]:
            folder = tmp_path / f"{command}, {name}"
            result = run(world, folder, COMMANDS[command], streams.shell)
            found = problems(streams, result, usual, command)
            found += ["other files"] * (contents(folder) != made)
            count += 1
            if found:
                wrong.append((command, name, found))
    promise = "Streams that are closed, full or without a reader end in no traceback"
    report(Row(promise, count, len(wrong)))
    assert not wrong, "\n".join(map(str, wrong))


def test_input_that_cannot_be_read(world: Path, tmp_path: Path) -> None:
    closed = run(world, tmp_path / "closed", ("predict", "BUNDLE", "--input", "-"), "<&-")
    assert closed.code == 1 and closed.out == ""
    assert [line[:6] for line in closed.err.splitlines()] == ["ERROR ", "TIP   "]
