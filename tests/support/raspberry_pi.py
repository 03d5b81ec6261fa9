"""Emulated Raspberry Pis: files of a board, a Python on its CPU, and the memory that takes.

A program under user-mode emulation runs on the host's kernel. Files of the board's own root come
first, so that it sees the device tree and sensors of a Raspberry Pi.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

from support.paths import ROOT

EMULATION = ROOT / ".venv" / "emulation"
# qemu puts the program low and itself high, as the kernel places any program.
_GUEST_END = 2**40
_MAPPING = re.compile(r"^([0-9a-f]+)-[0-9a-f]+ .*\n(?:\w.*\n)*?Rss: +(\d+) kB", re.MULTILINE)


class Pi:
    """A Raspberry Pi.

    Args:
        cpu: "cortex-a72" or "cortex-a76".
        model: The name in its device tree.
        folder: Where its files go.
    """

    def __init__(self, cpu: str, model: str, folder: Path) -> None:
        self.model = model
        self.folder = folder
        root = folder / "root"
        files = {
            "proc/cpuinfo": (EMULATION / f"roots/{cpu}/proc/cpuinfo").read_text(),
            "proc/device-tree/model": f"{model}\0",
            "sys/class/thermal/thermal_zone0/temp": "48312\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "80000\n",
        }
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        for name in ("usr", "lib"):
            (root / name).symlink_to(EMULATION / "arm64" / name)
        emulator = [EMULATION / "bin/qemu-aarch64-static", "-cpu", cpu, "-L", root]
        self._emulator = shlex.join(map(str, emulator))
        # Commands of the host that a program of the board calls, and those of the board.
        self.environment = {
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "HOME": str(folder),
            "PYTHONPYCACHEPREFIX": str(folder.parent / "compiled"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_COMPILE": "0",  # the falsy value switches compiling off
        }
        self._write_program("bin/sudo", 'exec "$@"')
        self._write_python("bin/python3", "")

    def make_venv(self, venv: Path) -> None:
        """Do what `python3 -m venv` does, which cannot start a program of another architecture."""
        self.run("python3", "-m", "venv", "--without-pip", venv)
        for python in (venv / "bin").glob("python*"):
            python.unlink()
            # As the program's own name, Python finds the environment, and itself for new processes.
            self._write_python(python, '-0 "$0"')
        pip = f'PYTHONPATH={EMULATION / "pip"} exec "$(dirname "$0")/python" -m pip "$@"'
        self._write_program(venv / "bin/pip", pip)

    def run(self, *command: str | Path, cwd: Path | None = None) -> str:
        """Run a program on this board and return its output."""
        done = subprocess.run(
            [*map(str, command)],
            cwd=cwd or self.folder,
            env=self.environment,
            capture_output=True,
            encoding="utf-8",
            timeout=600,
        )
        assert done.returncode == 0, f"{shlex.join(map(str, command))}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _write_python(self, name: Path | str, options: str) -> None:
        python = f'exec {self._emulator} {options} {EMULATION / "arm64/usr/bin/python3"} "$@"'
        self._write_program(name, python)

    def _write_program(self, name: Path | str, line: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)


def guest_memory(process: subprocess.Popen[str]) -> int:
    """Sum what is resident of an idle emulated program, in bytes, without the emulator's own."""
    text = Path(f"/proc/{process.pid}/smaps").read_text()
    mappings = _MAPPING.findall(text)
    return 1024 * sum(int(rss) for start, rss in mappings if int(start, 16) < _GUEST_END)


def resident_files(process: subprocess.Popen[str]) -> dict[str, set[bool]]:
    """For each file that is mapped, whether it lies where the emulated program does."""
    found: dict[str, set[bool]] = {}
    for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines():
        addresses, *_, name = line.split(maxsplit=5)
        if os.sep in name:
            is_guest = int(addresses.partition("-")[0], 16) < _GUEST_END
            found.setdefault(Path(name).name, set()).add(is_guest)
    return found
