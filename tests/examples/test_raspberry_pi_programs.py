"""The programs and the unit of examples/raspberry_pi on this machine."""

from __future__ import annotations

import json
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.pages import blocks
from support.paths import ROOT

import albert_edge

EXAMPLE = ROOT / "examples" / "raspberry_pi"
UNIT = EXAMPLE / "albert-edge.service"
TEXTS = ["Wo ist der Bahnhof?", "", "车站在哪里?", "Where is the station? " * 50]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pi") / "langid"
    albert_edge.export("langid-tiny", folder)
    return folder


@pytest.fixture
def address() -> Iterator[Path]:
    """In a short folder: the address of a socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="pi-") as folder:
        yield Path(folder, "answer.sock")


@contextmanager
def service(bundle: Path, address: Path) -> Iterator[subprocess.Popen[str]]:
    """The program of the unit, once it has told that it is ready."""
    notify = address.with_name("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(notify))
        notified.settimeout(60)
        program = [sys.executable, str(EXAMPLE / "answer.py")]
        command = [*program, str(bundle), str(address), "--threads", "1"]
        environment = {"NOTIFY_SOCKET": str(notify), "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as run:
            try:
                assert notified.recv(100) == b"READY=1"
                yield run
            finally:
                run.terminate()
    notify.unlink()


def asks(address: Path) -> Any:
    """The function that the README shows."""
    (code,) = (block for kind, block in blocks(EXAMPLE / "README.md") if kind == "python")
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    return lambda text: names["ask"](text, str(address))


def test_the_service_answers_as_the_pipeline_does(bundle: Path, address: Path) -> None:
    with albert_edge.pipeline(
        "text-classification", model=bundle, truncation=True, max_length=64
    ) as classify:
        expected = [classify(text) for text in TEXTS]
    with service(bundle, address) as run:
        ask = asks(address)
        for text, wanted in zip(TEXTS, expected, strict=True):
            (given,) = ask(text)
            assert given["label"] == wanted[0]["label"]
            assert given["score"] == pytest.approx(wanted[0]["score"], abs=1e-5)
        assert stat.S_IMODE(address.stat().st_mode) == 0o666
        run.kill()  # and leaves its socket behind
    with service(bundle, address):
        assert asks(address)(TEXTS[0])[0]["label"] == "de"


def test_bad_lines_are_answered_with_an_error(bundle: Path, address: Path) -> None:
    with service(bundle, address), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(address))
        answers = client.makefile("r", encoding="utf-8")
        client.sendall(b"\xff\xfe\n")
        assert "utf-8" in json.loads(answers.readline())["error"]
        client.sendall(b"Wo ist der Bahnhof?\r\n")
        assert json.loads(answers.readline())[0]["label"] == "de"
        client.sendall(b"x" * 100_001)
        assert "longer than 100000 bytes" in json.loads(answers.readline())["error"]
        assert answers.readline() == ""  # hung up


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLE / program), *map(str, arguments)],
        env={"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.mark.parametrize("program", ["answer.py", "measure.py"])
def test_a_missing_bundle_is_an_error_without_traceback(program: str, tmp_path: Path) -> None:
    arguments = [tmp_path / "socket"] if program == "answer.py" else []
    done = run(program, tmp_path / "nowhere", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nowhere" in done.stderr and "Traceback" not in done.stderr


def test_the_table_has_a_row_for_each_number_of_threads(bundle: Path) -> None:
    done = run("measure.py", bundle, "--seconds", 0, "--lengths", 8, 16, "--threads", 1, 2)
    assert (done.returncode, done.stderr) == (0, "")
    properties, _, latencies = done.stdout.partition("\n\n")
    assert re.search(r"^\| peak memory of this process \| \d{2,3} MB \|$", properties, re.MULTILINE)
    head, _, *rows = latencies.splitlines()
    assert head.endswith("| threads | load, s | 8 tokens, ms (median) | 16 tokens, ms (median) |")
    cells = [row.strip("| ").split(" | ") for row in rows]
    assert [row[1] for row in cells] == ["1", "2"]
    assert all(float(ms) > 0 for row in cells for ms in row[3:]) and len(cells[0]) == 5


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    text = UNIT.read_text(encoding="utf-8")
    program = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE)
    assert program and program[1] == "/opt/albert-edge/venv/bin/python"
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace(program[1], "/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    unit.write_text(unit.read_text().replace("MemoryMax", "MemoryMost"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert "MemoryMost" in done.stderr
