"""What this machine has for running ALBERT, what is missing, and what to do about it.

Works where nothing but the base install is there: onnxruntime is looked at in processes of its own
(see `albert_edge.machine.probe`), and what is unknown is said to be.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from albert_edge.machine.extras import Extra, installed_extras
from albert_edge.machine.machine import Machine, describe_machine
from albert_edge.machine.memory import Memory, describe_memory
from albert_edge.machine.probe import (
    OnnxRuntime,
    ProviderCheck,
    probe_onnxruntime,
    probe_provider,
)
from albert_edge.runtime.cpus import cpu_affinity, cpu_quota

TELEMETRY = "ORT_DISABLE_TELEMETRY"
_ONE_OF = {"cpu", "gpu"}  # extras that exclude each other
_AZURE = "AzureExecutionProvider"

# xxlarge in fp32 and its packed copies are below this, and so is a whole export of it.
_PLENTY = 4e9
# Python with the libraries and a tokenizer; what a model takes comes on top.
_LIBRARIES = 100e6
_SMALLEST_BASE = 7.4e6  # in int4


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What it is, such as "memory".
        found: What was found.
        advice: What to do about it, in one line.
    """

    subject: str
    found: str
    advice: str


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """What a machine has for running ALBERT.

    Attributes:
        machine: CPU, system and packages.
        affinity: Processors this process may run on.
        quota: CPUs that control groups grant, or None if they set no limit.
        memory: Memory in bytes; None where the system does not tell.
        onnxruntime: What is known of onnxruntime.
        providers: Whether each execution provider that is here runs a model of one node.
        extras: The extras of albert-edge; empty if it was not installed but only put on the path.
        telemetry: Value of ORT_DISABLE_TELEMETRY in the environment, or None.
        findings: All of it in words, with a line of advice each.
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
    """Look at this machine. Never fails for what is missing: it says so."""
    telemetry = os.environ.get(TELEMETRY)
    runtime = probe_onnxruntime()
    providers = [probe_provider(name) for name in runtime.providers]
    machine, memory, extras = describe_machine(), describe_memory(), installed_extras()
    affinity, quota = cpu_affinity(), cpu_quota()
    findings = [
        _cpu(machine),
        _processors(machine, affinity, quota),
        _memory(memory),
        _onnxruntime(runtime, machine.packages),
        *(_provider(check) for check in providers),
        _products(runtime),
        _telemetry(telemetry),
        *_extras(extras),
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


def _cpu(machine: Machine) -> Finding:
    has = [name for name, found in machine.features.items() if found]
    lacks = [name for name, found in machine.features.items() if not found]
    words = [f"has {', '.join(has)}"] if has else []
    words += [f"lacks {', '.join(lacks)}"] if lacks else []
    told = "; ".join(words) or "its instructions are unknown"
    return Finding("cpu", f"{machine.cpu}, {machine.architecture}: {told}", _cpu_advice(machine))


def _cpu_advice(machine: Machine) -> str:
    features = machine.features
    if any(features.get(name) for name in ("vnni", "dotprod", "i8mm")):
        return "Use int8: this CPU has instructions for products of bytes."
    if features.get("avx2"):
        return "Use int8; a CPU with VNNI would multiply bytes faster still."
    return "It is not known to multiply bytes fast. Compare: albert-edge bench BUNDLE"


def _processors(machine: Machine, affinity: int, quota: float) -> Finding:
    granted = "no quota" if math.isinf(quota) else f"a quota of {quota:g}"
    found = f"{machine.cores} here, {affinity} in the affinity, {granted}"
    if machine.usable_cpus < machine.cores:
        threads = f"{machine.usable_cpus} thread{'s' * (machine.usable_cpus > 1)}"
        advice = f"Nothing: albert-edge uses {threads} unless told otherwise."
    else:
        advice = "Nothing: albert-edge uses all; give threads=1 to processes that run side by side."
    return Finding("processors", found, advice)


def _memory(memory: Memory) -> Finding:
    limit = "no limit" if memory.limit is None else f"a limit of {_gigabytes(memory.limit)}"
    found = f"{_gigabytes(memory.total)}, {_gigabytes(memory.available)} available, {limit}"
    known = [size for size in (memory.available, memory.limit) if size is not None]
    largest = (min(known) - _LIBRARIES) / 2 if known else math.inf
    if not known:
        advice = "A loaded model takes about twice its file: albert-edge inspect BUNDLE"
    elif min(known) >= _PLENTY:
        advice = "Nothing: any ALBERT fits in any precision."
    elif largest >= _SMALLEST_BASE:
        advice = (
            f"Files up to {largest / 1e6:.0f} MB fit: a loaded model takes about twice its own."
        )
    else:
        advice = "Too little even for a base model: close other programs, or raise the limit."
    return Finding("memory", found, advice)


def _gigabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e9:.1f} GB"


def _onnxruntime(runtime: OnnxRuntime, packages: Mapping[str, str]) -> Finding:
    installed = [name for name in packages if name.startswith("onnxruntime")]
    found = runtime.version or f"does not load: {runtime.fault}"
    if len(installed) > 1:  # they overwrite each other's files
        advice = f"They are one module; keep one: pip uninstall -y {' '.join(installed)}"
        return Finding("onnxruntime", f"{found}, of {' and '.join(installed)}", advice)
    if runtime.version is not None:
        return Finding("onnxruntime", found, "Nothing: it is here, and loads.")
    if installed:
        return Finding("onnxruntime", found, f"pip install --force-reinstall {installed[0]}")
    return Finding("onnxruntime", found, "pip install 'albert-edge[cpu]'")


def _provider(check: ProviderCheck) -> Finding:
    subject = f"provider {check.name}"
    if check.runs:
        return Finding(subject, "loads and runs", f"Choose it with --device {check.name}.")
    if check.name == _AZURE:  # comes with every onnxruntime for CPUs
        return Finding(
            subject, "loads", "Nothing: it is for requests to a service, which no bundle makes."
        )
    return Finding(subject, f"does not run: {check.fault}", check.tip or "")


def _products(runtime: OnnxRuntime) -> Finding:
    match runtime.unsigned_weights:
        case False:
            found, advice = "sums of products of signed weights are exact", "Nothing."
        case None:
            found, advice = "unknown", "It is asked once onnxruntime runs."
        case True:
            found = "sums of products of signed weights overflow on this CPU"
            advice = "Nothing: albert-edge loads weights as unsigned bytes; other tools do not."
    return Finding("int8", found, advice)


def _telemetry(value: str | None) -> Finding:
    found = f"off in albert-edge, which sets {TELEMETRY}=1"
    if value == "1":
        return Finding("telemetry", f"off: the environment has {TELEMETRY}=1", "Nothing.")
    return Finding(
        "telemetry",
        found,
        "A program that imports onnxruntime first has to set it, or the environment.",
    )


def _extras(extras: list[Extra]) -> Iterator[Finding]:
    if not extras:
        found = "unknown: albert-edge is on the path, not installed"
        yield Finding("extras", found, "Install it: pip install .")
    complete = {extra.name for extra in extras if extra.complete}
    for extra in extras:
        found = ", ".join(f"{name} {version}" for name, version in extra.installed.items())
        advice = "Nothing: it is complete."
        if not extra.complete:
            found = f"lacks {', '.join(extra.missing)}"
            advice = extra.pip
            if extra.name in _ONE_OF and complete & _ONE_OF:
                advice = f"Nothing: {', '.join(complete & _ONE_OF)} is here, and excludes it."
        yield Finding(f"extra {extra.name}", found, advice)
