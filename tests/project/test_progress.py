"""`progress=True`: a bar where somebody sees it, and nothing anywhere else."""

from __future__ import annotations

import io
import sys
from types import ModuleType
from typing import Any

import pytest

from albert_edge.progress import progress_bar


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Notebook:
    """What a notebook would show: the bars, in order, and whether they were closed."""

    def __init__(self, desc: str, total: int | None, **_: Any) -> None:
        self.desc, self.total, self.n, self.closed = desc, total, 0, False
        NOTEBOOK.append(self)

    def update(self, count: int) -> None:
        self.n += count

    def close(self) -> None:
        self.closed = True


NOTEBOOK: list[Notebook] = []


def test_a_function_is_called_as_work_gets_done() -> None:
    calls: list[tuple[str, int, int | None]] = []
    with progress_bar(lambda *call: calls.append(call)) as report:
        report("reading", 1, None)
        report("answering", 1, 2)
    assert calls == [("reading", 1, None), ("answering", 1, 2)]


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(True) as report:
        report("answering", 3, 7)
    assert "Answering" in terminal.getvalue() and "3/7" in terminal.getvalue()


@pytest.mark.parametrize("missing", ["stderr", "rich"])
def test_a_frozen_program_shows_no_bar(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = None if missing == "stderr" else Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with progress_bar(True) as report:
        report("answering", 3, 7)
    assert not (terminal and terminal.getvalue())


def test_bytes_are_shown_in_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(True, unit="bytes") as report:
        report("writing weights", 12_000_000, 46_000_000)
    assert "12.0/46.0 MB" in terminal.getvalue()


@pytest.mark.parametrize("progress", [True, False])
def test_a_log_shows_nothing(progress: bool, capfd: pytest.CaptureFixture[str]) -> None:
    with progress_bar(progress) as report:
        report("answering", 1, 2)
    assert capfd.readouterr() == ("", "")


def test_no_bar_on_a_terminal_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(False) as report:
        report("answering", 1, 2)
    assert terminal.getvalue() == ""


def test_a_notebook_shows_a_bar_for_each_part_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    tqdm = ModuleType("tqdm.auto")
    tqdm.__dict__["tqdm"] = Notebook
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", tqdm)
    NOTEBOOK.clear()
    with progress_bar(True) as report:
        for done in (1, 2):
            report("reading", done, None)
        report("answering", 3, 3)
        assert [bar.closed for bar in NOTEBOOK] == [True, False]
    shown = [(bar.desc, bar.n, bar.total, bar.closed) for bar in NOTEBOOK]
    assert shown == [("Reading", 2, None, True), ("Answering", 3, 3, True)]


def test_a_notebook_without_tqdm_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with progress_bar(True) as report:
        report("answering", 1, 2)
    assert capfd.readouterr() == ("", "")
