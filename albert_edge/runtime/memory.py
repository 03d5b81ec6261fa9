"""Return freed memory to the system.

While onnxruntime loads a model it holds the parsed file, the weights and their packed copies at
once, then frees the first two. glibc keeps freed memory for later allocations, which for these
models is about the size of the model again.
"""

from __future__ import annotations

import ctypes
import sys


def return_freed_memory() -> None:
    """Return freed heap pages to the system if the C library has a call for it (glibc does)."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
