"""The name of this CPU, and which of the instructions that onnxruntime's kernels use it has.

Read from /proc/cpuinfo on Linux, sysctl on macOS and IsProcessorFeaturePresent on Windows. What a
system does not report is left out, not guessed.
"""

from __future__ import annotations

import ctypes
import platform
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

UNKNOWN = "unknown"

# For each feature, sets of flags any one of which is enough. Flags are lower-case letters and
# digits, so that Linux's sse4_1 and macOS's SSE4.1 are equal.
_FEATURES: dict[str, dict[str, tuple[set[str], ...]]] = {
    "x86_64": {
        "sse4": ({"sse41", "sse42"},),
        "avx2": ({"avx2"},),
        "avx512": ({"avx512f", "avx512bw", "avx512dq", "avx512vl"},),
        "vnni": ({"avx512vnni"}, {"avxvnni"}),
        "amx": ({"amxtile", "amxint8"},),
        "bf16": ({"avx512bf16"}, {"amxbf16"}),
    },
    "aarch64": {
        "dotprod": ({"asimddp"}, {"dotprod"}),
        "i8mm": ({"i8mm"},),
        "bf16": ({"bf16"},),
        "sve": ({"sve"},),
    },
}

# Linux does not name ARM cores; these are Arm's part numbers (MIDR_EL1), as in lscpu.
_ARM_IMPLEMENTER = 0x41
_ARM_PARTS = {
    **{0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55", 0xD07: "Cortex-A57"},
    **{0xD08: "Cortex-A72", 0xD09: "Cortex-A73", 0xD0A: "Cortex-A75", 0xD0B: "Cortex-A76"},
    **{0xD0C: "Neoverse-N1", 0xD0D: "Cortex-A77", 0xD40: "Neoverse-V1", 0xD41: "Cortex-A78"},
    **{0xD42: "Cortex-A78AE", 0xD44: "Cortex-X1", 0xD46: "Cortex-A510", 0xD47: "Cortex-A710"},
    **{0xD48: "Cortex-X2", 0xD49: "Neoverse-N2", 0xD4B: "Cortex-A78C", 0xD4D: "Cortex-A715"},
    **{0xD4E: "Cortex-X3", 0xD4F: "Neoverse-V2", 0xD80: "Cortex-A520", 0xD81: "Cortex-A720"},
    **{0xD82: "Cortex-X4", 0xD84: "Neoverse-V3", 0xD8E: "Neoverse-N3"},
}

# PF_* of winnt.h, which has none for VNNI, AMX and AVX-512 beyond its foundation.
_WINDOWS_FLAGS = {
    "x86_64": {37: "sse41", 38: "sse42", 40: "avx2"},
    "aarch64": {43: "dotprod", 46: "sve", 66: "i8mm", 68: "bf16"},
}
_WINDOWS_UNKNOWN = {"x86_64": {"avx512", "vnni", "amx", "bf16"}}


@dataclass(frozen=True, slots=True)
class Cpu:
    """A processor.

    Attributes:
        name: The model, or "unknown".
        architecture: "x86_64", "aarch64", or Python's name for another one.
        features: Whether it has each instruction set; unknown ones are left out.
    """

    name: str
    architecture: str
    features: dict[str, bool]


def cpu_kind(architecture: str, features: Mapping[str, bool]) -> str:
    """Name the kind of a CPU by the instructions that decide how fast int8 is.

    Measurements are comparable within a kind.

    >>> cpu_kind("x86_64", {"avx2": True, "avx512": False, "vnni": False})
    'x86 AVX2 without VNNI'
    """
    if architecture == "x86_64" and "avx2" in features:
        vectors = next((name for name in ("avx512", "avx2", "sse4") if features.get(name)), "")
        words = {"avx512": "AVX-512", "avx2": "AVX2", "sse4": "SSE4"}.get(vectors, "")
        vnni = "VNNI" if features.get("vnni") else "without VNNI"
        return " ".join(filter(None, ("x86", words, vnni)))
    if architecture == "aarch64" and features:
        best = next((name for name in ("i8mm", "dotprod") if features.get(name)), "")
        return "ARM " + {"i8mm": "I8MM", "dotprod": "dot product"}.get(best, "without dot product")
    return architecture


def describe_cpu() -> Cpu:
    """Describe the CPU of this machine, as far as its system reports it."""
    architecture = normal_architecture(platform.machine())
    if sys.platform == "darwin":
        return read_sysctl(_sysctl(), architecture)
    if sys.platform == "win32":
        return _ask_windows(architecture)
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return read_cpuinfo(text, architecture)


def normal_architecture(machine: str) -> str:
    """Return one name per architecture, such as x86_64 for AMD64 and aarch64 for arm64."""
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.lower(), machine or UNKNOWN)


