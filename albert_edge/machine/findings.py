"""The properties of a machine, with a line of advice for each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from albert_edge.errors import Argument, Call, Message
from albert_edge.machine.extras import Extra
from albert_edge.machine.machine import Machine
from albert_edge.machine.memory import Memory
from albert_edge.machine.probe import OnnxRuntime, ProviderCheck

TELEMETRY = "ORT_DISABLE_TELEMETRY"
_EXCLUSIVE = {"cpu", "gpu"}  # extras of which only one can be installed
_AZURE = "AzureExecutionProvider"

# Enough to run xxlarge in fp32, with the packed copies of its weights, and to export it.
_PLENTY = 4e9
# Python with the libraries and a tokenizer, without a model.
_LIBRARIES = 100e6
_SMALLEST_BASE = 7.4e6  # in int4


@dataclass(frozen=True, slots=True)
class Finding:
    """One property of the machine.

    Attributes:
        subject: The property, such as "memory".
        found: Its state.
        advice: What to do about it, in one line.
    """

    subject: str
    found: str
    advice: str | Message


def check_cpu(machine: Machine) -> Finding:
    """Advise on a precision by the instruction sets of the CPU."""
    words = []
    for verb, present in (("has", True), ("lacks", False)):
        names = [name for name, has in machine.features.items() if has is present]
        words += [f"{verb} {', '.join(names)}"] if names else []
    features = "; ".join(words) or "its instructions are unknown"
    return Finding(
        "cpu", f"{machine.cpu}, {machine.architecture}: {features}", _cpu_advice(machine)
    )


def _cpu_advice(machine: Machine) -> str | Message:
    features = machine.features
    if any(features.get(name) for name in ("vnni", "dotprod", "i8mm")):
        return "Use int8: this CPU has instructions for products of bytes."
    if features.get("avx2"):
        return "Use int8; a CPU with VNNI would multiply bytes faster still."
    return Message("It is not known to multiply bytes fast. Compare: ", Call("bench", "BUNDLE"))


def check_processors(machine: Machine, affinity: int, quota: float) -> Finding:
    """Say how many processors this process may use."""
    granted = "no quota" if math.isinf(quota) else f"a quota of {quota:g}"
    found = f"{machine.cores} here, {affinity} in the affinity, {granted}"
    if machine.usable_cpus < machine.cores:
        threads = f"{machine.usable_cpus} thread{'s' * (machine.usable_cpus > 1)}"
        advice = f"Nothing: albert-edge uses {threads} unless another number is given."
    else:
        advice = "Nothing: albert-edge uses all; give threads=1 to processes that run side by side."
    return Finding("processors", found, advice)


def check_memory(memory: Memory) -> Finding:
    """Advise on the size of models that fit into memory."""
    limit = "no limit" if memory.limit is None else f"a limit of {_gigabytes(memory.limit)}"
    found = f"{_gigabytes(memory.total)}, {_gigabytes(memory.available)} available, {limit}"
    known = [size for size in (memory.available, memory.limit) if size is not None]
    largest = (min(known) - _LIBRARIES) / 2 if known else math.inf
    advice: str | Message
    if not known:
        advice = Message("A loaded model takes about twice its file: ", Call("inspect", "BUNDLE"))
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


def check_onnxruntime(runtime: OnnxRuntime, packages: Mapping[str, str]) -> Finding:
    """Advise on the installation of onnxruntime."""
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


def check_provider(check: ProviderCheck) -> Finding:
    """Say whether an execution provider runs."""
    subject = f"provider {check.name}"
    if check.runs:
        advice = Message("Choose it with ", Argument("device", check.name), ".")
        return Finding(subject, "loads and runs", advice)
    if check.name == _AZURE:  # comes with every onnxruntime for CPUs
        return Finding(
            subject, "loads", "Nothing: it is for requests to a service, which no bundle makes."
        )
    return Finding(subject, f"does not run: {check.fault}", check.tip or "")


def check_products(runtime: OnnxRuntime) -> Finding:
    """Say whether sums of products of signed int8 weights are exact on this CPU."""
    match runtime.unsigned_weights:
        case False:
            found, advice = "sums of products of signed weights are exact", "Nothing."
        case None:
            found, advice = "unknown", "It is asked once onnxruntime runs."
        case True:
            found = "sums of products of signed weights overflow on this CPU"
            advice = "Nothing: albert-edge loads weights as unsigned bytes; other tools do not."
    return Finding("int8", found, advice)


def check_telemetry(value: str | None) -> Finding:
    """Say whether the telemetry of onnxruntime is off."""
    if value == "1":
        return Finding("telemetry", f"off: the environment has {TELEMETRY}=1", "Nothing.")
    return Finding(
        "telemetry",
        f"off in albert-edge, which sets {TELEMETRY}=1",
        "A program that imports onnxruntime first has to set it, or the environment.",
    )


def check_extras(extras: list[Extra]) -> Iterator[Finding]:
    """Say which extras are complete, and what the others lack."""
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
            if extra.name in _EXCLUSIVE and complete & _EXCLUSIVE:
                advice = f"Nothing: {', '.join(complete & _EXCLUSIVE)} is here, and excludes it."
        yield Finding(f"extra {extra.name}", found, advice)
