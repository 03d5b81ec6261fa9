"""Run a command in a forked process whose system calls fail, or that is killed at one of them.

The process asks the kernel (seccomp, user notification) to hold every call that changes the disk
until its parent decides: let it happen, let it fail, or kill the process. So it does not matter
which library makes the call, and nothing needs to be compiled. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import platform
import re
import select
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Where each call has its path or its descriptor: the number of the argument, and of that with the
# descriptor of a folder to which the path is relative.
_BY_PATH = {
    "open": (0, None),
    "creat": (0, None),
    "rename": (1, None),
    "mkdir": (0, None),
    "rmdir": (0, None),
    "link": (1, None),
    "unlink": (0, None),
    "symlink": (1, None),
    "truncate": (0, None),
    "openat": (1, 0),
    "mkdirat": (1, 0),
    "unlinkat": (1, 0),
    "renameat": (3, 2),
    "renameat2": (3, 2),
    "linkat": (3, 2),
    "symlinkat": (2, 1),
}
_BY_DESCRIPTOR = {
    **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile"), 0),
    **dict.fromkeys(("fsync", "fdatasync", "ftruncate", "fallocate"), 0),
    "copy_file_range": 2,
}
_X86 = {
    **{"write": 1, "open": 2, "pwrite64": 18, "writev": 20, "sendfile": 40, "fsync": 74},
    **{"fdatasync": 75, "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84},
    **{"creat": 85, "link": 86, "unlink": 87, "symlink": 88, "openat": 257, "mkdirat": 258},
    **{"unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "fallocate": 285},
    **{"pwritev": 296, "renameat2": 316, "copy_file_range": 326, "pwritev2": 328},
}
_ARM = {
    **{"write": 64, "writev": 66, "pwrite64": 68, "pwritev": 70, "sendfile": 71, "fsync": 82},
    **{"fdatasync": 83, "truncate": 45, "ftruncate": 46, "fallocate": 47, "openat": 56},
    **{"mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38},
    **{"renameat2": 276, "copy_file_range": 285, "pwritev2": 287},
}
_CALLS, _SECCOMP = {"x86_64": (_X86, 317), "aarch64": (_ARM, 277)}.get(platform.machine(), ({}, 0))
_NAMES = {number: name for name, number in _CALLS.items()}

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# Calls that fail on a full disk; the others give room back, or take none.
_TAKES_ROOM = re.compile(r"open|creat|mkdir|link$|linkat|write|send|copy|fallocate|fsync|fdatasync")
_GIVES_ROOM = re.compile(r"unlink|rmdir")

# struct seccomp_notif and its answer; SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND
_NOTICE = struct.Struct("QIIiIQ6Q")
_ANSWER = struct.Struct("QqiI")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at one of the calls that change the disk.

    Attributes:
        at: The number of the call, from 0; it does not happen.
        error: The error that it returns; None to kill the process instead.
        lasts: Whether the calls after it fail too.
    """

    at: int
    error: int | None = None
    lasts: bool = False

    def concerns(self, call: str) -> bool:
        """Return whether a call can end like this."""
        if self.error in (errno.ENOSPC, errno.EDQUOT):
            return bool(_TAKES_ROOM.match(call)) and not _GIVES_ROOM.match(call)
        return True

    def __str__(self) -> str:
        what = errno.errorcode[self.error] if self.error else "kill"
        return f"{what}{' from' if self.lasts else ''} at call {self.at}"


@dataclass(slots=True)
class Ending:
    """How a process ended.

    Attributes:
        code: Its exit code; None if it was killed.
        output: What it wrote to stdout.
        errors: What it wrote to stderr.
        calls: The calls that changed the disk and could have failed like this, in words.
    """

    code: int | None = None
    output: str = ""
    errors: str = ""
    calls: list[str] = field(default_factory=list)


@functools.cache
def why_unsupported() -> str:
    """Say why calls cannot be held here; "" if they can."""
    if sys.platform != "linux" or not _CALLS:
        return f"needs Linux on x86-64 or ARM, not {platform.platform()}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            touch = functools.partial(Path(folder, "a").touch)
            ending = run(touch, [Path(folder)], Fault(0, errno.EXDEV))
    except OSError as error:
        return f"needs seccomp: {error}"
    return "" if ending.code == 1 else "seccomp has no effect"


def run(act: Callable[[], Any], places: Sequence[Path], fault: Fault | None = None) -> Ending:
    """Run a function in a forked process that a fault meets.

    Args:
        act: The function. Its exit code is 0 if it returns, 1 if it raises something.
        places: The folders in which calls count.
        fault: What happens; nothing by default.
    """
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = os.fork()
        if process == 0:
            _be_the_victim(act, theirs, output.fileno(), errors.fileno())
        theirs.close()
        message, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        if not descriptors:
            _, status = os.waitpid(process, 0)
            code = os.waitstatus_to_exitcode(status)
            raise OSError(code, f"{os.strerror(code)} ({message!r})")
        with contextlib.closing(_Guard(process, descriptors[0], places, fault)) as guard:
            guard.watch()
        _, status = os.waitpid(process, 0)
        output.seek(0)
        errors.seek(0)
        return Ending(
            os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            output.read().decode(errors="replace"),
            errors.read().decode(errors="replace"),
            guard.calls,
        )


