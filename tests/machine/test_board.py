"""Raspberry Pis and other boards, from files as their kernels and firmware write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from albert_edge.machine.board import Board, describe_board
from albert_edge.machine.findings import (
    Finding,
    check_board,
    check_onnxruntime,
    check_swap,
    check_throttling,
    check_word_size,
)
from albert_edge.machine.memory import Memory
from albert_edge.machine.probe import OnnxRuntime
from albert_edge.machine.throttling import Throttling, describe_throttling

CORE = """\
processor\t: {core}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part}
CPU revision\t: 3

"""
DEVICE_TREE = "proc/device-tree/model"
SYSFS = "sys/firmware/devicetree/base/model"
CPUINFO = "proc/cpuinfo"
FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
ZONE = "sys/class/thermal/thermal_zone{}/temp"


def cpuinfo(part: str, tail: str = "") -> str:
    """/proc/cpuinfo of four cores, with the lines that the kernel of Raspberry Pi OS adds."""
    return "".join(CORE.format(core=core, part=part) for core in range(4)) + tail


def lay_out(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return root


# --- the name of the board ------------------------------------------------------------------

NAMED = {  # by device tree: whether the processor runs 64-bit systems
    "Raspberry Pi 4 Model B Rev 1.5": True,
    "Raspberry Pi 5 Model B Rev 1.0": True,
    "Raspberry Pi 3 Model B Plus Rev 1.3": True,
    "Raspberry Pi Zero 2 W Rev 1.0": True,
    "Raspberry Pi 400 Rev 1.0": True,
    "Raspberry Pi 500 Rev 1.0": True,
    "Raspberry Pi Compute Module 4 Rev 1.1": True,
    "Raspberry Pi Compute Module 4S Rev 1.0": True,
    "Raspberry Pi Compute Module 5 Lite Rev 1.0": True,
    "Raspberry Pi 2 Model B Rev 1.2": True,
    "Raspberry Pi 2 Model B Rev 1.1": False,
    "Raspberry Pi Zero W Rev 1.1": False,
    "Raspberry Pi Model B Plus Rev 1.2": False,
    "Raspberry Pi Compute Module Rev 1.0": False,
}


@pytest.mark.parametrize("model", NAMED)
@pytest.mark.parametrize("file", [DEVICE_TREE, SYSFS])
def test_a_board_is_what_the_device_tree_says(model: str, file: str, tmp_path: Path) -> None:
    board = describe_board(lay_out(tmp_path, {file: f"{model}\0"}))
    assert board == Board(model, has_64_bits=NAMED[model])
    assert board.is_raspberry_pi


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        pytest.param(
            {CPUINFO: cpuinfo("0xd08", "Revision\t: c03115\nModel\t\t: Raspberry Pi 4 Model B\n")},
            Board("Raspberry Pi 4 Model B", has_64_bits=True),
            id="a container, which sees only cpuinfo",
        ),
        pytest.param(
            {CPUINFO: cpuinfo("0xd08", "Revision\t: c03115\nSerial\t\t: 10000000abcdef01\n")},
            Board("Raspberry Pi 4 Model B Rev 1.5", has_64_bits=True),
            id="only a revision code",
        ),
        pytest.param(
            {CPUINFO: cpuinfo("0xd0b", "Revision\t: d04170\n")},
            Board("Raspberry Pi 5 Model B Rev 1.0", has_64_bits=True),
            id="the revision code of a pi 5",
        ),
        pytest.param(
            {CPUINFO: cpuinfo("0xd03", "Revision\t: 902120\n")},
            Board("Raspberry Pi Zero 2 W Rev 1.0", has_64_bits=True),
            id="the revision code of a zero 2",
        ),
        pytest.param(
            {CPUINFO: cpuinfo("0xd0b", "Revision\t: 000e\n")},
            Board("", "Raspberry Pi 5", has_64_bits=True),
            id="a revision code of the old style",
        ),
        pytest.param(
            {CPUINFO: cpuinfo("0xd08", "Revision\t: none\n")},
            Board("", "Raspberry Pi 4", has_64_bits=True),
            id="a revision code that is none",
        ),
        pytest.param(
            {CPUINFO: cpuinfo("0xd03")},
            Board("", "Raspberry Pi 3 or Zero 2", has_64_bits=True),
            id="only the part number of the cores",
        ),
        pytest.param(
            {DEVICE_TREE: "Radxa ROCK 5B\0", CPUINFO: cpuinfo("0xd0b")},
            Board("Radxa ROCK 5B"),
            id="another board with the cores of a pi 5",
        ),
        pytest.param({CPUINFO: cpuinfo("0xd0c")}, None, id="a server"),
        pytest.param(
            {CPUINFO: "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: avx2\n"}, None, id="x86"
        ),
        pytest.param({DEVICE_TREE: "\0", CPUINFO: "\0\n"}, None, id="empty files"),
        pytest.param({}, None, id="no file"),
    ],
)
def test_a_board_without_a_device_tree(
    files: dict[str, str], wanted: Board | None, tmp_path: Path
) -> None:
    assert describe_board(lay_out(tmp_path, files)) == wanted


# --- heat and power -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        pytest.param(
            {FIRMWARE: "0\n", ZONE.format(0): "48312\n"}, Throttling(48.312, True), id="cool"
        ),
        pytest.param(
            {FIRMWARE: "50005\n", ZONE.format(0): "61000\n"},
            Throttling(61, True, ["under-voltage", "throttled"], ["under-voltage", "throttled"]),
            id="a weak power supply",
        ),
        pytest.param(
            {FIRMWARE: "e0008\n", ZONE.format(0): "71000\n", ZONE.format(1): "82500\n"},
            Throttling(
                82.5,
                True,
                ["soft temperature limit"],
                ["frequency capped", "throttled", "soft temperature limit"],
            ),
            id="the hottest of two zones",
        ),
        pytest.param(
            {"sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "20002"},
            Throttling(None, True, ["frequency capped"], ["frequency capped"]),
            id="another address of the firmware",
        ),
        pytest.param({ZONE.format(0): "40000\n"}, Throttling(40), id="no firmware"),
        pytest.param({FIRMWARE: "nonsense", ZONE.format(0): "\n"}, Throttling(None), id="damaged"),
        pytest.param({}, Throttling(None), id="no file"),
    ],
)
def test_throttling(files: dict[str, str], wanted: Throttling, tmp_path: Path) -> None:
    assert describe_throttling(lay_out(tmp_path, files)) == wanted


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ('[ "$1" = get_throttled ] && echo throttled=0x10000', (True, ["under-voltage"])),
        ("echo throttled=0x0", (True, [])),
        ("echo 'VCHI initialization failed'; exit 255", (False, [])),
    ],
)
def test_vcgencmd_is_asked_where_there_is_no_file(
    script: str, wanted: tuple[bool, list[str]], tmp_path: Path
) -> None:
    program = lay_out(tmp_path, {"usr/bin/vcgencmd": f"#!/bin/sh\n{script}\n"}) / "usr/bin/vcgencmd"
    program.chmod(0o755)
    throttling = describe_throttling(tmp_path)
    assert (throttling.is_known, throttling.occurred) == wanted
    assert throttling.now == []


# --- advice ---------------------------------------------------------------------------------

PI_4 = Board("Raspberry Pi 4 Model B Rev 1.5", has_64_bits=True)
ZERO_W = Board("Raspberry Pi Zero W Rev 1.1")
ROCK = Board("Radxa ROCK 5B")


@pytest.mark.parametrize(
    ("board", "found", "advice"),
    [
        (PI_4, "Raspberry Pi 4 Model B Rev 1.5", "See examples/raspberry_pi"),
        (ZERO_W, "Raspberry Pi Zero W", "Nothing."),
        (ROCK, "Radxa ROCK 5B", "Nothing."),
        (Board("", "Raspberry Pi 5", True), "cores are those of a Raspberry Pi 5", "Nothing."),
    ],
)
def test_advice_on_a_board(board: Board, found: str, advice: str) -> None:
    (finding,) = check_board(board)
    assert found in finding.found and str(finding.advice).startswith(advice)


def test_nothing_is_said_of_what_is_no_board() -> None:
    assert list(check_board(None)) == []
    assert list(check_throttling(Throttling(45.0), None)) == []
    assert list(check_throttling(Throttling(None), PI_4)) == []


@pytest.mark.parametrize(
    ("bits", "architecture", "board", "found", "advice"),
    [
        (64, "aarch64", PI_4, "64 bits, aarch64", "Nothing."),
        (
            32,
            "aarch64",
            PI_4,
            "a 32-bit Python on a 64-bit kernel",
            "no wheel for 32 bits; install 64-bit Raspberry Pi OS",
        ),
        (32, "armv7l", PI_4, "32 bits, armv7l", "install 64-bit Raspberry Pi OS"),
        (32, "armv6l", ZERO_W, "32 bits, armv6l", "use a Raspberry Pi 3, Zero 2 or later"),
        (32, "armv7l", None, "32 bits, armv7l", "use a 64-bit system"),
        (32, "x86_64", None, "a 32-bit Python on a 64-bit kernel", "use a 64-bit system"),
    ],
)
def test_advice_on_32_bits(
    bits: int, architecture: str, board: Board | None, found: str, advice: str
) -> None:
    finding = check_word_size(bits, architecture, board)
    assert found in finding.found and advice in str(finding.advice)
    missing = check_onnxruntime(OnnxRuntime(fault="No module", tip="pip install"), {}, bits)
    assert ("pip install" in str(missing.advice)) == (bits == 64)


@pytest.mark.parametrize(
    ("throttling", "found", "advice"),
    [
        (Throttling(48.3, True), "48 °C; never throttled since the start", "Nothing."),
        (
            Throttling(55.0, True, ["under-voltage"], ["under-voltage"]),
            "55 °C; now: under-voltage",
            "the power supply that is made for this board",
        ),
        (
            Throttling(55.0, True, [], ["under-voltage", "throttled"]),
            "earlier: under-voltage, throttled",
            "the power supply",
        ),
        (
            Throttling(81.0, True, ["throttled"], ["throttled", "frequency capped"]),
            "now: throttled; earlier: frequency capped",
            "a heat sink or a fan",
        ),
        (Throttling(60.0, True, [], ["throttled"]), "earlier: throttled", "a heat sink or a fan"),
        (Throttling(82.0), "82 °C; throttling is not reported", "a heat sink or a fan"),
    ],
)
def test_advice_on_throttling(throttling: Throttling, found: str, advice: str) -> None:
    (finding,) = check_throttling(throttling, PI_4)
    assert found in finding.found and advice in str(finding.advice)


MEGABYTE = 10**6


@pytest.mark.parametrize(
    ("memory", "wanted"),
    [
        (Memory(434 * MEGABYTE, None, None, 0), ("none", "Add 1 GB")),
        (Memory(2076 * MEGABYTE, None, None, 0), ("none", "Add 1 GB")),
        (Memory(434 * MEGABYTE, None, None, 512 * MEGABYTE), ("0.5 GB", "Nothing.")),
        (Memory(8 * 10**9, None, None, 0), ("none", "Nothing.")),
        (Memory(434 * MEGABYTE, None, None, None), None),
    ],
)
def test_advice_on_swap(memory: Memory, wanted: tuple[str, str] | None) -> None:
    said: list[Finding] = list(check_swap(memory))
    if wanted is None:
        assert said == []
    else:
        (finding,) = said
        assert finding.found == wanted[0] and str(finding.advice).startswith(wanted[1])
