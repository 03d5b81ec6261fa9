"""The control groups that a Linux process is in, of both versions (cgroups(7))."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


def group_folders(controller: str, proc: Path = PROC, mount: Path = MOUNT) -> Iterator[Path]:
    """The folders of the groups whose limits of a controller hold for this process.

    Args:
        controller: Such as "cpu" or "memory".
        proc: The process's list of control groups, lines of id:controllers:path.
        mount: Where they are mounted.

    Yields:
        Each group and those above it. None where there is no such list. In a container the paths
        may be the host's, of which the root alone is mounted; so a folder need not exist.
    """
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2 has one tree for all
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