def _be_the_victim(act: Callable[[], Any], parent: socket.socket, output: int, errors: int) -> None:
    code = 1
    try:
        listener = _hold_calls()
        socket.send_fds(parent, [b"x"], [listener])
        parent.close()
        os.close(listener)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  (pytest has put others there)
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        try:
            act()
            code = 0
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:
        code = error.errno or 1
    finally:
        os._exit(code)


def _hold_calls() -> int:
    """Have the kernel hold this process at calls that change the disk; return where it reports."""
    code = [_statement(0x20, 0)]  # load the number of the call
    for name, number in _CALLS.items():
        hold = _statement(0x06, 0x7FC00000)
        if name in ("open", "openat"):  # only with flags to write; their low half is at this place
            flags = 16 + 8 * (2 if name == "openat" else 1)
            test = [_statement(0x20, flags), _jump(0x45, _WRITES, 0, 1), hold]
            code += [_jump(0x15, number, 0, 4), *test, _statement(0x06, 0x7FFF0000)]
        else:
            code += [_jump(0x15, number, 0, 1), hold]
    code.append(_statement(0x06, 0x7FFF0000))
    program = b"".join(code)
    buffer = ctypes.create_string_buffer(program)

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    system = ctypes.CDLL(None, use_errno=True)
    system.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    whole = Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    listener = system.syscall(_SECCOMP, 1, 8, ctypes.byref(whole))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(listener)


def _statement(code: int, value: int) -> bytes:
    return struct.pack("HBBI", code, 0, 0, value)


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


class _Guard:
    """Decides about the calls of a process and of those that it starts."""

    def __init__(
        self, process: int, listener: int, places: Sequence[Path], fault: Fault | None
    ) -> None:
        self._process, self._listener, self._fault = process, listener, fault
        self._places = tuple(os.path.realpath(place) + "/" for place in places)
        self.calls: list[str] = []

    def close(self) -> None:
        os.close(self._listener)

    def watch(self) -> None:
        """Decide until the process has ended."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        while True:
            ready = poll.poll(120_000)
            if not ready:
                os.kill(self._process, signal.SIGKILL)
                raise AssertionError("the process hangs")
            if not ready[0][1] & select.POLLIN:
                return
            notice = bytearray(_NOTICE.size)
            try:
                fcntl.ioctl(self._listener, _RECEIVE, notice)
            except OSError:  # it has ended meanwhile
                continue
            self._decide(*_NOTICE.unpack(notice))

    def _decide(
        self, number: int, process: int, _: int, call: int, __: int, ___: int, *arguments: int
    ) -> None:
        error = 0
        name = _NAMES[call]
        path = _path(process, name, arguments)
        fault = self._fault
        if f"{path}/".startswith(self._places) and (fault is None or fault.concerns(name)):
            at = len(self.calls)
            self.calls.append(f"{name} {path}")
            if fault and (at == fault.at or (fault.lasts and at > fault.at)):
                if fault.error is None:
                    os.kill(self._process, signal.SIGKILL)
                    return
                error = fault.error
        answer = _ANSWER.pack(number, 0, -error, 0 if error else _CONTINUE)
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._listener, _SEND, bytearray(answer))


def _path(process: int, call: str, arguments: Sequence[int]) -> str:
    """Return the path that a call is about; "" if it cannot be read."""
    with contextlib.suppress(OSError):
        if call in _BY_DESCRIPTOR:
            return os.readlink(f"/proc/{process}/fd/{arguments[_BY_DESCRIPTOR[call]]}")
        place, folder = _BY_PATH[call]
        name = _text(process, arguments[place])
        base = "cwd"
        if folder is not None and arguments[folder] & 0xFFFFFFFF != 2**32 - 100:  # AT_FDCWD
            base = f"fd/{arguments[folder]}"
        return os.path.normpath(os.path.join(os.readlink(f"/proc/{process}/{base}"), name))
    return ""


def _text(process: int, address: int) -> str:
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
        content = b""
        while b"\0" not in content:
            memory.seek(address + len(content))
            # Up to the end of the page: the next one may not be mapped.
            content += memory.read(4096 - (address + len(content)) % 4096)
    return os.fsdecode(content.partition(b"\0")[0])


def positions(count: int, most: int, start: float = 0.0) -> Iterator[int]:
    """Choose numbers from 0 to `count`, evenly: all if they are at most `most`.

    Args:
        count: How many there are.
        most: How many to choose.
        start: Where to begin, as a part of the distance between two.
    """
    step = max(count / most, 1)
    at = start * step
    while at < count:
        yield int(at)
        at += step
