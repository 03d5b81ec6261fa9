"""Map the name of a device to the execution provider that runs a model on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from albert_edge.errors import DeviceError, UsageError
from albert_edge.runtime.providers import (
    PROVIDERS,
    Provider,
    cuda_devices,
    find_provider,
    how_to_get,
    is_available,
    load_onnxruntime,
)


@dataclass(frozen=True, slots=True)
class Device:
    """A device to run models on.

    Attributes:
        name: The name users give it, such as "cpu" or "cuda:1".
        provider: Its execution provider.
        options: Options of the execution provider.
        note: The reason for choosing it, if "auto" chose it.
    """

    name: str
    provider: Provider
    options: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def is_cpu(self) -> bool:
        """Whether it is onnxruntime's own CPU execution provider."""
        return self.provider is PROVIDERS["cpu"]


CPU = Device("cpu", PROVIDERS["cpu"])


def find_devices(
    device: str | int | None, options: Mapping[str, Any] | None = None
) -> list[Device]:
    """Return the devices that a name stands for, in the order to try them in.

    Args:
        device: "auto" or None: CUDA if there is a GPU, else the CPU. "cpu", "cuda", "cuda:1" and so
            on, "openvino", "coreml", "directml", "xnnpack", "webgpu", "qnn", or onnxruntime's name
            of any execution provider. As in transformers, 0 is "cuda:0" and -1 is "cpu".
        options: Options of the execution provider, as onnxruntime documents them.

    Returns:
        One device; for "auto" possibly several, of which the last is the CPU.

    Raises:
        DeviceError: The installed onnxruntime does not have the execution provider.
        UsageError: There is no such device, or options are given for "auto".
    """
    name = _name(device)
    if name == "auto":
        if options:
            raise UsageError(
                "Provider options need a named device, and the device is 'auto'.",
                tip="Name the device they are for, such as 'openvino'.",
            )
        return _automatic()
    short, colon, index = name.partition(":")
    provider = find_provider(short)
    if provider is None or (colon and not (provider.numbered and index.isdecimal())):
        raise UsageError(
            f"There is no device {name!r}.",
            tip=f"Devices are: auto, {', '.join(PROVIDERS)}, cuda:1 and so on, or the name of "
            "another execution provider of onnxruntime.",
        )
    if not is_available(provider):
        raise DeviceError(
            f"device {name!r}: the installed onnxruntime {load_onnxruntime().__version__} "
            f"has no {provider.name}.",
            tip=how_to_get(provider),
        )
    settings = {"device_id": index} if index else {}
    settings |= {str(key): str(value) for key, value in (options or {}).items()}
    return [Device(name, provider, settings)]


def _name(device: str | int | None) -> str:
    if device is None:
        return "auto"
    if isinstance(device, int):
        return "cpu" if device == -1 else f"cuda:{device}"
    return str(device)  # a torch.device has these names too


def _automatic() -> list[Device]:
    cuda = PROVIDERS["cuda"]
    if not is_available(cuda):
        return [Device("cpu", CPU.provider, note="this onnxruntime is for CPUs")]
    if not cuda_devices():
        return [Device("cpu", CPU.provider, note="no CUDA device was found")]
    return [Device("cuda", cuda, note="a CUDA device was found"), CPU]
