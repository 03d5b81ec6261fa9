"""Standard streams that are closed, full or without a reader: it works, or a line says why not."""

from __future__ import annotations

import os
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

# What a shell does before it starts a command, and which streams can still be read.
STREAMS = {
    "stdout is full": (">/dev/full", "stderr"),
    "stdout is closed": (">&-", "stderr"),
    "stdin is closed": ("<&-", "stdout stderr"),
    "stderr is closed": ("2>&-", "stdout"),
    "stderr is full": ("2>/dev/full", "stdout"),
    "stderr has no reader": ("2>&{GONE}", "stdout"),
    "stdout has no reader": (">&{GONE}", "stderr"),
    "all are closed": ("<&- >&- 2>&-", ""),
    "stdout and stderr are full": (">/dev/full 2>&1", ""),
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


def run(world: Path, folder: Path, command: str, redirection: str) -> Result:
    """Run a command by a shell."""
    folder.mkdir()
    names = {"BUNDLE": world / "bundle", "TEXTS": world / "texts.txt"}
    names |= {"OUT": folder / "out", "OUT.csv": folder / "out.csv"}
    words = [str(names.get(str(word), word)) for word in COMMANDS[command]]
    reading, gone = os.pipe()
    script = f'exec "$@" {redirection.format(GONE=gone)}'
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


def problems(redirection: str, result: Result, usual: Result, command: str) -> list[str]:
    """What is wrong with a result, by what it is without the redirection."""
    found = [
        f"{name} has a traceback" for name in ("out", "err") if is_trace(getattr(result, name))
    ]
    prints = usual.out != "" or command == "help"
    expected = usual.code
    if ">" in redirection.replace("2>", "").replace("<&-", "") and prints:
        expected = usual.code or 1
    if result.code != expected:
        found += [f"exit code {result.code} instead of {expected}"]
    if expected != usual.code and "err" in readable(redirection) and "GONE" not in redirection:
        lines = [line[:6] for line in result.err.splitlines()]
        is_told = "Standard output cannot be written" in result.err or command == "help"
        if lines[-2:] != ["ERROR ", "TIP   "] or not is_told:
            found += [f"stderr: {result.err!r}"]
    if "out" in readable(redirection) and command != "doctor" and result.out != usual.out:
        found += [f"stdout: {result.out!r}"]
    return found


def readable(redirection: str) -> str:
    return next(streams for shell, streams in STREAMS.values() if shell == redirection)


def is_trace(text: str) -> bool:
    return "Traceback" in text or "Exception ignored" in text


def test_streams_that_break_are_no_traceback(world: Path, tmp_path: Path, report: Report) -> None:
    wrong, count = [], 0
    for command in list(COMMANDS)[: how_many(1, len(COMMANDS))]:
        usual = run(world, tmp_path / command, command, "")
        made = contents(tmp_path / command)
        for name in list(STREAMS)[: how_many(6, len(STREAMS))]:
            redirection, _ = STREAMS[name]
            folder = tmp_path / f"{command}, {name}"
            found = problems(redirection, run(world, folder, command, redirection), usual, command)
            if contents(folder) != made:
                found += ["other files"]
            count += 1
            if found:
                wrong.append((command, name, found))
    report(
        Row(
            "Streams that are closed, full or without a reader end in no traceback",
            count,
            len(wrong),
        )
    )
    assert not wrong, "\n".join(map(str, wrong))


def test_input_that_cannot_be_read(world: Path, tmp_path: Path) -> None:
    COMMANDS["stdin"] = ("predict", "BUNDLE", "--input", "-")
    closed = run(world, tmp_path / "closed", "stdin", "<&-")
    assert closed.code == 1 and closed.out == ""
    assert [line[:6] for line in closed.err.splitlines()] == ["ERROR ", "TIP   "]
