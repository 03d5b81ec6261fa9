"""onnxruntime's execution providers: what they are called, how each is got, which are here."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from albert_edge.errors import DeviceError, MissingExtraError


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider.

    Attributes:
        name: What onnxruntime calls it.
        target: Whose operators run fastest on it.
        package: What pip installs in place of onnxruntime to have it; empty if there is none.
        plugin: What pip installs beside onnxruntime to have it; empty if it is no plugin.
        system: The only platform it exists on, as `sys.platform` has it; empty if there are more.
        numbered: Whether its option device_id tells several devices apart.
    """

    name: str
    target: str = "portable"
    package: str = ""
    plugin: str = ""
    system: str = ""
    numbered: bool = False

    @property
    def how_to_get_it(self) -> str:
        """What to do where it is missing."""
        if self.system not in ("", sys.platform):
            return f"It exists on {_SYSTEMS[self.system]} only. Use device 'cpu'."
        if self.plugin:
            return f"pip install --upgrade onnxruntime {self.plugin}"
        if self.package:
            return f"pip uninstall -y onnxruntime && pip install {self.package}"
        return "Install an onnxruntime that was built with it, or use device 'cpu'."


_SYSTEMS = {"darwin": "macOS", "win32": "Windows"}

# By the short names users may call them.
PROVIDERS = {
    "cpu": Provider("CPUExecutionProvider", "cpu"),
    "cuda": Provider("CUDAExecutionProvider", "cuda", "'albert-edge[gpu]'", numbered=True),
    "openvino": Provider("OpenVINOExecutionProvider", package="onnxruntime-openvino"),
    "coreml": Provider("CoreMLExecutionProvider", package="onnxruntime", system="darwin"),
    "directml": Provider(
        "DmlExecutionProvider", package="onnxruntime-directml", system="win32", numbered=True
    ),
    "xnnpack": Provider("XnnpackExecutionProvider"),
    "webgpu": Provider("WebGpuExecutionProvider", plugin="onnxruntime-ep-webgpu"),
    "qnn": Provider("QNNExecutionProvider", plugin="onnxruntime-qnn"),
}


def find_provider(name: str) -> Provider | None:
    """The provider of a short name, or of onnxruntime's name for it; None if there is none."""
    for short, provider in PROVIDERS.items():
        if name in (short, provider.name):
            return provider
    return Provider(name) if name in load_onnxruntime().get_all_providers() else None


def is_available(provider: Provider) -> bool:
    """Whether the onnxruntime that is installed has the provider, or a plugin brings it."""
    built_in = provider.name in load_onnxruntime().get_available_providers()
    return built_in or bool(plugin_devices(provider))


def plugin_devices(provider: Provider) -> list[Any]:
    """The devices of a provider that is a plugin, which is registered if it is installed.

    Raises:
        DeviceError: onnxruntime cannot load the plugin, or it found no device.
    """
    ort = load_onnxruntime()
    if not hasattr(ort, "get_ep_devices"):  # before onnxruntime 1.23
        return []
    found = _devices(ort, provider)
    if found or not provider.plugin:
        return found
    module = provider.plugin.replace("-", "_")
    try:
        library = import_module(module).get_library_path()
    except ImportError:
        return []
    try:
        ort.register_execution_provider_library(module, library)
    except Exception as error:  # onnxruntime has no public base class for its errors
        raise DeviceError(
            f"onnxruntime {ort.__version__} cannot load {provider.plugin}: {error}",
            tip=f"pip install --upgrade onnxruntime {provider.plugin}",
        ) from error
    found = _devices(ort, provider)
    if not found:
        raise DeviceError(
            f"{provider.plugin} is installed and found no device here.",
            tip="Update the driver of the device, or use device 'cpu'.",
        )
    return found


def _devices(ort: ModuleType, provider: Provider) -> list[Any]:
    return [device for device in ort.get_ep_devices() if device.ep_name == provider.name]


def cuda_devices() -> int:
    """How many CUDA devices NVIDIA's driver knows; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    return 0 if failed else count.value


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