def read_cpuinfo(text: str, architecture: str) -> Cpu:
    """Parse Linux's /proc/cpuinfo.

    Args:
        text: The file. If cores differ, as in big.LITTLE, only features of all cores count.
        architecture: "x86_64" or "aarch64"; of others only a name is read.
    """
    pairs = [line.partition(":") for line in text.splitlines()]
    fields = [(key.strip(), value.strip()) for key, _, value in pairs]
    flags = [_flags(value) for key, value in fields if key in ("flags", "Features")]
    names = [value for key, value in fields if key == "model name"] or _arm_names(fields)
    board = [value for key, value in fields if key == "Model"]  # of a Raspberry Pi
    name = " + ".join(dict.fromkeys(names)) or UNKNOWN
    if board:
        name = f"{name} ({board[-1]})" if names else board[-1]
    features = _features(architecture, set.intersection(*flags)) if flags else {}
    return Cpu(name, architecture, features)


def read_sysctl(text: str, architecture: str) -> Cpu:
    """Parse lines of macOS's sysctl, which are "name: value"."""
    values = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    flags = {
        key.rpartition("FEAT_")[2].lower()
        for key, value in values.items()
        if "FEAT_" in key and value == "1"
    }
    for key in ("machdep.cpu.features", "machdep.cpu.leaf7_features"):
        flags |= _flags(values.get(key, ""))
    name = values.get("machdep.cpu.brand_string", UNKNOWN)
    return Cpu(name, architecture, _features(architecture, flags) if flags else {})


def _features(architecture: str, flags: Collection[str]) -> dict[str, bool]:
    return {
        name: any(wanted.issubset(flags) for wanted in ways)
        for name, ways in _FEATURES.get(architecture, {}).items()
    }


def _flags(words: str) -> set[str]:
    return {re.sub(r"[^a-z0-9]", "", word) for word in words.lower().split()}


def _arm_names(fields: list[tuple[str, str]]) -> list[str]:
    implementers = [value for key, value in fields if key == "CPU implementer"]
    parts = [value for key, value in fields if key == "CPU part"]
    return [_arm_name(*pair) for pair in zip(implementers, parts, strict=False)]


def _arm_name(implementer: str, part: str) -> str:
    try:
        if int(implementer, 16) == _ARM_IMPLEMENTER:
            return _ARM_PARTS[int(part, 16)]
    except (KeyError, ValueError):
        pass
    return f"part {part} of implementer {implementer}"


def _sysctl() -> str:
    try:
        done = subprocess.run(
            ["sysctl", "machdep.cpu", "hw.optional"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _ask_windows(architecture: str) -> Cpu:
    known = _WINDOWS_FLAGS.get(architecture, {})
    try:
        has_feature = ctypes.windll.kernel32.IsProcessorFeaturePresent  # type: ignore[attr-defined]
        flags = {name for number, name in known.items() if has_feature(number)}
    except (AttributeError, OSError):
        return Cpu(platform.processor() or UNKNOWN, architecture, {})
    features = _features(architecture, flags)
    unknown = _WINDOWS_UNKNOWN.get(architecture, set())
    reported = {name: has for name, has in features.items() if name not in unknown}
    return Cpu(platform.processor() or UNKNOWN, architecture, reported)
