"""What the user calls a device -> execution providers. Nothing falls back in silence."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from albert_edge.errors import DeviceError, MissingExtraError, UsageError


@dataclass(frozen=True, slots=True)
class Device:
    """A device that was chosen.

    Attributes:
        name: What users call it.
        target: Whose operators run fastest on it.
        providers: onnxruntime's execution providers, the first one asked for.
    """

    name: str
    target: str
    providers: tuple[str, ...]


CPU = Device("cpu", "cpu", ("CPUExecutionProvider",))


def find_device(name: str) -> Device:
    """Choose the device of a name.

    Args:
        name: "auto" or "cpu".

    Raises:
        DeviceError: The device is not supported here.
        UsageError: There is no such device.
    """
    if name in ("auto", "cpu"):
        return CPU
    if name.partition(":")[0] == "cuda":
        raise DeviceError(
            f"device {name!r}: this version runs on the CPU only.", tip="Use device 'cpu'."
        )
    raise UsageError(f"There is no device {name!r}.", tip="Devices are: auto, cpu.")


def load_onnxruntime() -> ModuleType:
    """Import onnxruntime with its telemetry off.

    Since 1.29 it reports usage unless told otherwise before it initialises.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        return import_module("onnxruntime")
    except ImportError:
        raise MissingExtraError("onnxruntime", extra="cpu", purpose="Running a model") from None
