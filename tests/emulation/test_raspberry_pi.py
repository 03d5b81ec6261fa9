"""examples/raspberry_pi on emulated CPUs of a Raspberry Pi 4 and 5, from wheel files to answers.

`make emulate` prepares the emulators and the wheels.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.pages import blocks, table
from support.paths import ROOT
from support.raspberry_pi import EMULATION, Pi, guest_memory, resident_files

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
MOST_MEMORY = 122e6  # bytes, of a process that answers with an int8 model of base size
SAME = 0.9999  # float rounding turns few of int8's integers
TEXTS = ["Where is the station?", "s'il vous plaît", "word " * 200]


@dataclass
class Outcome:
    """What one board gave; `resident` is in bytes, without the emulator.

    `mapped` says of each mapped file whether it lies where the emulated program does.
    """

    model: str
    answers: list[Any]
    resident: int
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
    """A model of base size with random weights, in int8, with ALBERT's English tokenizer.

    It applies its one layer three times instead of twelve, which takes no less memory.
    """
    checkpoint = models.make_checkpoint(folder / "checkpoint", "base", layers=3)
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
    boards["cortex-a76"].environment["PYTHONPATH"] = str(installed / packages)
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
    answers, resident, mapped = ask_service(board, installed, base)
    outputs = board.folder / "outputs.npz"
    board.run(python, FORWARD, folder, folder / "inputs.npz", outputs, "int8")
    with np.load(outputs) as arrays:
        logits = [arrays[f"int8/base/{i}/logits"] for i, _ in enumerate(token_ids())]
    settings = ["--seconds", "0", "--lengths", "8", "--threads", "1"]
    measured = board.run(python, installed / "measure.py", installed / "model", *settings)
    return Outcome(board.model, answers, resident, mapped, logits, measured)


def ask_service(
    board: Pi, installed: Path, base: Path
) -> tuple[list[Any], int, dict[str, set[bool]]]:
    """Answers of the program that the unit starts, and what is resident of it afterwards."""
    command = unit("ExecStart").replace(f"{INSTALLED}/model", str(base))
    command = command.replace(INSTALLED, str(installed))
    command = command.replace("/run/albert-edge", str(board.folder))
    with service(shlex.split(command), board.environment, board.folder) as process:
        answers = ask(board.folder / "answer.sock")
        return answers, guest_memory(process), resident_files(process)


@contextmanager
def service(
    command: Sequence[str], environment: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[str]]:
    """Start a program as systemd does, with the settings of the unit, until it is ready."""
    address = folder / "notify"
    settings = dict(word.split("=") for word in unit("Environment").split())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(address))
        notified.settimeout(300)
        environment = {**environment, **settings, "NOTIFY_SOCKET": str(address)}
        process = subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE)
        try:
            assert notified.recv(100) == b"READY=1"
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (-signal.SIGTERM, "")


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
    ours = np.array([[answer["score"], 1 - answer["score"]] for (answer,) in expected])
    theirs = np.array([[answer["score"], 1 - answer["score"]] for (answer,) in outcome.answers])
    assert cosine(ours, theirs) >= SAME
    with albert_edge.Session(base, threads=1) as session:
        ours = np.concatenate([session.run({"input_ids": ids})["logits"] for ids in token_ids()])
    assert cosine(ours, np.concatenate(outcome.logits)) >= SAME


def cosine(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> float:
    return float((left * right).sum() / np.linalg.norm(left) / np.linalg.norm(right))


@every_board
def test_the_service_takes_little_memory(cpu: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[cpu]
    # What is counted is the program, without the emulator.
    assert outcome.mapped["qemu-aarch64-static"] == {False}
    libraries = [where for name, where in outcome.mapped.items() if "onnxruntime" in name]
    assert libraries and all(where == {True} for where in libraries)
    assert 60e6 < outcome.resident < MOST_MEMORY


def test_the_peak_of_memory_on_this_machine(base: Path, folder: Path) -> None:
    """The kernel's own count, which under emulation is that of the emulator."""
    command = [sys.executable, str(EXAMPLE / "answer.py"), str(base), str(folder / "here.sock")]
    environment = {"PYTHONPATH": str(ROOT)}
    with service([*command, "--threads", "2"], environment, folder) as process:
        ask(folder / "here.sock")
        status = Path(f"/proc/{process.pid}/status").read_text()
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert int(peak) * 1024 < MOST_MEMORY


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
