"""The state of this machine for running ALBERT, with advice.

Works with the base install only: onnxruntime is examined in separate processes (see
`albert_edge.machine.probe`), and what cannot be determined is reported as unknown.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass

from albert_edge.machine.board import Board, describe_board
from albert_edge.machine.extras import Extra, installed_extras
from albert_edge.machine.findings import (
    TELEMETRY,
    Finding,
    check_board,
    check_cpu,
    check_extras,
    check_memory,
    check_onnxruntime,
    check_processors,
    check_products,
    check_provider,
    check_swap,
    check_telemetry,
    check_throttling,
    check_word_size,
)
from albert_edge.machine.machine import Machine, describe_machine
from albert_edge.machine.memory import Memory, describe_memory
from albert_edge.machine.probe import (
    OnnxRuntime,
    ProviderCheck,
    probe_onnxruntime,
    probe_provider,
)
from albert_edge.machine.throttling import Throttling, describe_throttling
from albert_edge.runtime.cpus import cpu_affinity, cpu_quota


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """The state of a machine for running ALBERT.

    Attributes:
        machine: CPU, system and packages.
        bits: Size of an address in this Python, 64 or 32.
        board: The single-board computer this is, or None.
        throttling: Temperature, and what slows the processor down.
        affinity: Processors this process may run on.
        quota: CPUs granted by control groups, or None without a limit.
        memory: Memory in bytes; None where it is unknown.
        onnxruntime: Its version and abilities.
        providers: Whether each installed execution provider runs a model of one node.
        extras: The extras of albert-edge; empty if it was not installed but only put on the path.
        telemetry: The value of ORT_DISABLE_TELEMETRY in the environment, or None.
        findings: The above in words, with a line of advice for each.
    """

    machine: Machine
    bits: int
    board: Board | None
    throttling: Throttling
    affinity: int
    quota: float | None
    memory: Memory
    onnxruntime: OnnxRuntime
    providers: list[ProviderCheck]
    extras: list[Extra]
    telemetry: str | None
    findings: list[Finding]


def examine() -> DoctorReport:
    """Examine this machine. What is missing is reported and never an error."""
    telemetry = os.environ.get(TELEMETRY)
    runtime = probe_onnxruntime()
    providers = [probe_provider(name) for name in runtime.providers]
    machine, memory, extras = describe_machine(), describe_memory(), installed_extras()
    affinity, quota = cpu_affinity(), cpu_quota()
    bits = 64 if sys.maxsize > 2**32 else 32
    board, throttling = describe_board(), describe_throttling()
    findings = [
        check_cpu(machine),
        *check_board(board),
        check_word_size(bits, machine.architecture, board),
        *check_throttling(throttling, board),
        check_processors(machine, affinity, quota),
        check_memory(memory),
        *check_swap(memory),
        check_onnxruntime(runtime, machine.packages, bits),
        *(check_provider(check) for check in providers),
        check_products(runtime),
        check_telemetry(telemetry),
        *check_extras(extras),
    ]
    return DoctorReport(
        machine=machine,
        bits=bits,
        board=board,
        throttling=throttling,
        affinity=affinity,
        quota=None if math.isinf(quota) else quota,
        memory=memory,
        onnxruntime=runtime,
        providers=providers,
        extras=extras,
        telemetry=telemetry,
        findings=findings,
    )
