"""Return freed memory to the system.

While onnxruntime loads a model it holds the parsed file, the weights and their packed copies at
once, then frees the first two. glibc keeps freed memory for later allocations, which for these
models is about the size of the model again.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Of glibc's malloc.h: parameters of mallopt, and the highest values that it sets of its own accord.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_HIGHEST_TRIM, _HIGHEST_MMAP = 64 * 2**20, 32 * 2**20

_LARGE = 2 * 2**20  # bytes


def return_freed_memory() -> None:
    """Return freed heap pages to the system if the C library has a call for it (glibc does)."""
    _glibc("malloc_trim", 0)


@contextmanager
def large_blocks_returned() -> Iterator[None]:
    """Have every block of 2 MB or more returned to the system when it is freed.

    glibc does so at first, but keeps blocks of a size that was freed once. What is allocated later
    leaves gaps in them: 20 to 40 MB while a model of 47 MB is loaded. Afterwards, it keeps as much
    as it ever does by itself.
    """
    _glibc("mallopt", _MMAP_THRESHOLD, _LARGE)
    try:
        yield
    finally:
        _glibc("mallopt", _MMAP_THRESHOLD, _HIGHEST_MMAP)
        _glibc("mallopt", _TRIM_THRESHOLD, _HIGHEST_TRIM)


def _glibc(function: str, *arguments: int) -> None:
    """Call a function of the C library if it has it."""
    if sys.platform == "linux":
        call = getattr(ctypes.CDLL(None), function, None)
        if call is not None:
            call(*arguments)
