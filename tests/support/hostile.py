"""Judge hostile input in processes that may crash, and count the outcomes for docs/security.md.

A case is a name and a payload. `judge` hands each payload to a function, in a forked child with
bounded time and memory, and says how that ended. `Row`s of all tests are printed as one table.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import pickle
import select
import signal
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from albert_edge.benchmark.memory import forget_peak, read_memory
from albert_edge.errors import AlbertEdgeError
from albert_edge.runtime.memory import return_freed_memory

WHOLE = os.environ.get("HOSTILE") == "whole"

Decide = Callable[[Any], object]
Cases = Sequence[tuple[str, Any]]

_MIB = 2**20 / 1e6  # MB
_ADDRESS_SPACE = 4 * 2**30  # bytes that a child may map beyond what it has at the fork
_PATIENCE = 6  # times the allowed seconds until a child is killed, since the machine may be busy
_LENGTH = struct.Struct("<I")


def how_many(subset: int, whole: int) -> int:
    """Choose a number of cases: that of the whole run (`make hostile`), or of a part of it."""
    return whole if WHOLE else subset


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a case ended.

    Attributes:
        name: The name of the case.
        outcome: "accepted"; "refused" by an AlbertEdgeError; "foreign" for any other exception;
            "signal" if the process died; "hang" or "memory" over the limit.
        detail: The message of the error, or the last words of the process.
        seconds: Processor time; time on the wall if it had to be killed.
        mib: Growth of the peak of resident memory, in MiB; NaN if the process died.
        value: What the function returned.
    """

    name: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0
    mib: float = float("nan")
    value: Any = None


