"""Run commands in a process that is killed when it makes a socket of the internet.

    python -m support.offline < commands.json      in tests/

So are its threads and children. The kernel does that (seccomp): also to native code, and
for whatever address. Sockets between processes of one machine (AF_UNIX) are allowed.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import platform
import struct
import sys
from typing import Any

# Of linux/seccomp.h, linux/filter.h, linux/audit.h and the tables of system calls.
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _DOMAIN = 0, 4, 16
_SOCKET = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_INTERNET = (2, 10, 17)  # AF_INET, AF_INET6, AF_PACKET

IS_SUPPORTED = sys.platform == "linux" and platform.machine() in _SOCKET


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def forbid_internet() -> None:
    """End this process, and those that it starts, by SIGSYS at the first socket of the internet."""
    architecture, socket = _SOCKET[platform.machine()]
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, 7, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 0, 5, socket),
        (_LOAD, 0, 0, _DOMAIN),
        *((_EQUAL, 2 - place, 0, family) for place, family in enumerate(_INTERNET[:2])),
        (_EQUAL, 0, 1, _INTERNET[2]),
        (_RETURN, 0, 0, _KILL),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    program = _Program(len(steps), code)
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((_NO_NEW_PRIVS, 1, 0, 0, 0), (_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), "prctl")


def _run(command: list[str]) -> int:
    from albert_edge.cli.app import main

    sys.argv = ["albert-edge", *command]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    raise AssertionError("unreachable")


def run_commands() -> None:
    """Run the commands that stdin lists, and print how each ended, as JSON."""
    commands: Any = json.load(sys.stdin)
    forbid_internet()
    results = []
    for command in commands:
        print(*command, file=sys.stderr, flush=True)
        results.append(_run(command))
    print(json.dumps(results))


if __name__ == "__main__":
    run_commands()
