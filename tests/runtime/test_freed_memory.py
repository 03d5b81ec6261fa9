"""Freed memory is returned to the system, also where glibc would keep it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# In a process of its own: what others have freed and glibc kept would be used first.
SHARES = """
import os
import numpy as np
from albert_edge.runtime.memory import large_blocks_returned

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def returned(size=4 * 2**20):
    "Free large blocks between small ones; return the share of them that the system got back."
    large, small = [], []
    for _ in range(16):
        large.append(np.ones(size, np.uint8))
        small.append(bytearray(50_000))
    before = resident()
    large.clear()
    return (before - resident()) / (len(small) * size)

with large_blocks_returned():
    print(returned())
print(returned())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this setting")
def test_large_blocks_are_returned_at_once_until_the_end() -> None:
    process = subprocess.run([sys.executable, "-c", SHARES], capture_output=True, check=True)
    within, after = map(float, process.stdout.split())
    assert within > 0.9
    assert after < 0.1
