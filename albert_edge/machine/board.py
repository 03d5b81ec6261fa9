"""Name the single-board computer this is, if it is one, such as a Raspberry Pi.

The firmware writes the name into the device tree. Containers hide that, but not /proc/cpuinfo,
where the kernel of Raspberry Pi OS repeats the name and adds the revision code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from albert_edge.machine.cpu import read_cpuinfo

_RASPBERRY_PI = "Raspberry Pi"
_MODEL_FILES = ("proc/device-tree/model", "sys/firmware/devicetree/base/model")

# Bits 4 to 11 of a new-style revision code. Bit 23 marks the new style; boards with older codes are
# all of the first generation.
_BOARDS = {
    **{0x00: "Model A", 0x01: "Model B", 0x02: "Model A Plus", 0x03: "Model B Plus"},
    **{0x04: "2 Model B", 0x06: "Compute Module", 0x08: "3 Model B", 0x09: "Zero"},
    **{0x0A: "Compute Module 3", 0x0C: "Zero W", 0x0D: "3 Model B Plus", 0x0E: "3 Model A Plus"},
    **{0x10: "Compute Module 3 Plus", 0x11: "4 Model B", 0x12: "Zero 2 W", 0x13: "400"},
    **{0x14: "Compute Module 4", 0x15: "Compute Module 4S", 0x17: "5 Model B"},
    **{0x18: "Compute Module 5", 0x19: "500", 0x1A: "Compute Module 5 Lite"},
}
_NEW_STYLE = 1 << 23

# What stands after "Raspberry Pi" in the names of boards with a 64-bit processor. The first boards
# called 2 had 32 bits; from revision 1.2 on they have the processor of the 3.
_64_BIT = re.compile(r"[345]\b|[45]00|Zero 2|Compute Module [345]|2 Model B Rev 1\.[2-9]")

_BOARD_OF_CORE = {
    "Cortex-A53": "Raspberry Pi 3 or Zero 2",
    "Cortex-A72": "Raspberry Pi 4",
    "Cortex-A76": "Raspberry Pi 5",
}


@dataclass(frozen=True, slots=True)
class Board:
    """A single-board computer.

    Attributes:
        model: As its firmware names it, such as "Raspberry Pi 4 Model B Rev 1.5"; empty if the
            system does not say.
        similar: A Raspberry Pi with the same CPU cores, if the model is unknown; otherwise empty.
        has_64_bits: Whether its processor is known to run 64-bit systems.
    """

    model: str
    similar: str = ""
    has_64_bits: bool = False

    @property
    def is_raspberry_pi(self) -> bool:
        """Whether its firmware says that it is a Raspberry Pi."""
        return self.model.startswith(_RASPBERRY_PI)


def describe_board(root: Path = Path("/")) -> Board | None:
    """Describe the board, or return None if nothing says that this is one.

    Args:
        root: The folder that holds proc and sys.
    """
    cpuinfo = _read(root / "proc/cpuinfo")
    fields = dict(re.findall(r"^(\w+)\s*: (.+)$", cpuinfo, re.MULTILINE))
    names = [*(_read(root / name) for name in _MODEL_FILES), fields.get("Model", "")]
    model = next((name.strip() for name in names if name.strip()), "")
    if not model and "Revision" in fields:
        model = _name_of(fields["Revision"])
    if model:
        is_pi, _, name = model.partition(f"{_RASPBERRY_PI} ")
        return Board(model, has_64_bits=not is_pi and bool(_64_BIT.match(name)))
    similar = _BOARD_OF_CORE.get(read_cpuinfo(cpuinfo, "aarch64").name)
    return Board("", similar, has_64_bits=True) if similar else None


def _name_of(revision: str) -> str:
    """Return the name that the firmware gives a board with this revision code, if it is known."""
    try:
        code = int(revision, 16)
    except ValueError:
        return ""
    board = _BOARDS.get(code >> 4 & 0xFF)
    is_known = code & _NEW_STYLE and board
    return f"{_RASPBERRY_PI} {board} Rev 1.{code & 0xF}" if is_known else ""


def _read(path: Path) -> str:
    try:  # texts of a device tree end with a NUL
        return path.read_text(encoding="utf-8", errors="replace").replace("\0", "")
    except OSError:
        return ""
