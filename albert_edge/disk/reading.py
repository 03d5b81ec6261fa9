"""Opening files that others may have put there: without waiting, and without following links."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST_TEXT = 2**27  # bytes of a configuration, an index or a tokenizer; those of today have 20 MB


def open_regular(path: Path, *, follow: bool = True) -> int:
    """Open a file to read and return its descriptor, without waiting for anyone.

    Args:
        path: The file.
        follow: Whether it may be a link, symbolic or hard, to a file that is elsewhere too.

    Raises:
        OSError: It cannot be opened, is not a regular file, or is a link and `follow` is False.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # pipes wait
    if follow:
        _require_regular(path, os.stat(path), names=None)  # opening a device can do something
    else:
        _require_regular(path, os.lstat(path), names=1)  # Windows has no O_NOFOLLOW
        flags |= getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags)
    try:
        _require_regular(path, os.fstat(descriptor), names=None if follow else 1)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_regular(path: Path, *, largest: int | None = LARGEST_TEXT) -> bytes:
    """Read a file.

    Args:
        path: The file.
        largest: How many bytes it may have; None for files whose size is not known beforehand.

    Raises:
        OSError: As `open_regular`, or it is larger.
    """
    with open(open_regular(path), "rb") as file:
        if largest is not None and os.fstat(file.fileno()).st_size > largest:
            raise OSError(errno.EFBIG, f"it has more than {largest:,} bytes", os.fspath(path))
        return file.read()


def link_refused(path: Path) -> OSError:
    """Return the error for a file that is a link and must not be."""
    return OSError(errno.EINVAL, "it is a link, or has more than one name", os.fspath(path))


def _require_regular(path: Path, status: os.stat_result, *, names: int | None) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if names is not None and (stat.S_ISLNK(status.st_mode) or status.st_nlink != names):
        raise link_refused(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
