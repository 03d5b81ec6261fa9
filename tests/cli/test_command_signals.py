"""How signals end a program that uses the command line's handlers, whatever it is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.disturbed import environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

SETUP = """
import ctypes, os, signal, sys, time
from functools import partial
from pathlib import Path
from albert_edge.cleanup import child_process, cleaned_up, uninterrupted
from albert_edge.cli.signals import ended_by_signals
scratch, libc = Path(sys.argv[1]), ctypes.CDLL(None)
make = lambda: scratch.touch() or scratch
with ended_by_signals(), cleaned_up(make, Path.unlink), child_process(["sleep", "60"]) as child:
    print(child.pid, flush=True)
"""
# A mutex that is locked twice: a call that no signal ends.
STUCK = "    mutex = bytes(64); libc.pthread_mutex_lock(mutex); libc.pthread_mutex_lock(mutex)"
WAITING = "    time.sleep(60)"


@contextmanager
def program(body: str, scratch: Path, *before: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a program until its child is there; the process, and the id of the child."""
    with subprocess.Popen(
        [*before, sys.executable, "-c", SETUP + body, str(scratch)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("body", "name", "farewell"),
    [
        (WAITING, "SIGINT", "Interrupted."),
        (WAITING, "SIGTERM", "Ended by SIGTERM."),
        (WAITING, "SIGHUP", "Ended by SIGHUP."),
        (STUCK, "SIGINT", "Interrupted."),
        (STUCK, "SIGTERM", "Ended by SIGTERM."),
        (
            "    while True:\n        try: time.sleep(60)\n        except SystemExit: pass",
            "SIGTERM",
            "Ended by SIGTERM.",
        ),
    ],
    ids=["waiting-int", "waiting-term", "waiting-hup", "stuck-int", "stuck-term", "stubborn"],
)
def test_it_ends_whatever_it_does(body: str, name: str, farewell: str, tmp_path: Path) -> None:
    number = getattr(signal, name)
    with program(body, tmp_path / "scratch") as (process, child):
        assert (tmp_path / "scratch").exists()
        time.sleep(0.1)
        started = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
        assert time.monotonic() - started < 2
    assert (process.returncode, err) == (128 + number, f"{farewell}\n")
    assert not (tmp_path / "scratch").exists()
    assert not lives(child)


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with program(STUCK, tmp_path / "scratch") as (process, child):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert time.monotonic() - started < 0.6
    assert not (tmp_path / "scratch").exists() and not lives(child)


def test_what_may_not_be_interrupted_is_done(tmp_path: Path) -> None:
    body = (
        "    with uninterrupted():\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        print('done', flush=True)\n"
        "    print('never', flush=True)"
    )
    with program(body, tmp_path / "scratch") as (process, _):
        assert process.wait(20) == 143
        assert process.stdout and process.stdout.read() == "done\n"


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    body = "    os.kill(os.getpid(), signal.SIGHUP); print('still here', flush=True)"
    with program(body, tmp_path / "scratch", "nohup") as (process, child):
        assert process.wait(20) == 0
        assert process.stdout and process.stdout.read() == "still here\n"
    assert not (tmp_path / "scratch").exists() and not lives(child)


def test_a_library_that_swallows_the_end_does_not_prevent_it(tmp_path: Path) -> None:
    body = (
        "    try: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except SystemExit: pass\n"
        "    print('goes on', flush=True)"
    )
    with program(body, tmp_path / "scratch") as (process, child):
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (143, "goes on\n", "Ended by SIGTERM.\n")
    assert not lives(child)


def test_an_error_of_a_library_in_place_of_the_end_is_not_reported(tmp_path: Path) -> None:
    body = (
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except SystemExit:\n"
        "        raise ImportError('initialization failed')"
    )
    with program(body, tmp_path / "scratch") as (process, _):
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (143, "Ended by SIGTERM.\n")
