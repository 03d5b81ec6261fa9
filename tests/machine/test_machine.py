"""What a machine is said to be: recorded texts of CPUs and control groups, and this machine."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from albert_edge.machine import cpu, machine, memory
from albert_edge.runtime import cpus

# --- texts of CPUs --------------------------------------------------------------------------

X86_COMMON = "fpu sse sse2 ssse3 fma sse4_1 sse4_2 popcnt avx f16c bmi1 avx2 bmi2"
AVX512 = "avx512f avx512dq avx512cd avx512bw avx512vl"


def x86(name: str, flags: str, cores: int = 2) -> str:
    """/proc/cpuinfo of an x86 machine."""
    return "".join(
        f"processor\t: {core}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n"
        f"model name\t: {name}\nflags\t\t: {flags}\nbugs\t\t: spectre_v1\n\n"
        for core in range(cores)
    )


def arm(parts: list[tuple[str, str]], tail: str = "") -> str:
    """/proc/cpuinfo of an ARM machine: part number and features of each core."""
    cores = "".join(
        f"processor\t: {core}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\n"
        f"CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: {part}\n"
        "CPU revision\t: 1\n\n"
        for core, (part, features) in enumerate(parts)
    )
    return cores + tail


PI4 = arm(
    [("0xd08", "fp asimd evtstrm crc32 cpuid")] * 4,
    "Revision\t: c03115\nSerial\t\t: 1\nModel\t\t: Raspberry Pi 4 Model B Rev 1.5\n",
)
PI5_FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimddp"
PI5 = arm([("0xd0b", PI5_FEATURES)] * 4, "Model\t\t: Raspberry Pi 5 Model B Rev 1.0\n")

X86 = {"sse4": True, "avx2": True, "avx512": False, "vnni": False, "amx": False, "bf16": False}
ARM = {"dotprod": False, "i8mm": False, "bf16": False, "sve": False}


@pytest.mark.parametrize(
    ("text", "architecture", "name", "features"),
    [
        pytest.param(x86("AMD EPYC", X86_COMMON), "x86_64", "AMD EPYC", X86, id="no vnni"),
        pytest.param(
            x86("Intel(R) Xeon(R) Gold", f"{X86_COMMON} {AVX512} avx512_vnni"),
            "x86_64",
            "Intel(R) Xeon(R) Gold",
            {**X86, "avx512": True, "vnni": True},
            id="avx512 vnni",
        ),
        pytest.param(
            x86("N100", f"{X86_COMMON} avx_vnni"),
            "x86_64",
            "N100",
            {**X86, "vnni": True},
            id="avx vnni without avx512",
        ),
        pytest.param(
            x86("SPR", f"{X86_COMMON} {AVX512} avx512_vnni amx_bf16 amx_tile amx_int8"),
            "x86_64",
            "SPR",
            dict.fromkeys(X86, True),
            id="amx",
        ),
        pytest.param(
            x86("Nehalem", "sse sse2 ssse3 sse4_1 sse4_2 popcnt"),
            "x86_64",
            "Nehalem",
            {**X86, "avx2": False},
            id="sse4 alone",
        ),
        pytest.param(
            x86("KNL", f"{X86_COMMON} avx512f avx512cd avx512er avx512pf"),
            "x86_64",
            "KNL",
            X86,
            id="avx512 foundation is not what kernels need",
        ),
        pytest.param(PI4, "aarch64", "Cortex-A72 (Raspberry Pi 4 Model B Rev 1.5)", ARM, id="pi 4"),
        pytest.param(
            PI5,
            "aarch64",
            "Cortex-A76 (Raspberry Pi 5 Model B Rev 1.0)",
            {**ARM, "dotprod": True},
            id="pi 5",
        ),
        pytest.param(
            arm([("0xd4f", f"{PI5_FEATURES} sve i8mm bf16 sve2 svei8mm svebf16")]),
            "aarch64",
            "Neoverse-V2",
            dict.fromkeys(ARM, True),
            id="server",
        ),
        pytest.param(
            arm([("0xd03", "fp asimd"), ("0xd0b", PI5_FEATURES)]),
            "aarch64",
            "Cortex-A53 + Cortex-A76",
            ARM,
            id="a feature of some cores is none",
        ),
        pytest.param(
            arm([("0xfff", "fp asimd asimddp")]),
            "aarch64",
            "part 0xfff of implementer 0x41",
            {**ARM, "dotprod": True},
            id="a core nobody knows",
        ),
        pytest.param("", "x86_64", "unknown", {}, id="nothing"),
        pytest.param("no colon here\n\0\n", "aarch64", "unknown", {}, id="not a cpuinfo"),
        pytest.param(
            "processor : 0\nisa : rv64imafdc\nuarch : sifive,u74\n",
            "riscv64",
            "unknown",
            {},
            id="another architecture",
        ),
    ],
)
def test_cpuinfo(text: str, architecture: str, name: str, features: dict[str, bool]) -> None:
    assert cpu.read_cpuinfo(text, architecture) == cpu.Cpu(name, architecture, features)


M1 = """machdep.cpu.cores_per_package: 8
machdep.cpu.brand_string: Apple M1
hw.optional.neon: 1
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_BF16: 0
hw.optional.arm.FEAT_I8MM: 0
"""
INTEL_MAC = """machdep.cpu.brand_string: Intel(R) Core(TM) i7-1068NG7 CPU @ 2.30GHz
machdep.cpu.features: FPU VME SSE SSE2 SSSE3 FMA SSE4.1 SSE4.2 POPCNT AVX1.0
machdep.cpu.leaf7_features: BMI1 AVX2 BMI2 AVX512F AVX512DQ AVX512CD AVX512BW AVX512VL AVX512VNNI
"""


@pytest.mark.parametrize(
    ("text", "architecture", "name", "features"),
    [
        pytest.param(M1, "aarch64", "Apple M1", {**ARM, "dotprod": True}, id="m1"),
        pytest.param(
            M1.replace("M1", "M2").replace("BF16: 0", "BF16: 1").replace("I8MM: 0", "I8MM: 1"),
            "aarch64",
            "Apple M2",
            {"dotprod": True, "i8mm": True, "bf16": True, "sve": False},
            id="m2",
        ),
        pytest.param(
            INTEL_MAC,
            "x86_64",
            "Intel(R) Core(TM) i7-1068NG7 CPU @ 2.30GHz",
            {**X86, "avx512": True, "vnni": True},
            id="intel",
        ),
        pytest.param("", "aarch64", "unknown", {}, id="nothing"),
    ],
)
def test_sysctl(text: str, architecture: str, name: str, features: dict[str, bool]) -> None:
    assert cpu.read_sysctl(text, architecture) == cpu.Cpu(name, architecture, features)


@pytest.mark.parametrize(
    ("told", "wanted"),
    [("AMD64", "x86_64"), ("x86_64", "x86_64"), ("arm64", "aarch64"), ("", "unknown")],
)
def test_one_name_for_an_architecture(told: str, wanted: str) -> None:
    assert cpu.normal_architecture(told) == wanted


@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="x86 Linux")
def test_this_cpu_is_what_numpy_finds() -> None:
    # numpy asks the CPU itself. Its name for all that a kernel of AVX512_ICL needs includes VNNI.
    found = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    described = cpu.describe_cpu()
    assert described.features["sse4"] == (found["SSE41"] and found["SSE42"])
    assert described.features["avx2"] == found["AVX2"]
    assert described.features["avx512"] == found["AVX512_SKX"]
    assert described.name != "unknown"


@pytest.mark.parametrize("system", ["darwin", "win32", "sunos5"])
def test_no_system_is_an_error(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing those systems would answer is here; what is left is a machine of unknowns.
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(subprocess, "run", no_program)
    monkeypatch.setattr(memory, "_MEMINFO", Path("/no/such/file"))
    monkeypatch.setattr(cpu, "Path", lambda name: Path("/no/such/file"))
    described = machine.describe_machine()
    assert described.features == {}
    assert described.cores >= 1
    assert json.loads(json.dumps(dataclasses.asdict(described)))["cpu"] == described.cpu


def no_program(*args: object, **options: object) -> subprocess.CompletedProcess[str]:
    raise FileNotFoundError("sysctl")


# --- memory ---------------------------------------------------------------------------------

LARGE = 16 * 2**30
MEGABYTES_512 = str(512 * 2**20)


def lay_out(root: Path, files: dict[str, str]) -> tuple[Path, Path]:
    """Write a list of control groups and their files; where both lie."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root / "proc", root


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        pytest.param({"proc": "0::/\n"}, None, id="no file"),
        pytest.param({"proc": "0::/a\n", "a/memory.max": "max\n"}, None, id="v2 none"),
        pytest.param(
            {"proc": "0::/a\n", "a/memory.max": MEGABYTES_512}, 512 * 2**20, id="v2 limit"
        ),
        pytest.param(
            {"proc": "0::/a/b\n", "memory.max": "7", "a/memory.max": "9", "a/b/memory.max": "max"},
            7,
            id="v2 the least of those above",
        ),
        pytest.param(
            {"proc": "4:memory:/a\n", "memory/a/memory.limit_in_bytes": MEGABYTES_512},
            512 * 2**20,
            id="v1 limit",
        ),
        pytest.param(
            {"proc": "4:memory:/a\n", "memory/memory.limit_in_bytes": "9223372036854771712"},
            None,
            id="v1 none is a huge number",
        ),
        pytest.param(
            {"proc": "4:memory:/host/only\n", "memory/memory.limit_in_bytes": "1048576"},
            1048576,
            id="v1 in a container",
        ),
        pytest.param(
            {"proc": "4:cpu:/a\n", "memory/a/memory.limit_in_bytes": "1048576"},
            None,
            id="another controller",
        ),
        pytest.param({"proc": "0::/\n", "memory.max": "nonsense"}, None, id="not a number"),
        pytest.param({"proc": "0::/\n", "memory.max": str(2 * LARGE)}, None, id="beyond the host"),
    ],
)
def test_memory_limit(tmp_path: Path, files: dict[str, str], wanted: int | None) -> None:
    assert memory.memory_limit(LARGE, *lay_out(tmp_path, files)) == wanted


