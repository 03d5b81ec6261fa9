"""SIGINT and SIGTERM at any moment of any command: a prompt end, and nothing left behind."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random

import pytest
from support.command_line import SHIPPED
from support.disturbed import Ended, run_and_signal
from support.hostile import WHOLE, Row, how_many

import albert_edge
from albert_edge.bundle.bundle import open_bundle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]

MOMENTS = how_many(1, 50)  # of each command
BOUND = 2.0  # seconds from a signal to the end
SIGNALS = (signal.SIGINT, signal.SIGTERM)
FAREWELLS = {signal.SIGINT: "Interrupted.", signal.SIGTERM: "Ended by SIGTERM."}
TEXTS = [f"{text} {number}" for number in range(400) for text in ("Where is it?", "Wo ist es?")]

# BUNDLE is a copy of one in fp32 and int8, OUT does not exist.
COMMANDS: dict[str, str] = {
    "export": "export SHIPPED OUT",
    "optimize": "optimize BUNDLE --target portable --layout unrolled",
    "quantize": "quantize BUNDLE --precision int4 --min-agreement 0.5 --min-cosine 0.5",
    "specialize": "specialize BUNDLE OUT --texts TEXTS --min-agreement 0.9",
    "predict": "predict BUNDLE Hello Bonjour --precision int8",
    "predict --input": "predict BUNDLE --input TEXTS --precision int8",
    "predict --output": "predict BUNDLE --input TEXTS --output OUT.csv --precision int8",
    "predict --resume": "predict BUNDLE --input TEXTS --output OUT.csv --precision int8 --resume",
    "evaluate": "evaluate BUNDLE LABELLED",
    "inspect": "inspect BUNDLE",
    "verify": "verify BUNDLE",
    "bench": "bench BUNDLE --shapes 1x8 --rounds 2 --json",
    "pack": "pack BUNDLE --output OUT.zip",
    "unpack": "unpack PACKED OUT",
    "doctor": "doctor",
    "report": "report BUNDLE --output OUT.html --data LABELLED",
    "models": "models",
    "demo": "demo",
}
ABOUT = 1.5  # seconds that most take, where that is not measured
LATEST = 8.0  # seconds after which no signal is sent


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read."""
    root = tmp_path_factory.mktemp("signals")
    albert_edge.export(SHIPPED, root / "bundle")
    albert_edge.quantize(root / "bundle", precision="int8")
    albert_edge.pack(root / "bundle", root / "packed.zip")
    (root / "texts.txt").write_text("\n".join(TEXTS))
    labels = ("en", "de")
    rows = [f"{text},{labels[index % 2]}" for index, text in enumerate(TEXTS[:100])]
    (root / "labelled.csv").write_text("text,label\n" + "\n".join(rows))
    return root


class Scene:
    """A fresh place for one run of a command."""

    def __init__(self, world: Path, folder: Path, command: str) -> None:
        self.folder, self.bundle, self.out = folder, folder / "bundle", folder / "out"
        shutil.copytree(world / "bundle", self.bundle)
        names = {
            "SHIPPED": SHIPPED,
            "BUNDLE": self.bundle,
            "OUT": self.out,
            "TEXTS": world / "texts.txt",
            "LABELLED": world / "labelled.csv",
            "PACKED": world / "packed.zip",
        }
        self.arguments = [
            re.sub(r"\b[A-Z]{3,}\b", lambda name: str(names[name[0]]), word)
            for word in COMMANDS[command].split(" ")
        ]

    def run(self, number: int | None = None, moment: float = 0.0) -> Ended:
        return run_and_signal(self.arguments, self.folder / "process", number, moment)

    def problems(self, complete: Ended | None, ended: Ended, number: int) -> list[str]:
        """What is wrong with the end of a command, and with its outputs."""
        found = ended.left
        if ended.was_ready and ended.code != 0:
            last = ended.err.rstrip("\n").rpartition("\n")[2]
            if ended.code != 128 + number:
                found += [f"exit code {ended.code}"]
            if last != FAREWELLS[signal.Signals(number)]:
                found += [f"stderr ends with {last!r}"]
            if re.search(r"Traceback|Exception|ERROR|\x1b", ended.err):
                found += [f"stderr: {ended.err}"]
        if ended.seconds > BOUND:
            found += [f"{ended.seconds:.2f} s"]
        if complete and not is_beginning(ended.out, complete.out, self.arguments):
            found += [f"stdout: {ended.out[-200:]!r}"]
        return found + list(self._broken_outputs())

    def _broken_outputs(self) -> Iterator[str]:
        for path in (self.bundle, self.out):
            if path.exists():
                open_bundle(path).check_all()
                yield from (
                    f"{path.name}/{each.name}" for each in path.iterdir() if each.name[0] == "."
                )
        for path in self.folder.iterdir():
            match path.suffix:
                case _ if path.name in ("bundle", "out", "process", "out.csv.part"):
                    pass
                case ".csv":
                    if len(path.read_text().splitlines()) != 1 + len(TEXTS):
                        yield f"{path.name} is not complete"
                case ".html":
                    if not path.read_text().rstrip().endswith("</html>"):
                        yield f"{path.name} is not complete"
                case ".zip":
                    open_bundle(path).check_all()
                case _:
                    yield path.name


def is_beginning(text: str, of: str, arguments: list[str]) -> bool:
    """Whether answers are whole lines of those of a run that was not disturbed."""
    return arguments[0] != "predict" or (of.startswith(text) and text[-1:] in ("", "\n"))


def undisturbed(world: Path, folder: Path, command: str) -> tuple[Ended, float]:
    """Run a command; how it ends, and how long that takes."""
    started = time.monotonic()
    ended = Scene(world, folder, command).run()
    assert ended.code == 0, ended.err
    return ended, time.monotonic() - started


def disturbed(
    world: Path, command: str, complete: Ended | None, folder: Path, when: tuple[int, float]
) -> tuple[Ended, list[str]]:
    """Signal a command once; how it ends, and what is wrong with that."""
    scene = Scene(world, folder, command)
    ended = scene.run(*when)
    problems = scene.problems(complete, ended, when[0])
    shutil.rmtree(folder)
    return ended, problems


def test_signals_end_every_command_at_once_and_leave_nothing(
    world: Path, tmp_path: Path, report: Callable[[Row], None]
) -> None:
    random = Random(16)
    wrong, slowest, count, hit = [], 0.0, 0, 0
    for command in COMMANDS:
        complete, duration = None, ABOUT
        if WHOLE:
            complete, duration = undisturbed(world, tmp_path / command / "complete", command)
        latest = min(duration, LATEST)
        moments = [(SIGNALS[case % 2], random.uniform(0, latest)) for case in range(MOMENTS)]
        folders = [tmp_path / command / str(case) for case in range(MOMENTS)]
        with ThreadPoolExecutor(2 if WHOLE else 1) as pool:
            run = partial(disturbed, world, command, complete)
            results = list(pool.map(run, folders, moments))
        for when, (ended, problems) in zip(moments, results, strict=True):
            count += 1
            hit += ended.was_ready and ended.code >= 128
            slowest = max(slowest, ended.seconds)
            if problems:
                wrong.append((command, when, problems))
    promise = "SIGINT and SIGTERM end every command at once and leave nothing behind"
    report(Row(promise, count, len(wrong), slowest))
    assert not wrong, "\n".join(map(str, wrong))
    assert hit >= count / 3, f"only {hit} of {count} signals came while a command ran"
