"""How many processors this process may really use.

onnxruntime counts the cores of the host; a container or a pinned process has fewer.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

from albert_edge.runtime import cgroups

_PROC = cgroups.PROC
_CGROUPS = cgroups.MOUNT


def usable_cpus() -> int:
    """The smaller of the CPU affinity and the cgroup quota, at least 1."""
    return max(1, math.ceil(min(cpu_affinity(), cpu_quota(_PROC, _CGROUPS))))


def cpu_affinity() -> int:
    """How many processors this process may run on, whatever its share of them is."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def cpu_quota(proc: Path = _PROC, mount: Path = _CGROUPS) -> float:
    """CPUs that the control groups of this process grant, or infinity.

    Args:
        proc: The process's list of control groups.
        mount: Where they are mounted.

    Returns:
        The least quota of the group and those above it. Both versions are read: cpu.max of v2,
        cpu.cfs_quota_us and cpu.cfs_period_us of v1.
    """
    return min(map(_quota, cgroups.group_folders("cpu", proc, mount)), default=math.inf)


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
