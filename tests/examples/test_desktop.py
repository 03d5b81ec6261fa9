"""examples/desktop in front of a screen: typed into, looked at and closed, as source and frozen.

With UPDATE_SCREENSHOTS=1 the picture in the documentation is written again.
"""

from __future__ import annotations

import contextlib
import csv
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.freezing import VENV, bare_environment, freeze, frozen_bytes, frozen_modules
from support.paths import ROOT
from support.screen import Screen, needs_screen, open_screen
from support.script import wait_for

import albert_edge

pytestmark = [pytest.mark.slow, needs_screen]

EXAMPLE = ROOT / "examples/desktop"
PICTURE = ROOT / "docs/images/desktop.png"
MAX_BYTES = 130_000_000
TEXT = "Wo ist der Bahnhof?"
LINES = 100_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the program is started: a bundle, and a file of texts that takes a while."""
    folder = tmp_path_factory.mktemp("desktop")
    albert_edge.export("langid-tiny", folder / "langid")
    albert_edge.quantize(folder / "langid")
    (folder / "texts.txt").write_text("Where is the station?\nWo ist er?\n" * (LINES // 2))
    return folder


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    with open_screen() as screen:
        yield screen


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frozen where torch and the exporter are installed, none of which may get in."""
    folder = tmp_path_factory.mktemp("frozen")
    return freeze(EXAMPLE / "desktop.spec", folder, everything_installed=True)


@dataclass(frozen=True)
class Program:
    """A program that runs on a screen."""

    process: subprocess.Popen[str]
    screen: Screen

    def wait_for_answer(self, expected: str) -> None:
        """Copy the answer, as a person would, until it is the expected one."""

        def copied() -> bool:
            self.screen.press("ctrl+shift+c")
            return self.screen.clipboard() == expected

        wait_for(copied)

    def libraries(self) -> set[Path]:
        """The files that the program has mapped into its memory."""
        maps = Path(f"/proc/{self.process.pid}/maps").read_text(encoding="utf-8")
        return {Path(line.split(maxsplit=5)[5]) for line in maps.splitlines() if "/" in line}


@contextlib.contextmanager
def started(command: list[Path | str], folder: Path, screen: Screen) -> Iterator[Program]:
    process = subprocess.Popen(
        [*command, "langid"],
        cwd=folder,
        env=bare_environment(folder, DISPLAY=screen.display),
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        yield Program(process, screen)
    finally:
        process.kill()
        print(process.communicate()[1])  # shown if the test fails


# What a program shows first: the precision that is faster on this machine.
FASTEST = ("langid int8 - ALBERT", "langid fp32 - ALBERT")


def expected_answer(folder: Path, precision: str, text: str) -> str:
    """What is copied, as the Python runtime gives it."""
    with albert_edge.pipeline(model=folder / "langid", precision=precision) as classify:
        answer = classify(text, top_k=None)
    return "\n".join(f"{entry['label']}\t{entry['score']:.3f}" for entry in answer)


@pytest.mark.parametrize("kind", ["source", "frozen"])
def test_program_in_front_of_a_screen(
    kind: str, folder: Path, screen: Screen, request: pytest.FixtureRequest
) -> None:
    if kind == "frozen":
        program = request.getfixturevalue("frozen")
        command = [program / program.name]
    else:
        command = [VENV / "bin/python", EXAMPLE / "desktop.py"]
    with started(command, folder, screen) as running:
        _type_and_read(running, folder)
        _switch_the_precision(running, folder)
        _answer_a_file(running, folder)
        if kind == "frozen":
            beside = {path for path in running.libraries() if not path.is_relative_to(program)}
            assert [path for path in beside if "python" in str(path).lower()] == []
            assert any("libpython" in path.name for path in running.libraries())
        screen.press("ctrl+q")
        _, errors = running.process.communicate(timeout=20)
        assert (running.process.returncode, errors) == (0, "")


def _type_and_read(running: Program, folder: Path) -> None:
    screen = running.screen
    _, precision, *_ = screen.wait_for_title(*FASTEST).split()
    screen.type(TEXT)
    running.wait_for_answer(expected_answer(folder, precision, TEXT))
    screen.press("ctrl+slash")  # selects all
    screen.type("Where is it?")
    running.wait_for_answer(expected_answer(folder, precision, "Where is it?"))


def _switch_the_precision(running: Program, folder: Path) -> None:
    screen = running.screen
    screen.press("shift+Tab", "shift+Tab", "Down", "Up", "Return")
    screen.wait_for_title("langid fp32 - ALBERT")
    running.wait_for_answer(expected_answer(folder, "fp32", "Where is it?"))
    screen.press("Down", "Down", "Return")
    screen.wait_for_title("langid int8 - ALBERT")


def _answer_a_file(running: Program, folder: Path) -> None:
    """Start it, cancel it, and save what there is."""
    screen, saved = running.screen, folder / "answers.csv"
    saved.unlink(missing_ok=True)
    screen.press("ctrl+t")
    screen.wait_for_title("Open texts")
    screen.type("texts.txt")
    screen.press("Return")
    wait_for(lambda: "Open texts" not in screen.titles())
    time.sleep(0.3)
    screen.press("Escape", "ctrl+s")
    screen.wait_for_title("Save answers")
    screen.type("answers.csv")
    screen.press("Return")
    wait_for(saved.exists)
    with saved.open(encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    assert head == ["text", "answer", "score"]
    assert 0 < len(lines) < LINES  # it was cancelled
    with albert_edge.pipeline(model=folder / "langid") as classify:
        (english,), (german,) = classify(["Where is the station?"]), classify(["Wo ist er?"])
    expected = [english["label"], german["label"]] * LINES
    assert [answer for _, answer, _ in lines] == expected[: len(lines)]


def test_picture_shows_the_window(folder: Path, screen: Screen, frozen: Path) -> None:
    with started([frozen / frozen.name], folder, screen) as running:
        _, precision, *_ = screen.wait_for_title(*FASTEST).split()
        screen.type(TEXT)
        running.wait_for_answer(expected_answer(folder, precision, TEXT))
        picture = screen.picture()
    if os.environ.get("UPDATE_SCREENSHOTS"):
        picture.save(PICTURE, optimize=True)
    colours = picture.convert("RGB").getcolors(maxcolors=picture.width * picture.height)
    assert picture.width > 500 and picture.height > 400
    assert colours and len(colours) > 30  # letters have many shades


def test_frozen_program_is_small(frozen: Path) -> None:
    assert frozen_bytes(frozen) < MAX_BYTES


def test_frozen_program_has_only_what_it_needs(frozen: Path) -> None:
    modules = frozen_modules(frozen)
    assert {"window", "worker", "answers", "albert_edge.runtime.tasks.fill_mask"} <= modules
    tops = {name.partition(".")[0] for name in modules}
    assert {"albert_edge", "numpy", "onnxruntime", "tokenizers", "tkinter"} <= tops
    exporter = {"torch", "transformers", "optimum", "onnx", "onnxscript", "onnx_ir", "ml_dtypes"}
    command_line = {"typer", "rich", "click", "pygments", "pydantic"}
    hub = {"huggingface_hub", "hf_xet", "yaml", "requests", "fsspec", "tqdm", "ssl"}
    assert tops & (exporter | command_line | hub) == set()
