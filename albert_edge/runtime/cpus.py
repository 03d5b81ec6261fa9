"""How many processors this process may really use.

onnxruntime counts the cores of the host; a container or a pinned process has fewer.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

_PROC = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def usable_cpus() -> int:
    """The smaller of the CPU affinity and the cgroup quota, at least 1."""
    return max(1, math.ceil(min(_affinity(), cpu_quota(_PROC, _CGROUPS))))


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def cpu_quota(proc: Path, cgroups: Path) -> float:
    """CPUs that the control groups of this process grant, or infinity.

    Args:
        proc: The process's list of control groups (cgroups(7): lines of id:controllers:path).
        cgroups: Where they are mounted.

    Returns:
        The least quota of the group and those above it. Both versions are read: cpu.max of v2,
        cpu.cfs_quota_us and cpu.cfs_period_us of v1.
    """
    least = math.inf
    for root, group in _groups(proc, cgroups):
        for folder in (root / group, *(root / group).parents):
            least = min(least, _quota(folder))
            if folder == root:
                break
    return least


def _groups(proc: Path, cgroups: Path) -> list[tuple[Path, str]]:
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return []
    groups = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            groups.append((cgroups, path.lstrip("/")))
        elif "cpu" in controllers.split(","):
            groups.append((cgroups / "cpu", path.lstrip("/")))
    return groups


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
