"""Measure a bundle on this computer and print a Markdown table, to paste into an issue.

python measure.py BUNDLE
"""

from __future__ import annotations

import argparse
import platform
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import albert_edge
from albert_edge.errors import AlbertEdgeError
from albert_edge.machine.board import describe_board
from albert_edge.machine.machine import describe_machine
from albert_edge.machine.throttling import Throttling, describe_throttling
from albert_edge.runtime.providers import load_onnxruntime

CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq")
FEWEST_RUNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a bundle on this computer.")
    parser.add_argument("bundle", help="the folder of a bundle")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, nargs="+", help="default: 1 and all processors")
    parser.add_argument("--lengths", type=int, nargs="+", default=[8, 32, 128], help="tokens")
    parser.add_argument("--seconds", type=float, default=5, help="for each figure")
    options = parser.parse_args()
    machine, board, before = describe_machine(), describe_board(), describe_throttling()
    threads = options.threads or sorted({1, machine.usable_cpus})
    try:
        load_onnxruntime()  # not timed below
        rows = [measure(options, count) for count in threads]
    except AlbertEdgeError as error:
        parser.exit(1, f"{error}\n{error.tip or ''}\n")
    after = describe_throttling()
    print("| property | value |\n| --- | --- |")
    for name, value in (
        ("board", board.model if board and board.model else "not named by the system"),
        ("processor", f"{machine.cpu}, {machine.usable_cpus} processors, {clock()}"),
        ("memory", f"{machine.memory_bytes / 1e9:.1f} GB"),
        ("system", f"{system_name()}, {machine.system}, {machine.architecture}"),
        ("Python", machine.python),
        *((name, machine.packages[name]) for name in ("albert-edge", "onnxruntime")),
        ("peak memory of this process", f"{peak_memory():.0f} MB"),
        ("before", describe(before)),
        ("after", describe(after)),
    ):
        print(f"| {name} | {value} |")
    heads = [f"{length} tokens, ms (median)" for length in options.lengths]
    print("\n| " + " | ".join(["variant", "threads", "load, s", *heads]) + " |")
    print("| --- |" + " ---: |" * (2 + len(heads)))
    for row in rows:
        print(f"| {' | '.join(row)} |")


def measure(options: argparse.Namespace, threads: int) -> list[str]:
    """Return a row of the table: one number of threads, all lengths."""
    start = time.perf_counter()
    with albert_edge.Session(
        options.bundle, device="cpu", precision=options.precision, threads=threads
    ) as session:
        load = time.perf_counter() - start
        latencies = [
            1e3 * statistics.median(run_times(session, length, options.seconds))
            for length in options.lengths
        ]
        name = f"{session.variant.name}, {session.variant.bytes / 1e6:.1f} MB"
    return [name, str(threads), f"{load:.2f}", *(f"{ms:.1f}" for ms in latencies)]


def run_times(session: albert_edge.Session, length: int, seconds: float) -> Iterator[float]:
    """Time single texts of a length for some seconds, after two runs that are not timed."""
    ids = np.random.default_rng(0).integers(5, 100, (1, length))
    for _ in range(2):
        session.run({"input_ids": ids})
    end = time.perf_counter() + seconds
    runs = 0
    while runs < FEWEST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        session.run({"input_ids": ids})
        yield time.perf_counter() - start
        runs += 1


def peak_memory() -> float:
    """Return the largest resident memory of this process so far in MB, as Linux counts it."""
    status = Path("/proc/self/status").read_text()
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) * 1024 / 1e6


def clock() -> str:
    """Return the highest clock of the first processor and who chooses it."""
    try:
        highest = int((CPUFREQ / "cpuinfo_max_freq").read_text()) / 1e6
        return f"{highest:.1f} GHz, governor {(CPUFREQ / 'scaling_governor').read_text().strip()}"
    except (OSError, ValueError):
        return "clock unknown"


def system_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return "system unknown"


def describe(throttling: Throttling) -> str:
    heat = "temperature unknown"
    if throttling.temperature is not None:
        heat = f"{throttling.temperature:.0f} °C"
    if not throttling.is_known:
        return f"{heat}, throttling not reported"
    now, occurred = (
        ", ".join(names) or "nothing" for names in (throttling.now, throttling.occurred)
    )
    return f"{heat}, now: {now}, since the start: {occurred}"


if __name__ == "__main__":
    main()
