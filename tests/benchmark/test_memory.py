"""Memory of a process, and of a GPU as nvidia-smi reports it."""

from __future__ import annotations

import math
import mmap
import os
from pathlib import Path

import pytest

from albert_edge.benchmark.memory import forget_peak, read_memory


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
def test_memory_of_this_process() -> None:
    forget_peak()
    before, _ = read_memory()
    kept = mmap.mmap(-1, 50_000_000)  # which the system has back at once, unlike an allocator
    for page in range(0, len(kept), mmap.PAGESIZE):
        kept[page] = 1
    during, _ = read_memory()
    kept.close()
    after, peak = read_memory()
    assert 49 < during - before < 55
    assert after < during - 45
    assert 49 < peak - before < 55


def fake_nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program of that name first on the path."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(("device", "index"), [("cuda", "0"), ("cuda:1", "1")])
def test_memory_of_a_gpu(
    device: str, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_nvidia_smi(tmp_path, monkeypatch, f'echo "$@" | grep -q -e "--id={index}" && echo 1000')
    used, peak = read_memory(device)
    assert used == 1048.576  # MB of 10^6 bytes
    assert math.isnan(peak)


def test_what_is_not_known_is_not_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvidia_smi(tmp_path, monkeypatch, "exit 9")
    assert all(math.isnan(value) for value in read_memory("cuda"))
