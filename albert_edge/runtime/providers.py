"""onnxruntime's execution providers: their names, packages and availability."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from albert_edge.errors import DeviceError, InstallationError
from albert_edge.packages import (
    distributions_of,
    explain_import,
    how_to_repair,
    import_extra,
    keep_one,
    too_old,
)


@dataclass(frozen=True, slots=True)
class Provider:
    """An execution provider.

    Attributes:
        name: Its name in onnxruntime.
        target: The variant target that runs fastest on it.
        package: The package that contains it and replaces onnxruntime; empty if there is none.
        plugin: The package that adds it to onnxruntime; empty if it is not a plugin.
        system: The only platform it exists on, a value of `sys.platform`; empty for several.
        numbered: Whether its option device_id selects one of several devices.
    """

    name: str
    target: str = "portable"
    package: str = ""
    plugin: str = ""
    system: str = ""
    numbered: bool = False

    @property
    def how_to_get_it(self) -> str:
        """Say how to install it."""
        if self.system not in ("", sys.platform):
            return f"It exists on {_SYSTEMS[self.system]} only. Use device 'cpu'."
        if self.plugin:
            return f"pip install --upgrade onnxruntime {self.plugin}"
        if self.package:
            return f"pip uninstall -y onnxruntime && pip install {self.package}"
        return "Install an onnxruntime that was built with it, or use device 'cpu'."


_SYSTEMS = {"darwin": "macOS", "win32": "Windows"}

# Keys are the names that users pass as `device`.
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


def how_to_get(provider: Provider) -> str:
    """Say how to install a provider here, where packages may lie over each other."""
    installed = list(distributions_of("onnxruntime"))
    return keep_one(installed) if len(installed) > 1 else provider.how_to_get_it


OLDEST = "1.22"  # as the extras in pyproject.toml require


def find_provider(name: str) -> Provider | None:
    """Return the provider of a device name or of onnxruntime's own name, or None."""
    for short, provider in PROVIDERS.items():
        if name in (short, provider.name):
            return provider
    return Provider(name) if name in load_onnxruntime().get_all_providers() else None


def is_available(provider: Provider) -> bool:
    """Return whether the installed onnxruntime, or an installed plugin, has the provider."""
    built_in = provider.name in load_onnxruntime().get_available_providers()
    return built_in or bool(plugin_devices(provider))


def plugin_devices(provider: Provider) -> list[Any]:
    """Return the devices of a plugin provider, after registering the plugin if it is installed.

    Raises:
        DeviceError: onnxruntime cannot load the plugin, or the plugin finds no device.
    """
    ort = load_onnxruntime()
    if not hasattr(ort, "get_ep_devices"):  # before onnxruntime 1.23
        return []
    devices = _devices(ort, provider)
    if devices or not provider.plugin:
        return devices
    module = provider.plugin.replace("-", "_")
    try:
        library = import_module(module).get_library_path()
    except ModuleNotFoundError:
        return []
    except Exception as error:
        raise explain_import(error, module) from error
    try:
        ort.register_execution_provider_library(module, library)
    except Exception as error:  # onnxruntime has no public base class for its errors
        raise DeviceError(
            f"onnxruntime {ort.__version__} cannot load {provider.plugin}: {error}",
            tip=f"pip install --upgrade onnxruntime {provider.plugin}",
        ) from error
    devices = _devices(ort, provider)
    if not devices:
        raise DeviceError(
            f"{provider.plugin} is installed and found no device here.",
            tip="Update the driver of the device, or use device 'cpu'.",
        )
    return devices


def _devices(ort: ModuleType, provider: Provider) -> list[Any]:
    return [device for device in ort.get_ep_devices() if device.ep_name == provider.name]


def cuda_devices() -> int:
    """Return how many CUDA devices NVIDIA's driver reports; 0 without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    return 0 if failed else count.value


def load_onnxruntime() -> ModuleType:
    """Import onnxruntime with its telemetry off.

    Since 1.29 onnxruntime reports usage unless this variable is set before the import.

    Raises:
        InstallationError: onnxruntime is not installed, does not load, is too old, or several
            versions of it are installed over each other.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    ort: ModuleType = import_extra("onnxruntime", extra="cpu", purpose="Running a model")
    try:
        version, library = ort.__version__, ort.get_version_string()
    except AttributeError as error:  # a file of the user with this name
        raise explain_import(error, "onnxruntime", extra="cpu") from error
    if _release(version) < _release(OLDEST):
        raise too_old(ort, OLDEST)
    if _release(version) != _release(library):
        raise InstallationError(
            f"The Python files of onnxruntime are of version {version}, its library of "
            f"{library}: two packages are installed over each other.",
            tip=how_to_repair("onnxruntime"),
            where=ort.__file__,
        )
    return ort


def _release(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:2]]
