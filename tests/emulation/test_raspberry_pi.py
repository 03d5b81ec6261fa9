"""examples/raspberry_pi on emulated CPUs of a Raspberry Pi 4 and 5, from wheel files to answers.

`make emulate` prepares the emulators and the wheels.
"""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.pages import blocks, table
from support.paths import ROOT
from support.raspberry_pi import EMULATION, PeakMemory, Pi, resident_files

import albert_edge

sys.path.insert(0, str(ROOT / "benchmarks"))
import models

pytestmark = pytest.mark.emulation

EXAMPLE = ROOT / "examples" / "raspberry_pi"
FORWARD = ROOT / "tests" / "emulation" / "forward.py"
INSTALLED = "/opt/albert-edge"  # where the README and the unit have it
BOARDS = {
    "cortex-a72": "Raspberry Pi 4 Model B Rev 1.5",
    "cortex-a76": "Raspberry Pi 5 Model B Rev 1.0",
}
MOST_MEMORY = 120e6  # bytes, of a process that answers with an int8 model of base size
TEXTS = ["Where is the station?", "s'il vous plaît", "word " * 200]


@dataclass
class Outcome:
    """What one board gave.

    `mapped` says of each mapped file whether it lies where the emulated program does.
    """

    model: str
    answers: list[Any]
    peak: int
    mapped: dict[str, set[bool]]
    logits: list[np.ndarray[Any, Any]]
    measured: str


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A short path: the address of a socket has at most 107 bytes."""
    if not (EMULATION / "wheels").exists():
        pytest.skip("`make emulate` makes the emulated CPUs, on an x86-64 machine with apt-get")
    with tempfile.TemporaryDirectory(prefix="pi-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def base(folder: Path) -> Path:
    """A model of base size with random weights, in int8, with ALBERT's English tokenizer."""
    checkpoint = models.make_checkpoint(folder / "checkpoint", "base")
    models.use_english_vocabulary(checkpoint, folder / "scratch")
    albert_edge.export(checkpoint, folder / "base")
    models.add_precision(folder / "base", "int8", texts=TEXTS[:1])
    return folder / "base"


@pytest.fixture(scope="module")
def card(folder: Path) -> Path:
    """The folder that the README lets one copy to the card."""
    [wheel] = (ROOT / ".venv/wheel/dist").glob("albert_edge-*.whl")
    shutil.copytree(EXAMPLE, folder / "card")
    shutil.copytree(EMULATION / "wheels", folder / "card/wheels")
    shutil.copy(wheel, folder / "card/wheels")
    albert_edge.export("langid-tiny", folder / "card/model")
    albert_edge.quantize(folder / "card/model")
    return folder / "card"


@pytest.fixture(scope="module")
def boards(folder: Path) -> dict[str, Pi]:
    return {cpu: Pi(cpu, model, folder / cpu) for cpu, model in BOARDS.items()}


@pytest.fixture(scope="module")
def printed(boards: dict[str, Pi], card: Path, folder: Path) -> list[str]:
    """What the README's commands print on a Raspberry Pi 4, one by one."""
    installed = folder / "opt"
    board = boards["cortex-a72"]
    outputs, cwd = [], card.parent
    for line in commands("On the Raspberry Pi"):
        line = line.replace(INSTALLED, str(installed))
        if line.startswith("cd "):
            cwd = Path(line.removeprefix("cd "))
        elif line == "sudo python3 -m venv venv":
            board.make_venv(cwd / "venv")
        else:
            outputs.append(board.run("sh", "-c", line, cwd=cwd))
    return outputs


@pytest.fixture(scope="module")
def outcomes(
    boards: dict[str, Pi], base: Path, printed: list[str], folder: Path
) -> dict[str, Outcome]:
    """Both boards at once. The second has the packages that were installed on the first."""
    installed = folder / "opt"
    second = folder / "opt-cortex-a76"
    shutil.copytree(installed, second, ignore=shutil.ignore_patterns("venv", "wheels"))
    boards["cortex-a76"].make_venv(second / "venv")
    packages = "venv/lib/python3.11/site-packages"
    shutil.rmtree(second / packages)
    (second / packages).symlink_to(installed / packages)
    arrays = {f"base/{i}/input_ids": ids for i, ids in enumerate(token_ids())}
    np.savez(folder / "inputs.npz", allow_pickle=False, **arrays)
    folders = {"cortex-a72": installed, "cortex-a76": second}
    with ThreadPoolExecutor() as threads:
        runs = {
            cpu: threads.submit(try_board, boards[cpu], folders[cpu], base, folder)
            for cpu in BOARDS
        }
        return {cpu: run.result() for cpu, run in runs.items()}


def try_board(board: Pi, installed: Path, base: Path, folder: Path) -> Outcome:
    """Start what the unit starts, ask it, compute logits and measure."""
    python = installed / "venv/bin/python"
    answers, peak, mapped = ask_service(board, installed, base)
    outputs = board.folder / "outputs.npz"
    board.run(python, FORWARD, folder, folder / "inputs.npz", outputs, "int8")
    with np.load(outputs) as arrays:
        logits = [arrays[f"int8/base/{i}/logits"] for i, _ in enumerate(token_ids())]
    settings = ["--seconds", "0", "--lengths", "8", "--threads", "1"]
    measured = board.run(python, installed / "measure.py", installed / "model", *settings)
    return Outcome(board.model, answers, peak, mapped, logits, measured)


