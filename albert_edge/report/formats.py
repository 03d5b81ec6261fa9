"""Format numbers."""

from __future__ import annotations


def milliseconds(value: float) -> str:
    """Format milliseconds with about three significant digits.

    >>> milliseconds(0.4137), milliseconds(41.37)
    ('0.41', '41.4')
    """
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def thread_count(threads: int) -> str:
    """Name a number of threads.

    >>> thread_count(1), thread_count(2)
    ('1 thread', '2 threads')
    """
    return f"{threads} thread{'s' * (threads != 1)}"
