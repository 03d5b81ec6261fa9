"""Giving memory back.

While onnxruntime loads a model it holds the file's message, the weights and their packed copies
at once, then frees the first two. glibc keeps what was freed for later, which at the size of
these models is about as much again as the model itself.
"""

from __future__ import annotations

import ctypes
import sys


def return_freed_memory() -> None:
    """Hand freed heap pages back to the system, where the C library has a call for it (glibc)."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
