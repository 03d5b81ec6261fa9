"""Fill a folder with other CPUs: emulators, an arm64 Python and the runtime's aarch64 packages.

    python tests/emulation/prepare.py [FOLDER]

Afterwards `FOLDER/bin/cortex-a72` and its neighbours are each a python on that CPU, and
`FOLDER/wheels` has what an ARM computer installs to run albert-edge. It needs no root and changes
nothing of the system: apt-get reads the system's sources and keys but keeps its lists and packages
in the folder, and nothing is installed, only unpacked.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINS = ROOT / "constraints" / "pins.txt"
PACKAGES = ["numpy", "onnxruntime", "tokenizers"]  # all that running a bundle needs
PLATFORMS = ["manylinux_2_28_aarch64", "manylinux_2_17_aarch64"]

# Part number and features, as Linux prints them on a Raspberry Pi 4 and 5.
ARM_CPUS = {
    "cortex-a72": ("0xd08", "fp asimd evtstrm crc32 cpuid"),
    "cortex-a76": (
        "0xd0b",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc "
        "dcpop asimddp",
    ),
}
X86_CPUS = ["Haswell", "Nehalem"]
EMULATORS = ["qemu-aarch64-static", "qemu-x86_64-static"]

# The system's settings hold, except for where things are kept and what runs after an update.
# With no package known as installed, apt-get fetches everything that Python needs.
APT_SETTINGS = """\
#clear APT::Update;
#clear DPkg;
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::State::extended_states "{folder}/extended_states";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; "arm64"; }};
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::http::Timeout "30";
Debug::NoLocking "true";
"""

X86_LAUNCHER = """\
#!/bin/sh
exec "$(dirname "$0")/qemu-x86_64-static" -cpu {cpu} {python} "$@"
"""

# The emulator falls back to the system's own files: without -S, Python would look for packages
# there, and with bytecode, write it there.
ARM_LAUNCHER = """\
#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$here/packages${{PYTHONPATH:+:$PYTHONPATH}}"
export PYTHONDONTWRITEBYTECODE=1
exec "$here/bin/qemu-aarch64-static" -cpu {cpu} -L "$here/roots/{cpu}" \\
    "$here/arm64/usr/bin/python3" -S "$@"
"""


class PrepareError(Exception):
    """Why there are no emulated CPUs here, in one line."""


def prepare(folder: Path) -> None:
    """Make the folder, or leave it as it was."""
    made_of = fingerprint()
    ready = folder / "ready"
    if ready.exists() and ready.read_text(encoding="utf-8") == made_of:
        ready.touch()
        print(f"{folder} is up to date")
        return
    require_tools()
    if folder.exists() and not ready.exists():
        raise PrepareError(f"{folder} is there and was not made by this program; remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as scratch:
        made, downloads = Path(scratch) / "made", Path(scratch) / "downloads"
        with step("Debian packages"):
            download(downloads)
        with step("emulators"):
            add_emulators(made / "bin", downloads)
        with step("arm64 Python"):
            add_python(made / "arm64", downloads)
        with step("aarch64 packages"):
            add_packages(made)
        add_launchers(made)
        for cpu in (*X86_CPUS, *ARM_CPUS):
            with step(f"first start on {cpu}"):
                run(made / "bin" / cpu, "-c", f"import {', '.join(PACKAGES)}")
        (made / "ready").write_text(made_of, encoding="utf-8")
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        made.rename(folder)


def fingerprint() -> str:
    """Changes with all that decides what the folder holds."""
    pins = PINS.read_text(encoding="utf-8")
    parts = [Path(__file__).read_text(encoding="utf-8"), pins, *requirements(), sys.executable]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def requirements() -> list[str]:
    """What albert-edge requires to run bundles."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["cpu"]]


def require_tools() -> None:
    """See that this is a system the rest is written for."""
    if os.uname().machine != "x86_64":
        raise PrepareError(f"needs an x86-64 machine, not {os.uname().machine}")
    if not all(map(shutil.which, ("apt-get", "dpkg", "dpkg-deb"))):
        raise PrepareError("needs apt-get and dpkg (Debian, or a system made from it)")


