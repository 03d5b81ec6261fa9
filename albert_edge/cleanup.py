"""Undo unfinished work when the process ends.

Blocks of `cleaned_up` undo what they made when they end, also by an exception such as the
SystemExit of a signal. Where a process cannot wait until its blocks end, because a library does not
return, `clean_up_all` undoes what all of them made.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from subprocess import Popen

T = TypeVar("T")


class _Thread(threading.local):
    """How many blocks of `uninterrupted` a thread is in; the exit code that waits for their end."""

    blocks = 0
    exit_code: int | None = None


_THREAD = _Thread()
_STOP: list[Callable[[], object]] = []
_UNDO: dict[object, Callable[[], object]] = {}
_EXIT_CODES: list[int] = []


@contextlib.contextmanager
def cleaned_up(make: Callable[[], T], undo: Callable[[T], object]) -> Iterator[T]:
    """Make something, and undo it when the block ends or the process has to end.

    Args:
        make: Makes it.
        undo: Removes or ends it. It is called once.

    Yields:
        What was made.
    """
    key = object()
    with uninterrupted():
        made = make()
        _UNDO[key] = partial(undo, made)
    try:
        yield made
    finally:
        with uninterrupted():
            if key in _UNDO:
                _UNDO.pop(key)()


def stopped_by_signals(stop: Callable[[], object]) -> None:
    """Call a function from another thread when a signal ends the program.

    Args:
        stop: Makes calls of a library return that would keep the main thread from ending.
    """
    _STOP.append(stop)


def stop_all() -> None:
    """Call what `stopped_by_signals` was given."""
    for stop in _STOP:
        with contextlib.suppress(Exception):
            stop()


def clean_up_all() -> None:
    """Undo what all blocks of `cleaned_up` made, the last first."""
    while _UNDO:
        _, undo = _UNDO.popitem()
        with contextlib.suppress(Exception):  # each is tried, whatever becomes of the others
            undo()


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let the signals that `interrupt` handles wait until the block ends, which should be soon."""
    _THREAD.blocks += 1
    try:
        yield
    finally:
        _THREAD.blocks -= 1
        if not _THREAD.blocks and _THREAD.exit_code is not None:
            code, _THREAD.exit_code = _THREAD.exit_code, None
            raise SystemExit(code)


def interrupt(exit_code: int) -> None:
    """End the program for a signal: now, or when the block of `uninterrupted` ends.

    Raises:
        SystemExit: With the code, outside of such blocks.
    """
    _EXIT_CODES.append(exit_code)
    if not _THREAD.blocks:
        raise SystemExit(exit_code)
    _THREAD.exit_code = exit_code


def exit_code_of_signal() -> int | None:
    """Return the exit code that `interrupt` was called with, or None if it was not.

    Then an error is not to be reported: libraries turn the SystemExit into errors of their own.
    """
    return _EXIT_CODES[0] if _EXIT_CODES else None


@contextlib.contextmanager
def child_process(command: Sequence[str], **options: Any) -> Iterator[Popen[Any]]:
    """Start a process that ends with the block at the latest, and with it those that it started.

    Ctrl-C in a terminal is for the parent only.

    Args:
        command: The program with its arguments.
        **options: Of subprocess.Popen.
    """
    import subprocess

    start = partial(subprocess.Popen, command, start_new_session=True, **options)
    with cleaned_up(start, _kill) as process:
        yield process


def _kill(process: Popen[Any]) -> None:
    if process.returncode is None and hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with contextlib.suppress(OSError):
                pipe.close()
