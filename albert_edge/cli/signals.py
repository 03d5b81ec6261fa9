"""SIGINT, SIGTERM and SIGHUP end a command soon, with nothing left behind and in one line.

A handler of Python runs only when the main thread is back from whatever library it is in. Then it
raises SystemExit, and every block cleans up behind itself. If that takes too long, or a second
signal comes, a thread that waits beside the main one cleans up instead, and ends the process.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

from albert_edge.cleanup import clean_up_all, exit_code_of_signal, interrupt, stop_all

_PATIENCE = 1.0  # seconds until a command that does not end is ended
_NAMES = {
    int(getattr(signal, name)): name
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # Windows lacks the last
}
_SHOW_CURSOR = b"\x1b[?25h"  # which progress bars hide

_ending = threading.Lock()


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """End the process at a signal that comes in the block; afterwards, signals end it by default.

    The exit code is 128 and the number of the signal. A signal that was ignored before, as by
    nohup, stays ignored.
    """
    handled = [number for number in _NAMES if signal.getsignal(number) is not signal.SIG_IGN]
    try:
        for number in handled:
            signal.signal(number, _receive)
        with _watched(handled):
            yield
    except BaseException:
        if (code := exit_code_of_signal()) is not None:
            _end(code - 128)
        raise
    else:  # a library may have swallowed the SystemExit
        if (code := exit_code_of_signal()) is not None:
            _end(code - 128)
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def _receive(number: int, frame: FrameType | None) -> None:
    # Where Python cannot raise SystemExit, as in a destructor, it would print it instead.
    sys.unraisablehook = threading.excepthook = _say_nothing
    for other in _NAMES:
        if signal.getsignal(other) is _receive:
            signal.signal(other, _receive_another)
    interrupt(128 + number)


def _receive_another(number: int, frame: FrameType | None) -> None:
    """Leave the end to the thread that watches, which learns of this signal too."""


def _say_nothing(_: Any) -> None:
    pass


@contextlib.contextmanager
def _watched(handled: list[int]) -> Iterator[None]:
    """Have a thread learn of signals as soon as they come, whatever the main one does."""
    reading, writing = _channel()
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    with contextlib.suppress(RuntimeError):  # no more threads are allowed here
        threading.Thread(target=_watch, args=(reading, handled), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writing.close()  # which ends the thread


def _channel() -> tuple[Any, Any]:
    import socket  # on Windows, signals are not written to anything else

    reading, writing = socket.socketpair()
    writing.setblocking(False)
    return reading, writing


def _watch(reading: Any, handled: list[int]) -> None:
    with reading:
        while (received := reading.recv(1)) and received[0] not in handled:
            pass
        if not received:
            return
        stop_all()
        select.select([reading], [], [], _PATIENCE)
    _end(received[0])


def _end(number: int) -> NoReturn:
    """End the process without the end of the interpreter, which takes time and can print."""
    if not _ending.acquire(blocking=False):
        threading.Event().wait()  # until the other thread has ended the process
    cleaning = threading.Thread(target=_clean_up, daemon=True)
    cleaning.start()
    cleaning.join(_PATIENCE / 2)  # stdout may lead to a program that does not read
    with contextlib.suppress(OSError):
        os.write(2, _SHOW_CURSOR * os.isatty(2) + _farewell(number).encode())
    os._exit(128 + number)


def _clean_up() -> None:
    clean_up_all()
    with contextlib.suppress(Exception):
        sys.stdout.flush()


def _farewell(number: int) -> str:
    return "Interrupted.\n" if number == signal.SIGINT else f"Ended by {_NAMES[number]}.\n"