def failures(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the cases that ended in any other way than accepted or refused."""
    return [verdict for verdict in verdicts if verdict.outcome not in ("accepted", "refused")]


def judge(
    decide: Decide, cases: Cases, *, seconds: float = 2.0, mib: float | None = None
) -> list[Verdict]:
    """Decide every case in a forked child, which is replaced when it dies.

    Args:
        decide: Takes a payload. It returns if the input is accepted; what it returns is pickled.
        cases: Names and payloads. A payload that can be called is made by calling it in the child.
        seconds: Processor time that a case may take.
        mib: Resident memory that a case may take, in MiB; None for no limit but that of the
            address space.
    """
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    verdicts: list[Verdict] = []
    while len(verdicts) < len(cases):
        with _Child(decide, cases[len(verdicts) :]) as child:
            for name, _ in cases[len(verdicts) :]:
                verdict = child.verdict(name, seconds)
                verdicts.append(verdict or child.last_words(name, seconds))
                if verdict is None:
                    break
    return [_bounded(verdict, seconds, mib) for verdict in verdicts]


def _bounded(verdict: Verdict, seconds: float, mib: float | None) -> Verdict:
    outcome = verdict.outcome
    if verdict.seconds > seconds:
        outcome = "hang"
    elif mib is not None and verdict.mib > mib:
        outcome = "memory"
    fields = {name: getattr(verdict, name) for name in Verdict.__slots__}
    return Verdict(**{**fields, "outcome": outcome})


class _Child:
    """A forked process that decides cases in their order."""

    def __init__(self, decide: Decide, cases: Cases) -> None:
        self._words = tempfile.TemporaryFile()  # noqa: SIM115
        reading, writing = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            os.close(reading)
            _decide_all(decide, cases, writing, self._words)
        os.close(writing)
        self._answers = open(reading, "rb", buffering=0)  # noqa: SIM115

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._process, 0)
        self._answers.close()
        self._words.close()

    def verdict(self, name: str, seconds: float) -> Verdict | None:
        """Wait for the next verdict; None if the process died, or takes far too long."""
        deadline = time.monotonic() + _PATIENCE * seconds
        content = self._receive(_LENGTH.size, deadline)
        if content is None:
            return None
        content = self._receive(_LENGTH.unpack(content)[0], deadline)
        return None if content is None else Verdict(name, **pickle.loads(content))

    def _receive(self, length: int, deadline: float) -> bytes | None:
        content = b""
        while len(content) < length:
            left = max(deadline - time.monotonic(), 0)
            if not select.select([self._answers], [], [], left)[0]:
                return None
            part = self._answers.read(length - len(content))
            if not part:
                return None
            content += part
        return content

    def last_words(self, name: str, seconds: float) -> Verdict:
        """The verdict on the case that ended the process, or that it did not end."""
        ended, status = os.waitpid(self._process, os.WNOHANG)
        if not ended:
            # It closes its end of the pipe a moment before it can be waited for.
            time.sleep(0.1)
            ended, status = os.waitpid(self._process, os.WNOHANG)
        if not ended:
            return Verdict(name, "hang", "it was killed", seconds=_PATIENCE * seconds)
        code = os.waitstatus_to_exitcode(status)
        self._words.seek(0)
        words = self._words.read()[-500:].decode(errors="replace").strip()
        return Verdict(name, "signal", f"exit code {code}: {words}")


def _decide_all(decide: Decide, cases: Cases, writing: int, words: BinaryIO) -> None:
    try:
        os.dup2(words.fileno(), 1)
        os.dup2(words.fileno(), 2)
        faulthandler.disable()  # pytest's, which writes to the terminal
        _limit_address_space()
        for name, payload in cases:
            content = _decide(decide, name, payload)
            os.write(writing, _LENGTH.pack(len(content)))
            with open(writing, "wb", buffering=0, closefd=False) as pipe:
                rest = memoryview(content)
                while rest:
                    rest = rest[pipe.write(rest) :]
    finally:
        os._exit(0)


def _decide(decide: Decide, name: str, payload: Any) -> bytes:
    if callable(payload):
        payload = payload()
    return_freed_memory()
    forget_peak()
    before, _ = read_memory()
    started = time.process_time()
    value, detail = None, ""
    try:
        value, outcome = decide(payload), "accepted"
    except AlbertEdgeError as error:
        outcome, detail = "refused", str(error)
    except BaseException as error:  # a panic of Rust is no Exception
        outcome, detail = "foreign", f"{type(error).__name__}: {error}"
    fields = {
        "outcome": outcome,
        "detail": detail[:500],
        "seconds": time.process_time() - started,
        "mib": (read_memory()[1] - before) / _MIB,
        "value": value,
    }
    return pickle.dumps(fields)


def _limit_address_space() -> None:
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + _ADDRESS_SPACE, resource.RLIM_INFINITY))


# The table.

_PROPERTY = "hostile"


@dataclass(frozen=True, slots=True)
class Row:
    """One promise of docs/security.md and what was counted.

    Attributes:
        promise: One short sentence.
        cases: How many there were.
        failures: How many broke the promise.
        worst_seconds: The slowest case, or None if time is not what matters.
        worst_mib: The most memory that a case took, in MiB, or None.
    """

    promise: str
    cases: int
    failures: int
    worst_seconds: float | None = None
    worst_mib: float | None = None

    @classmethod
    def of(cls, promise: str, verdicts: Sequence[Verdict]) -> Row:
        """Count verdicts."""
        return cls(
            promise,
            len(verdicts),
            len(failures(verdicts)),
            max(verdict.seconds for verdict in verdicts),
            max((verdict.mib for verdict in verdicts if verdict.mib == verdict.mib), default=None),
        )


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[Row], None]:
    """Adds a row to the table that is printed at the end of the run."""

    def add(row: Row) -> None:
        record_property(_PROPERTY, asdict(row))

    return add


def _rows(reports: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for outcome in ("passed", "failed"):
        for entry in reports.get(outcome, ()):
            for name, value in getattr(entry, "user_properties", ()):
                if name == _PROPERTY and getattr(entry, "when", "") == "call":
                    yield value


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the rows, and write them to the file that HOSTILE_JSON names."""
    rows = sorted(_rows(terminalreporter.stats), key=lambda row: str(row["promise"]))
    if not rows:
        return
    terminalreporter.section("promises of docs/security.md")
    for row in rows:
        cells = [f"{row['cases']:>7,} cases {row['failures']:>3} failures"]
        for key, unit in (("worst_seconds", "s"), ("worst_mib", "MiB")):
            cells.append("" if row[key] is None else f"{row[key]:.2f} {unit}")
        terminalreporter.write_line(f"{cells[0]} {cells[1]:>9} {cells[2]:>11}  {row['promise']}")
    if path := os.environ.get("HOSTILE_JSON"):
        Path(path).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
