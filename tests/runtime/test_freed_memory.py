"""Freed memory is returned to the system, also where glibc would keep it."""

from __future__ import annotations

import os
import platform

import numpy as np
import pytest

from albert_edge.runtime.memory import large_blocks_returned

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc has this setting"
)

BLOCK = 4 * 2**20  # bytes


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def returned() -> float:
    """Free large blocks that lie between small ones, and return the share that was returned."""
    large, small = [], []
    for _ in range(16):
        large.append(np.ones(BLOCK, np.uint8))
        small.append(bytearray(50_000))
    before = resident()
    large.clear()
    return (before - resident()) / (len(small) * BLOCK)


def test_large_blocks_are_returned_at_once_until_the_end() -> None:
    with large_blocks_returned():
        assert returned() > 0.9
    assert returned() < 0.1
