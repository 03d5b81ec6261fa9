"""The properties of a machine, with a line of advice for each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from albert_edge.errors import Argument, Call, Message
from albert_edge.machine.board import Board
from albert_edge.machine.extras import Extra
from albert_edge.machine.machine import Machine
from albert_edge.machine.memory import Memory
from albert_edge.machine.probe import OnnxRuntime, ProviderCheck
from albert_edge.machine.throttling import Throttling
from albert_edge.packages import keep_one

TELEMETRY = "ORT_DISABLE_TELEMETRY"
_EXCLUSIVE = {"cpu", "gpu"}  # extras of which only one can be installed
_AZURE = "AzureExecutionProvider"

# Enough to run xxlarge in fp32, with the packed copies of its weights, and to export it.
_PLENTY = 4e9
# Python with the libraries and a tokenizer, without a model.
_LIBRARIES = 100e6
_SMALLEST_BASE = 7.4e6  # in int4
# Machines with less are small enough for an update of the system to fill their memory.
_NEEDS_SWAP = 2.2e9
# From here on a Raspberry Pi lowers its clock.
_HOT = 80


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


def check_board(board: Board | None) -> Iterator[Finding]:
    """Name a single-board computer; nothing on other machines."""
    if board is None:
        return
    if not board.model:
        found = f"unnamed by the system; its CPU cores are those of a {board.similar}"
        yield Finding("board", found, "Nothing.")
    elif board.is_raspberry_pi and board.has_64_bits:
        advice = "See examples/raspberry_pi for what to install, and how to measure it."
        yield Finding("board", board.model, advice)
    else:
        yield Finding("board", board.model, "Nothing.")


def check_word_size(bits: int, architecture: str, board: Board | None) -> Finding:
    """Say whether onnxruntime has wheels for this system: on Linux they are for 64 bits only.

    Args:
        bits: Size of an address in this Python.
        architecture: That of the kernel, such as "aarch64" or "armv7l".
        board: The board this is, if it is one.
    """
    if bits == 64:
        return Finding("word size", f"64 bits, {architecture}", "Nothing.")
    found = f"32 bits, {architecture}"
    if architecture in ("aarch64", "x86_64"):
        found = f"a 32-bit Python on a 64-bit kernel ({architecture})"
    remedy = "use a 64-bit system"
    if board and board.is_raspberry_pi:
        later = "use a Raspberry Pi 3, Zero 2 or later"
        remedy = "install 64-bit Raspberry Pi OS" if board.has_64_bits else later
    return Finding("word size", found, f"onnxruntime has no wheel for 32 bits; {remedy}.")


def check_throttling(throttling: Throttling, board: Board | None) -> Iterator[Finding]:
    """Say whether heat or the power supply slows a board down; nothing on other machines."""
    temperature = throttling.temperature
    if not (throttling.is_known or (board and temperature is not None)):
        return
    parts = [] if temperature is None else [f"{temperature:.0f} °C"]
    if throttling.is_known:
        earlier = [name for name in throttling.occurred if name not in throttling.now]
        parts += [f"now: {', '.join(throttling.now)}"] if throttling.now else []
        parts += [f"earlier: {', '.join(earlier)}"] if earlier else []
        parts += [] if throttling.now or earlier else ["never throttled since the start"]
    else:
        parts += ["throttling is not reported"]
    yield Finding("throttling", "; ".join(parts), _throttling_advice(throttling))


def _throttling_advice(throttling: Throttling) -> str:
    flags = {*throttling.now, *throttling.occurred}
    is_hot = throttling.temperature is not None and throttling.temperature >= _HOT
    remedies = []
    if "under-voltage" in flags:
        remedies += ["use the power supply that is made for this board, and a short cable"]
    if is_hot or "soft temperature limit" in flags or flags == {"throttled"}:
        remedies += ["cool it with a heat sink or a fan"]
    if not flags and not is_hot:
        return "Nothing."
    measured = "Latency measured like this is too high"
    return f"{measured}: {'; '.join(remedies)}." if remedies else f"{measured}."


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


def check_swap(memory: Memory) -> Iterator[Finding]:
    """Say whether a small machine has swap space; nothing where it is unknown."""
    if memory.swap is None:
        return
    found = _gigabytes(memory.swap) if memory.swap else "none"
    advice = "Nothing."
    if not memory.swap and memory.total is not None and memory.total < _NEEDS_SWAP:
        advice = "Add 1 GB (mkswap, swapon): Linux kills programs once so little memory is full."
    yield Finding("swap", found, advice)


def _gigabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e9:.1f} GB"


def check_onnxruntime(runtime: OnnxRuntime, packages: Mapping[str, str], bits: int) -> Finding:
    """Advise on the installation of onnxruntime."""
    installed = [name for name in packages if name.startswith("onnxruntime")]
    if runtime.version is None:
        is_without_wheel = bits == 32 and not installed
        advice = "It has no wheel for 32 bits, see word size." if is_without_wheel else runtime.tip
        return Finding("onnxruntime", str(runtime.fault), str(advice))
    if len(installed) > 1:  # they overwrite each other's files
        found = f"{runtime.version}, of {' and '.join(installed)}"
        return Finding("onnxruntime", found, keep_one(installed))
    return Finding("onnxruntime", runtime.version, "Nothing: it is here, and loads.")


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
            found, advice = "unknown", "Install onnxruntime to find out."
        case True:
            found = "sums of products of signed weights overflow on this CPU"
            advice = "Nothing: albert-edge changes int8 models on loading; other tools do not."
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
