"""The state of this machine for running ALBERT, with advice.

Works with the base install only: onnxruntime is examined in separate processes (see
`albert_edge.machine.probe`), and what cannot be determined is reported as unknown.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from albert_edge.machine.extras import Extra, installed_extras
from albert_edge.machine.findings import (
    TELEMETRY,
    Finding,
    check_cpu,
    check_extras,
    check_memory,
    check_onnxruntime,
    check_processors,
    check_products,
    check_provider,
    check_telemetry,
)
from albert_edge.machine.machine import Machine, describe_machine
from albert_edge.machine.memory import Memory, describe_memory
from albert_edge.machine.probe import (
    OnnxRuntime,
    ProviderCheck,
    probe_onnxruntime,
    probe_provider,
)
from albert_edge.runtime.cpus import cpu_affinity, cpu_quota


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """The state of a machine for running ALBERT.

    Attributes:
        machine: CPU, system and packages.
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
    findings = [
        check_cpu(machine),
        check_processors(machine, affinity, quota),
        check_memory(memory),
        check_onnxruntime(runtime, machine.packages),
        *(check_provider(check) for check in providers),
        check_products(runtime),
        check_telemetry(telemetry),
        *check_extras(extras),
    ]
    return DoctorReport(
        machine=machine,
        affinity=affinity,
        quota=None if math.isinf(quota) else quota,
        memory=memory,
        onnxruntime=runtime,
        providers=providers,
        extras=extras,
        telemetry=telemetry,
        findings=findings,
    )
