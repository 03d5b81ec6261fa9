"""A description of this machine, for reports that are read on others."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from albert_edge.machine.cpu import describe_cpu
from albert_edge.machine.memory import describe_memory
from albert_edge.runtime.cpus import usable_cpus

# Packages whose version can change a measurement, the runtime first.
_PACKAGES = (
    *("albert-edge", "numpy", "tokenizers"),
    *("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml"),
    *("onnx", "onnxscript", "torch", "transformers", "optimum", "optimum-onnx"),
    *("openvino", "nncf"),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine and what is installed on it.

    Attributes:
        cpu: The model, or "unknown".
        architecture: Such as "x86_64" or "aarch64".
        system: Such as "Linux 6.1, glibc 2.36".
        cores: Logical processors of the host.
        usable_cpus: How many of them affinity and control groups allow this process.
        memory_bytes: Memory of the host; 0 where it is unknown.
        features: Whether the CPU has instructions such as "vnni" or "dotprod"; unknown ones are
            left out.
        python: Version of Python.
        packages: Version of each installed package that can change a measurement.
    """

    cpu: str
    architecture: str
    system: str
    cores: int
    usable_cpus: int
    memory_bytes: int
    features: dict[str, bool]
    python: str
    packages: dict[str, str]


def describe_machine() -> Machine:
    """Describe this machine. Never fails; what cannot be determined is reported as unknown."""
    cpu = describe_cpu()
    return Machine(
        cpu=cpu.name,
        architecture=cpu.architecture,
        system=describe_system(),
        cores=os.cpu_count() or 1,
        usable_cpus=usable_cpus(),
        memory_bytes=describe_memory().total or 0,
        features=cpu.features,
        python=platform.python_version(),
        packages=installed_packages(),
    )


def describe_system() -> str:
    """Name the operating system and its C library, such as "Linux 6.1, glibc 2.36"."""
    if platform.system() == "Darwin":
        return f"macOS {platform.mac_ver()[0]}".strip()
    release = re.match(r"\d+(\.\d+)?", platform.release())  # the rest depends on the builder
    name = f"{platform.system()} {release[0] if release else ''}".strip() or "unknown"
    library = " ".join(platform.libc_ver()).strip()
    return f"{name}, {library}" if library else name


def installed_packages() -> dict[str, str]:
    """Return the versions of the packages of `_PACKAGES` that are installed."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
