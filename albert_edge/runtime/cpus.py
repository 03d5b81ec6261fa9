"""Count the processors this process may use.

onnxruntime counts the cores of the host; a container or a process with a CPU affinity has fewer.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from albert_edge.runtime.cgroups import MOUNT, PROC, group_folders


def usable_cpus(proc: Path = PROC, mount: Path = MOUNT) -> int:
    """Return the smaller of CPU affinity and cgroup quota, rounded up, at least 1.

    Args:
        proc: As in `cpu_quota`.
        mount: As in `cpu_quota`.
    """
    return max(1, math.ceil(min(cpu_affinity(), cpu_quota(proc, mount))))


def cpu_affinity() -> int:
    """Return how many processors this process may run on, whatever its share of their time."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def cpu_quota(proc: Path = PROC, mount: Path = MOUNT) -> float:
    """Return how many CPUs the control groups of this process grant, or infinity.

    Args:
        proc: The list of control groups of the process.
        mount: Where control groups are mounted.

    Returns:
        The smallest quota of its groups and their parents. Both versions are read: cpu.max of v2,
        cpu.cfs_quota_us and cpu.cfs_period_us of v1.
    """
    return min(map(_quota, group_folders("cpu", proc, mount)), default=math.inf)


def _quota(folder: Path) -> float:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return math.inf
    if quota in ("max", "-1"):
        return math.inf
    return int(quota) / int(period)