def download(folder: Path) -> None:
    """Download the Debian packages, and those they need, for this release of the system."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    native = run("dpkg", "--print-architecture").strip()
    settings = folder / "apt.conf"
    settings.write_text(
        APT_SETTINGS.format(folder=folder.absolute(), architecture=native), encoding="utf-8"
    )
    wanted = ["python3:arm64", "libstdc++6:arm64"]
    if not all(map(shutil.which, EMULATORS)):
        wanted.append(f"qemu-user-static:{native}")
    apt_get = ["apt-get", "-qq", "--config-file", str(settings)]
    run(*apt_get, "update")
    try:
        run(*apt_get, "--yes", "--download-only", "install", *wanted)
    except PrepareError as error:
        hint = "is there a network, and do the sources of apt offer arm64?"
        raise PrepareError(f"{error}; {hint}") from error


def add_emulators(folder: Path, downloads: Path) -> None:
    """Put the emulators into a folder: those of the system, or else the downloaded ones."""
    folder.mkdir(parents=True)
    unpacked = downloads / "qemu"
    for package in (downloads / "cache/archives").glob("qemu-*.deb"):
        run("dpkg-deb", "--extract", package, unpacked)
    for name in EMULATORS:
        installed = shutil.which(name)
        if installed:
            (folder / name).symlink_to(installed)
        else:
            shutil.copy2(unpacked / "usr/bin" / name, folder / name)


def add_python(folder: Path, downloads: Path) -> None:
    """Unpack the arm64 packages: the files of a small Debian, without a kernel or a shell."""
    (folder / "usr/lib").mkdir(parents=True)
    (folder / "lib").symlink_to("usr/lib")  # releases differ in which of the two they unpack to
    for package in sorted((downloads / "cache/archives").glob("*.deb")):
        if package.stem.endswith(("_arm64", "_all")):
            run("dpkg-deb", "--extract", package, folder)


def add_packages(made: Path) -> None:
    """Download the wheels of the runtime for the arm64 Python, and install the three it needs most.

    The versions are those that the suite has. pip comes along, compiled, to install all of them
    under emulation.
    """
    version = (made / "arm64/usr/bin/python3").readlink().name.removeprefix("python")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    quiet = ["--quiet", "--only-binary=:all:"]
    platforms = [f"--platform={name}" for name in PLATFORMS]
    target = [*quiet, *platforms, f"--python-version={version}", "--implementation=cp"]
    wheels = made / "wheels"
    run(*pip, "download", *target, f"--dest={wheels}", f"--constraint={PINS}", *requirements())
    offline = ["--no-index", "--no-deps", f"--find-links={wheels}"]
    run(*pip, "install", *target, *offline, f"--target={made / 'packages'}", *PACKAGES)
    run(*pip, "install", *quiet, f"--target={made / 'pip'}", "pip")


def add_launchers(made: Path) -> None:
    """Write a python for each CPU, and for ARM a root whose /proc/cpuinfo describes it."""
    for cpu in X86_CPUS:
        python = shlex.quote(sys.executable)
        write_program(made / "bin" / cpu, X86_LAUNCHER.format(cpu=cpu, python=python))
    for cpu in ARM_CPUS:
        write_program(made / "bin" / cpu, ARM_LAUNCHER.format(cpu=cpu))
        root = made / "roots" / cpu
        (root / "proc").mkdir(parents=True)
        for name in ("usr", "lib"):
            (root / name).symlink_to(Path("../../arm64") / name)
        (root / "proc/cpuinfo").write_text(cpuinfo(*ARM_CPUS[cpu]), encoding="utf-8")


def cpuinfo(part: str, features: str) -> str:
    """The text onnxruntime reads on ARM; the host's own would crash it."""
    return "".join(
        f"processor\t: {index}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\n"
        f"CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {part}\n"
        "CPU revision\t: 3\n\n"
        for index in range(os.cpu_count() or 1)
    )


def write_program(path: Path, text: str) -> None:
    """Write a shell script."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def run(*command: str | Path) -> str:
    """Run a program; what it prints is only of interest if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("E: ", "ERROR: "))]
        reason = (errors or lines[-1:] or [f"exit status {done.returncode}"])[-1]
        raise PrepareError(f"{Path(command[0]).name} failed: {reason}")
    return done.stdout


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print what is being done and how long it took."""
    print(f"{name} ...", end=" ", flush=True)
    start = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed")
        raise
    print(f"{time.monotonic() - start:.1f} s")


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Make pythons on emulated CPUs.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / ".venv" / "emulation")
    folder = parser.parse_args().folder
    try:
        prepare(folder)
    except (PrepareError, OSError) as error:
        print(f"prepare.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
