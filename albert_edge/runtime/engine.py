"""Load .onnx files with onnxruntime on one device, without silent fallback to another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from albert_edge.errors import BundleError, DeviceError
from albert_edge.runtime.adaptation import Adaptation
from albert_edge.runtime.cpus import usable_cpus
from albert_edge.runtime.device import CPU, Device
from albert_edge.runtime.inputs import Arrays
from albert_edge.runtime.memory import return_freed_memory
from albert_edge.runtime.model_source import ModelFile, ModelSource, path_of, read_source
from albert_edge.runtime.providers import PROVIDERS, load_onnxruntime, plugin_devices


def load_engine(
    model: ModelFile, device: Device, threads: int, *, adaptation: Adaptation | None = None
) -> Any:
    """Load an .onnx file.

    Args:
        model: The file.
        device: The device to run it on.
        threads: Threads inside one run, for operators that run on the CPU.
        adaptation: How to change an int8 model before loading.

    Returns:
        An onnxruntime.InferenceSession.

    Raises:
        BundleError: onnxruntime cannot load the file.
        DeviceError: The execution provider did not load.
    """
    source = read_source(model, adaptation)  # checked, if others made it, before all else
    ort = load_onnxruntime()
    options = session_options(threads)
    if not device.is_cpu:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    path = path_of(model)
    try:
        engine = _load(ort, source, options, device)
    except Exception as error:  # onnxruntime has no public base class for its errors
        if device.is_cpu:
            raise BundleError(
                f"onnxruntime {ort.__version__} cannot load {path}: {error}",
                tip="Update onnxruntime, or export the model again.",
            ) from error
        raise _not_loaded(device, str(error)) from error
    if not device.is_cpu:
        _require_use(engine, device)
    del source
    return_freed_memory()
    return engine


def _load(ort: ModuleType, source: ModelSource, options: Any, device: Device) -> Any:
    settings = dict(device.options)
    if device.provider.name not in ort.get_available_providers():
        options.add_provider_for_devices(plugin_devices(device.provider)[:1], settings)
        return source.make_session(options, enable_fallback=0)
    if device.provider is PROVIDERS["cuda"] and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # CUDA and cuDNN, if pip installed them
    providers: list[Any] = [(device.provider.name, settings)]
    if not device.is_cpu:  # the CPU runs operators for which the provider has no kernel
        providers.append(CPU.provider.name)
    return source.make_session(options, providers=providers, enable_fallback=0)


def _require_use(engine: Any, device: Device) -> None:
    """Raise DeviceError unless the provider was loaded and runs at least part of the graph."""
    provider = device.provider.name
    if provider not in engine.get_providers():
        raise _not_loaded(device, "onnxruntime's own messages above say why")
    # Some providers load, then leave every operator to the CPU, as OpenVINO does with an unknown
    # device_type. onnxruntime reports the assignment since 1.24.
    if hasattr(engine, "get_provider_graph_assignment_info"):
        parts = engine.get_provider_graph_assignment_info()
        if all(part.ep_name != provider for part in parts):
            raise DeviceError(
                f"device {device.name!r}: {provider} took no operator of the model.",
                tip="Check the provider options, or use device 'cpu'.",
            )


def _not_loaded(device: Device, why: str) -> DeviceError:
    tip = f"Check its driver and libraries. {device.provider.how_to_get_it}"
    if device.provider is PROVIDERS["cuda"]:
        tip = "See nvidia-smi for the driver; CUDA and cuDNN: pip install 'albert-edge[gpu]'"
    return DeviceError(
        f"device {device.name!r}: {device.provider.name} did not load: {why}.", tip=tip
    )


def run_file(
    model: ModelFile, *, adaptation: Adaptation | None = None
) -> Callable[[Mapping[str, Any]], Arrays]:
    """Load an .onnx file outside of a bundle on the CPU, as a function of named arrays.

    Args:
        model: The file.
        adaptation: As in `load_engine`.
    """
    path = path_of(model)
    return_freed_memory()  # of what ran before: what loading takes comes on top
    engine = load_engine(model, CPU, usable_cpus(), adaptation=adaptation)
    inputs = [value.name for value in engine.get_inputs()]
    outputs = [value.name for value in engine.get_outputs()]

    def run(arrays: Mapping[str, Any]) -> Arrays:
        try:
            values = engine.run(outputs, {name: arrays[name] for name in inputs})
        except Exception as error:  # onnxruntime has no public base class for its errors
            raise BundleError(
                f"onnxruntime cannot run {path.name}: {error}", tip="Update onnxruntime."
            ) from error
        return dict(zip(outputs, values, strict=True))

    return run


def session_options(threads: int) -> Any:
    """Return the onnxruntime.SessionOptions that every model is loaded with.

    Args:
        threads: Threads inside one run.
    """
    ort = load_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Above this level, onnxruntime fuses into operators that are slower on a CPU, and its memory
    # grows with the number of times a layer is applied.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Memory patterns, one for each input shape, save no time here and cost memory with texts of
    # many lengths.
    options.enable_mem_pattern = False
    # Otherwise the content would decide in which of its formats onnxruntime reads it.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Threads stop spinning when a run ends, which leaves the cores to the rest of the program.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options
