"""Whole processes measured from outside: time, processor time, peak memory, in turns."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from albert_edge.benchmark.commands import Command, python, time_commands
from albert_edge.benchmark.process import WorkerError

ALLOCATE = "import time; kept = bytearray(60_000_000); kept[::4096] = b'x' * len(kept[::4096])"
WAIT = "import time; time.sleep(0.2)"
SPIN = "import time; start = time.process_time()\nwhile time.process_time() < start + 0.2: pass"


@pytest.mark.skipif(sys.platform == "win32", reason="needs os.wait4")
def test_what_is_measured_is_what_the_process_used() -> None:
    parent = bytearray(200_000_000)  # which is not the children's
    parent[::4096] = b"x" * len(parent[::4096])
    commands = {
        "nothing": Command(python("")),
        "allocates": Command(python(ALLOCATE)),
        "waits": Command(python(WAIT)),
        "spins": Command(python(SPIN)),
    }
    results = time_commands(commands, 2, tell=lambda name: None)
    assert results["nothing"].peak_mb < 40
    assert 65 < results["allocates"].peak_mb < 90  # its 60 MB and the interpreter
    assert results["waits"].best_s >= 0.2 > results["waits"].cpu_s
    assert results["spins"].cpu_s >= 0.2
    assert all(row.median_s >= row.best_s for row in results.values())


def test_commands_take_turns_and_warm_up(tmp_path: Path) -> None:
    order: list[str] = []
    commands = {
        name: Command(
            python("import os, sys; print(os.environ['TOLD'], sys.argv[1])", name),
            prepare=lambda name=name: order.append(f"prepare {name}"),  # type: ignore[misc]
            env={"TOLD": "hello"},
            output=tmp_path / name,
        )
        for name in ("first", "second")
    }
    results = time_commands(commands, 1, warm_up=1, tell=order.append)
    assert order == ["first", "prepare first", "second", "prepare second"] * 2
    assert (tmp_path / "second").read_text() == "hello second\n"
    assert {*results} == {"first", "second"}


def test_a_failing_command_is_an_error() -> None:
    with pytest.raises(WorkerError, match="exit status 3"):
        time_commands({"x": Command(python("raise SystemExit(3)"))}, 1, tell=lambda name: None)
