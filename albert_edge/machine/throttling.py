"""Read the temperature, and whether a Raspberry Pi lowers its clock.

The firmware keeps a word of flags: what is the case now and, from bit 16 on, what was at any time
since the start. Linux shows it in a file, and `vcgencmd get_throttled` prints it.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

_FLAGS = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
_SINCE_START = 16  # the first bit of the flags that stay set

# The name of the folder differs between generations: soc/soc:firmware, soc@107c000000/...
_FLAG_FILES = ("*firmware*/get_throttled", "*/*firmware*/get_throttled")
_PLATFORM = "sys/devices/platform"
_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Throttling:
    """Temperature and what slows the processor down.

    Attributes:
        temperature: Of the hottest thermal zone in °C, or None if the system reports none.
        is_known: Whether the firmware reports the two lists; otherwise they are empty.
        now: What is the case now: "under-voltage", "frequency capped", "throttled" or "soft
            temperature limit".
        occurred: The same, for any time since the start of the board.
    """

    temperature: float | None
    is_known: bool = False
    now: list[str] = field(default_factory=list)
    occurred: list[str] = field(default_factory=list)


def describe_throttling(root: Path = Path("/")) -> Throttling:
    """Read the temperature and the flags of the firmware, as far as they are reported.

    Args:
        root: The folder that holds sys and usr.
    """
    flags = _flags(root)
    temperature = max(_temperatures(root), default=None)
    if flags is None:
        return Throttling(temperature)
    return Throttling(temperature, True, _names(flags), _names(flags >> _SINCE_START))


def _names(flags: int) -> list[str]:
    return [name for bit, name in _FLAGS.items() if flags >> bit & 1]


def _temperatures(root: Path) -> list[float]:
    temperatures = []
    for path in sorted((root / "sys/class/thermal").glob("thermal_zone*/temp")):
        try:
            temperatures.append(int(path.read_text()) / 1000)
        except (OSError, ValueError):  # a zone that is off
            continue
    return temperatures


def _flags(root: Path) -> int | None:
    platform = root / _PLATFORM
    for pattern in _FLAG_FILES:
        for path in sorted(platform.glob(pattern)):
            try:
                return int(path.read_text(), 16)
            except (OSError, ValueError):
                continue
    return _ask_vcgencmd(root / "usr/bin/vcgencmd")


def _ask_vcgencmd(program: Path) -> int | None:
    try:
        done = subprocess.run(
            [program, "get_throttled"], capture_output=True, text=True, timeout=_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        return None
    flags = re.fullmatch(r"throttled=0x([0-9a-fA-F]+)", done.stdout.strip())
    return int(flags[1], 16) if flags else None