def ask_service(
    board: Pi, installed: Path, base: Path
) -> tuple[list[Any], int, dict[str, set[bool]]]:
    """Run the command of the unit with a larger model until it has answered; as systemd does."""
    command = unit("ExecStart")
    for shown, real in (
        (f"{INSTALLED}/model", base),
        (INSTALLED, installed),
        ("/run/albert-edge", board.folder),
    ):
        command = command.replace(shown, str(real))
    address = board.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(address))
        notified.settimeout(300)
        settings = dict(word.split("=") for word in unit("Environment").split())
        environment = {**board.environment, **settings, "NOTIFY_SOCKET": str(address)}
        process = subprocess.Popen(
            shlex.split(command), env=environment, text=True, stderr=subprocess.PIPE
        )
        memory = PeakMemory(process)
        try:
            assert notified.recv(100) == b"READY=1"
            answers = ask(board.folder / "answer.sock")
            mapped = resident_files(process)
        finally:
            peak = memory.stop()
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (-signal.SIGTERM, "")
    return answers, peak, mapped


def ask(address: Path) -> list[Any]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(300)
        client.connect(str(address))
        lines = client.makefile("rw", encoding="utf-8", newline="\n")
        answers = []
        for text in TEXTS:
            lines.write(f"{text}\n")
            lines.flush()
            answers.append(json.loads(lines.readline()))
        return answers


def commands(heading: str) -> list[str]:
    """The commands of the first console block under a heading of the README."""
    page = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    _, _, section = page.partition(f"\n## {heading}\n")
    block = section.partition("```console\n")[2].partition("```")[0]
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def unit(setting: str) -> str:
    """A setting of the unit."""
    text = (EXAMPLE / "albert-edge.service").read_text(encoding="utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith(f"{setting}="))
    return line.removeprefix(f"{setting}=")


def token_ids() -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    return [random.integers(5, 30000, (1, length)) for length in (3, 16)]


every_board = pytest.mark.parametrize("cpu", BOARDS)


# --- the tests ------------------------------------------------------------------------------


def test_five_commands_lead_to_an_answer(printed: list[str]) -> None:
    assert len(commands("On the Raspberry Pi")) == 5
    assert printed[-1].split()[0] == "de" and float(printed[-1].split()[1]) > 0.9


def test_the_wheels_are_those_the_readme_fetches() -> None:
    """The README's platforms are those the wheels of the suite were chosen with."""
    (line,) = (line for line in all_commands() if "pip download" in line)
    prepare = (ROOT / "tests/emulation/prepare.py").read_text(encoding="utf-8")
    platforms = [word for word in shlex.split(line) if "manylinux" in word]
    assert platforms and all(f'"{name}"' in prepare for name in platforms)
    assert prepare.count('"manylinux') == len(platforms)


def all_commands() -> list[str]:
    return [
        line[2:]
        for language, block in blocks(EXAMPLE / "README.md")
        if language == "console"
        for line in block.replace("\\\n", "").splitlines()
        if line.startswith("$ ")
    ]


@every_board
def test_answers_are_those_of_this_machine(
    cpu: str, outcomes: dict[str, Outcome], base: Path
) -> None:
    outcome = outcomes[cpu]
    with albert_edge.pipeline(
        "text-classification", model=base, threads=1, truncation=True, max_length=64
    ) as classify:
        expected = [classify(text) for text in TEXTS]
    for given, wanted in zip(outcome.answers, expected, strict=True):
        assert [entry["label"] for entry in given] == [entry["label"] for entry in wanted]
        assert given[0]["score"] == pytest.approx(wanted[0]["score"], abs=1e-3)
    with albert_edge.Session(base, threads=1) as session:
        ours = np.concatenate([session.run({"input_ids": ids})["logits"] for ids in token_ids()])
    theirs = np.concatenate(outcome.logits)
    cosine = (ours * theirs).sum() / np.linalg.norm(ours) / np.linalg.norm(theirs)
    assert cosine >= 0.9999


@every_board
def test_the_service_takes_little_memory(cpu: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[cpu]
    # What is counted is the program, without the emulator.
    assert outcome.mapped["qemu-aarch64-static"] == {False}
    libraries = [where for name, where in outcome.mapped.items() if "onnxruntime" in name]
    assert libraries and all(where == {True} for where in libraries)
    assert 60e6 < outcome.peak < MOST_MEMORY


@every_board
def test_the_board_is_measured(cpu: str, outcomes: dict[str, Outcome], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(outcomes[cpu].measured)
    rows = dict(table(page, "property"))
    assert rows["board"] == BOARDS[cpu]
    assert rows["processor"].startswith(cpu.title().replace("a7", "A7"))
    assert rows["before"] == rows["after"]
    assert rows["before"] == "48 °C, now: nothing, since the start: soft temperature limit"
    ((variant, threads, load, latency),) = table(page, "variant")
    assert variant.startswith("model_quantized") and threads == "1"
    assert float(load) > 0 and float(latency) > 0
