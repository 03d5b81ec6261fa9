"""Find the control groups of a Linux process, versions 1 and 2 (cgroups(7))."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


def group_folders(controller: str, proc: Path = PROC, mount: Path = MOUNT) -> Iterator[Path]:
    """Find the folders of the control groups whose limits apply to this process.

    Args:
        controller: Such as "cpu" or "memory".
        proc: The list of control groups of the process, lines of id:controllers:path.
        mount: Where control groups are mounted.

    Yields:
        Each group and its parents; nothing without such a list. A folder may be missing: in a
        container the paths may be those of the host, of which only the root is mounted.
    """
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2 has one tree for all controllers
            root = mount
        elif controller in controllers.split(","):
            root = mount / controller
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            yield folder
            if folder == root:
                break
