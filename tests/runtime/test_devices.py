"""Devices by name: which provider each is, what is said where it is missing, what auto takes."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.checkpoints import make_model

import albert_edge
from albert_edge.bundle.bundle import Bundle, open_bundle
from albert_edge.errors import BundleError, DeviceError, UsageError
from albert_edge.runtime import engine, providers
from albert_edge.runtime.device import CPU, Device, find_devices
from albert_edge.runtime.providers import PROVIDERS, Provider, cuda_devices
from albert_edge.runtime.session import Session
from albert_edge.runtime.variants import choose_variant

# In every build for CPUs; it is loaded, and runs no operator of these models.
IDLE = "AzureExecutionProvider"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("devices")
    make_model("text-classification").save_pretrained(folder / "checkpoint")
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    albert_edge.optimize(folder / "bundle")
    return open_bundle(folder / "bundle")


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """An onnxruntime with all execution providers."""
    ort = providers.load_onnxruntime()
    monkeypatch.setattr(ort, "get_available_providers", ort.get_all_providers)


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(
    "name, provider, options",
    [
        ("cpu", "CPUExecutionProvider", {}),
        ("cuda", "CUDAExecutionProvider", {}),
        ("cuda:0", "CUDAExecutionProvider", {"device_id": "0"}),
        ("cuda:12", "CUDAExecutionProvider", {"device_id": "12"}),
        ("CUDAExecutionProvider", "CUDAExecutionProvider", {}),
        ("openvino", "OpenVINOExecutionProvider", {}),
        ("coreml", "CoreMLExecutionProvider", {}),
        ("directml:1", "DmlExecutionProvider", {"device_id": "1"}),
        ("xnnpack", "XnnpackExecutionProvider", {}),
        ("webgpu", "WebGpuExecutionProvider", {}),
        ("qnn", "QNNExecutionProvider", {}),
        ("TensorrtExecutionProvider", "TensorrtExecutionProvider", {}),
    ],
)
def test_a_name_is_a_provider(name: str, provider: str, options: dict[str, str]) -> None:
    (device,) = find_devices(name)
    assert (device.name, device.provider.name, device.options) == (name, provider, options)
    assert provider in providers.load_onnxruntime().get_all_providers()
    assert device.is_cpu == (name == "cpu")


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(
    "device, name", [(0, "cuda:0"), (3, "cuda:3"), (-1, "cpu"), (None, "auto")]
)
def test_devices_as_transformers_takes_them(device: int | None, name: str) -> None:
    assert find_devices(device) == find_devices(name)


def test_a_negative_device_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cuda:-2"):
        find_devices(-2)


@pytest.mark.usefixtures("everything")
def test_options_are_passed_on_as_texts() -> None:
    (device,) = find_devices("openvino", {"device_type": "GPU", "num_of_threads": 2})
    assert device.options == {"device_type": "GPU", "num_of_threads": "2"}
    (device,) = find_devices("cuda:1", {"use_tf32": 0})
    assert device.options == {"device_id": "1", "use_tf32": "0"}


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(
    "name", ["tpu", "", ":", "cuda:", "cuda:x", "cuda:-1", "cuda:1:2", "cpu:0"]
)
def test_what_is_no_device_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="There is no device") as caught:
        find_devices(name)
    assert "openvino" in caught.value.tip


def test_options_for_auto_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="auto") as caught:
        find_devices("auto", {"device_id": 1})
    assert "Name the device" in caught.value.tip


@pytest.mark.parametrize(
    "name, pip",
    [
        ("cuda", "pip install 'albert-edge[gpu]'"),
        ("cuda:1", "pip install 'albert-edge[gpu]'"),
        ("openvino", "pip install onnxruntime-openvino"),
        ("webgpu", "onnxruntime-ep-webgpu"),
        ("qnn", "onnxruntime-qnn"),
        ("xnnpack", "built with it"),
        ("ROCMExecutionProvider", ""),
        ("MIGraphXExecutionProvider", "built with it"),
    ],
)
def test_what_is_missing_is_said_with_the_pip_line(name: str, pip: str) -> None:
    kind = DeviceError if pip else UsageError  # which onnxruntime no longer knows
    with pytest.raises(kind, match=name) as caught:
        find_devices(name)
    assert pip in caught.value.tip
    assert caught.value.exit_code == (4 if pip else 2)


@pytest.mark.parametrize(
    "name, system, others",
    [("coreml", "darwin", "macOS only"), ("directml", "win32", "Windows only")],
)
def test_providers_of_one_system(
    name: str, system: str, others: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert "pip install onnxruntime" in PROVIDERS[name].how_to_get_it
    monkeypatch.setattr(sys, "platform", "linux")
    assert others in PROVIDERS[name].how_to_get_it


# --- what really loads ----------------------------------------------------------------------


def test_a_provider_that_runs_nothing_is_an_error(bundle: Bundle) -> None:
    # onnxruntime loads it in silence and gives every operator to the CPU.
    with pytest.raises(DeviceError, match=f"{IDLE} took no operator"):
        Session(bundle, device=IDLE)


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize("name", ["cuda", "openvino"])
def test_a_provider_that_does_not_load_is_an_error(bundle: Bundle, name: str) -> None:
    with pytest.raises(DeviceError, match=f"'{name}': .* did not load") as caught:
        Session(bundle, device=name)
    assert "pip install" in caught.value.tip


def test_a_file_onnxruntime_cannot_read_is_no_error_of_the_device(tmp_path: Path) -> None:
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(b"nothing")
    with pytest.raises(BundleError, match="cannot load"):
        engine.load_engine(damaged, CPU, 1)


# --- auto -----------------------------------------------------------------------------------


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """An onnxruntime with CUDA and a device for it, whose libraries are missing."""
    ort = providers.load_onnxruntime()
    monkeypatch.setattr(ort, "get_available_providers", ort.get_all_providers)
    monkeypatch.setattr("albert_edge.runtime.device.cuda_devices", lambda: 1)


def test_auto_is_the_cpu_where_onnxruntime_has_no_cuda(bundle: Bundle) -> None:
    with Session(bundle) as session:
        assert session.device.is_cpu
        assert "for CPUs" in session.device.note


@pytest.mark.usefixtures("everything")
def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("albert_edge.runtime.device.cuda_devices", lambda: 0)
    (device,) = find_devices("auto")
    assert device.is_cpu
    assert "no CUDA device" in device.note


@pytest.mark.usefixtures("cuda")
def test_auto_tries_cuda_first_and_says_why_not(bundle: Bundle) -> None:
    first, last = find_devices("auto")
    assert (first.name, last) == ("cuda", CPU)
    with Session(bundle, device="auto") as session:
        assert session.device.name == "cpu"
        assert "CUDAExecutionProvider did not load" in session.device.note
        assert session.variant.name == "model_optimized"


def test_the_driver_is_asked_for_its_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    def driver(failed: int, count: int) -> Any:
        def count_devices(address: Any) -> int:
            address._obj.value = count
            return 0

        return SimpleNamespace(cuInit=lambda flags: failed, cuDeviceGetCount=count_devices)

    for failed, count, wanted in ((0, 2, 2), (0, 0, 0), (100, 2, 0)):
        monkeypatch.setattr(ctypes, "CDLL", lambda name, f=failed, c=count: driver(f, c))
        assert cuda_devices() == wanted

    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert cuda_devices() == 0


# --- plugins --------------------------------------------------------------------------------


def plugin(monkeypatch: pytest.MonkeyPatch, devices: list[Any], fails: str = "") -> list[str]:
    """An onnxruntime that finds `devices` once the plugin for WebGPU is registered."""
    ort = providers.load_onnxruntime()
    registered: list[str] = []

    def register(name: str, path: str) -> None:
        if fails:
            raise RuntimeError(fails)
        registered.append(path)

    module = SimpleNamespace(get_library_path=lambda: "webgpu.so")
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_webgpu", module)
    monkeypatch.setattr(ort, "register_execution_provider_library", register)
    monkeypatch.setattr(ort, "get_ep_devices", lambda: devices if registered else [])
    return registered


def test_a_plugin_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = SimpleNamespace(ep_name="WebGpuExecutionProvider")
    other = SimpleNamespace(ep_name="CPUExecutionProvider")
    registered = plugin(monkeypatch, [other, gpu])
    for _ in range(2):
        (device,) = find_devices("webgpu")
        assert providers.plugin_devices(device.provider) == [gpu]
    assert registered == ["webgpu.so"]


def test_a_plugin_without_a_device_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(monkeypatch, [])
    with pytest.raises(DeviceError, match="found no device") as caught:
        find_devices("webgpu")
    assert "pip install" not in caught.value.tip  # it is installed


def test_a_plugin_that_does_not_load_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(monkeypatch, [], fails="of another version")
    with pytest.raises(DeviceError, match="of another version") as caught:
        find_devices("webgpu")
    assert "--upgrade" in caught.value.tip


# --- variants -------------------------------------------------------------------------------


def with_variants(bundle: Bundle, *pairs: tuple[str, str]) -> Bundle:
    like = bundle.manifest.variants[0]
    variants = tuple(
        replace(like, name=f"{precision}-{target}", precision=precision, target=target)
        for precision, target in pairs
    )
    return Bundle(bundle.storage, replace(bundle.manifest, variants=variants))


ALL = [
    ("fp32", "portable"),
    ("fp32", "cpu"),
    ("fp32", "cuda"),
    ("int8", "cpu"),
    ("fp16", "portable"),
    ("fp16", "cuda"),
]


@pytest.mark.parametrize(
    "short, precision, wanted",
    [
        ("cpu", "auto", "int8-cpu"),
        ("cpu", "fp32", "fp32-cpu"),
        ("cpu", "fp16", "fp16-portable"),
        ("cuda", "auto", "fp16-cuda"),
        ("cuda", "fp32", "fp32-cuda"),
        ("openvino", "auto", "fp16-portable"),
        ("openvino", "fp32", "fp32-portable"),
    ],
)
def test_each_device_gets_its_variant(
    bundle: Bundle, short: str, precision: str, wanted: str
) -> None:
    device = Device(short, PROVIDERS[short])
    assert choose_variant(with_variants(bundle, *ALL), device, precision).name == wanted
    backwards = with_variants(bundle, *reversed(ALL))
    assert choose_variant(backwards, device, precision).name == wanted


@pytest.mark.parametrize("short", ["cuda", "openvino"])
def test_integers_are_for_cpus(bundle: Bundle, short: str) -> None:
    device = Device(short, PROVIDERS[short])
    with pytest.raises(BundleError, match=f"no int8 variant for {short}"):
        choose_variant(with_variants(bundle, *ALL), device, "int8")


def test_a_sibling_is_the_same_with_other_threads(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROVIDERS, "twin", Provider("CPUExecutionProvider"))
    ids = {"input_ids": np.arange(1, 9)[None]}
    for device in ("cpu", "twin"):
        with Session(bundle, device=device, variant="model", threads=2) as session:
            sibling = session.sibling(1)
            assert (sibling.threads, sibling.variant) == (1, session.variant)
            assert sibling.device == session.device
            np.testing.assert_array_equal(sibling.run(ids)["logits"], session.run(ids)["logits"])
