"""Memory that a process takes: resident memory on a CPU, memory of the device on a GPU."""

from __future__ import annotations

import subprocess

NOT_KNOWN = float("nan")
_MIB = 1.048576  # MB of 10^6 bytes


def read_memory(device: str = "cpu") -> tuple[float, float]:
    """Read what is in use now, and at the most since `forget_peak`, in MB of 10^6 bytes.

    Args:
        device: "cuda" or "cuda:1" reads the memory in use of that GPU, by all processes and with
            CUDA's own context, and has no peak; any other the resident memory of this process.

    Returns:
        NaN for what the system does not report: resident memory is read on Linux only.
    """
    if device.startswith("cuda"):
        return _gpu_memory(device.partition(":")[2] or "0"), NOT_KNOWN
    try:
        with open("/proc/self/status") as file:
            fields = dict(line.split(":", 1) for line in file)
    except OSError:
        return NOT_KNOWN, NOT_KNOWN
    now, peak = (int(fields[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
    return now, peak


def forget_peak() -> None:
    """Have the kernel count the peak of resident memory from here on (proc(5), clear_refs)."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return


def _gpu_memory(index: str) -> float:
    query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits", f"--id={index}"]
    try:
        done = subprocess.run(["nvidia-smi", *query], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return NOT_KNOWN
    return float(done.stdout.split()[0]) * _MIB
