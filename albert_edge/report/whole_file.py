"""Writing a file so that it appears as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a temporary file next to the target, then rename it.

    Until then readers see the old file, and a run that is killed leaves it unchanged.

    Raises:
        OSError: The folder is missing, is not a folder, or is not writable.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
