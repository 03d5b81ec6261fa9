"""What the user calls a device -> the execution provider to load a model on."""

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
    is_available,
    load_onnxruntime,
)


@dataclass(frozen=True, slots=True)
class Device:
    """A device that was chosen.

    Attributes:
        name: What users call it, such as "cpu" or "cuda:1".
        provider: The execution provider.
        options: What the provider is told.
        note: Why it was chosen, if "auto" chose it.
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
    """The devices that a name stands for, in the order in which they are to be tried.

    Args:
        device: "auto" or None: CUDA where there is a GPU, else the CPU. "cpu", "cuda", "cuda:1" and
            so on, "openvino", "coreml", "directml", "xnnpack", "webgpu", "qnn", or onnxruntime's
            name of any execution provider. As transformers takes them, 0 is "cuda:0" and -1 "cpu".
        options: What the execution provider is told, in its own words.

    Returns:
        One device, or several for "auto", of which the last is the CPU.

    Raises:
        DeviceError: The onnxruntime that is installed has no such execution provider.
        UsageError: There is no such device, or it takes no options.
    """
    name = _name(device)
    if name == "auto":
        if options:
            raise UsageError(
                "Provider options are for one execution provider, and the device is 'auto'.",
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
            f"device {name!r}: onnxruntime {load_onnxruntime().__version__} as it is installed "
            f"here has no {provider.name}.",
            tip=provider.how_to_get_it,
        )
    told = {str(key): str(value) for key, value in (options or {}).items()}
    return [Device(name, provider, {"device_id": index, **told} if index else told)]


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