def test_memory_limit_where_the_total_is_unknown(tmp_path: Path) -> None:
    paths = lay_out(tmp_path, {"proc": "0::/\n", "memory.max": MEGABYTES_512})
    assert memory.memory_limit(None, *paths) == 512 * 2**20
    paths = lay_out(tmp_path, {"proc": "0::/\n", "memory.max": "9223372036854771712"})
    assert memory.memory_limit(None, *paths) is None
    assert memory.memory_limit(None, tmp_path / "none", tmp_path) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "MemTotal:        8000 kB\nMemAvailable:    500 kB\nSwapTotal:      100 kB\n",
            (8192000, 512000, 102400),
        ),
        ("MemTotal:        8000 kB\nSwapTotal: 0 kB\n", (8192000, None, 0)),  # before Linux 3.14
        ("", (None, None, None)),
    ],
)
def test_meminfo(tmp_path: Path, text: str, wanted: tuple[int | None, ...]) -> None:
    (tmp_path / "meminfo").write_text(text)
    assert memory.read_meminfo(tmp_path / "meminfo") == wanted


def test_memory_is_what_psutil_finds() -> None:
    found, known = memory.describe_memory(), psutil.virtual_memory()
    assert found.total == known.total
    assert found.available is not None
    assert found.swap == psutil.swap_memory().total
    assert math.isclose(found.available, known.available, rel_tol=0.1)


# --- the whole ------------------------------------------------------------------------------


def test_this_machine() -> None:
    described = machine.describe_machine()
    assert described.architecture == cpu.normal_architecture(platform.machine())
    assert described.cores == os.cpu_count()
    assert described.usable_cpus == cpus.usable_cpus() <= described.cores
    assert described.memory_bytes == psutil.virtual_memory().total
    assert described.python == ".".join(map(str, sys.version_info[:3]))
    assert described.packages["numpy"] == np.__version__
    assert described.packages.keys() >= {"albert-edge", "onnxruntime", "torch"}


@pytest.mark.parametrize(
    ("system", "release", "libc", "wanted"),
    [
        ("Linux", "6.1.0-25-amd64", ("glibc", "2.36"), "Linux 6.1, glibc 2.36"),
        ("Linux", "5.15.12", ("", ""), "Linux 5.15"),  # musl tells nothing
        ("Windows", "11", ("", ""), "Windows 11"),
        ("", "", ("", ""), "unknown"),
    ],
)
def test_system(
    system: str, release: str, libc: tuple[str, str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "release", lambda: release)
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)
    assert machine.describe_system() == wanted
