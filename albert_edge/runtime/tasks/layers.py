"""Read and apply the modules of sentence-transformers that map one vector to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from albert_edge.bundle.sentence_layout import MODULE_CONFIG, MODULE_WEIGHTS, Module, SentenceFiles
from albert_edge.json_fields import JsonObject, parse_object
from albert_edge.runtime.tasks.activations import ACTIVATIONS, find_activation, leaky_relu
from albert_edge.runtime.tasks.pooling import EMBEDDING, TOKENS, Features, Vector
from albert_edge.runtime.vectors import unit

_TANH = "torch.nn.modules.activation.Tanh"  # the default of sentence-transformers
_EPSILON = 1e-5  # of torch.nn.LayerNorm, which sentence-transformers does not configure
_OF_A_BATCH = ("LogSoftmax", "Softmax", "Softmin")


@dataclass(frozen=True, slots=True)
class Layer:
    """A module that maps one feature of a text to another.

    Attributes:
        module: Its entry in modules.json.
        function: Maps (..., inputs) to (..., outputs).
        source: The feature it reads.
        target: The feature it writes.
        inputs: How many numbers it takes, or None for any number.
    """

    module: Module
    function: Callable[[Vector], Vector]
    source: str = EMBEDDING
    target: str = EMBEDDING
    inputs: int | None = None

    def __call__(self, features: Features, prompt: int) -> None:
        """Add what it makes to the features of a text."""
        features[self.target] = self.function(features[self.source])


def read_dense(files: SentenceFiles, module: Module) -> Layer:
    """Read a Dense module: a linear layer with an activation function.

    An unsupported setting, damaged weights or weights of other shapes raise the error of the files.
    """
    settings = files.object(f"{module.folder}/{MODULE_CONFIG}")
    source, target = _features(settings)
    activation = _activation(settings, source)
    rows, columns = settings.integer("out_features", low=1), settings.integer("in_features", low=1)
    if activation == "GLU" and rows % 2:
        raise settings.fault("out_features", "an even number, which GLU halves")
    has_residual = settings.flag("use_residual", None) or False
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": (rows, columns)}
    if settings.flag("bias", True):
        shapes["linear.bias"] = (rows,)
    if has_residual and rows != columns:
        shapes["residual.weight"] = (rows, columns)
    if activation == "PReLU":
        shapes["activation_function.weight"] = (1,)
    weights = _weights(files, module, shapes)
    slope = weights.get("activation_function.weight")
    activate = ACTIVATIONS[activation] if slope is None else leaky_relu(slope)
    bias = weights.get("linear.bias", np.zeros(rows, np.float32))

    def apply(values: Vector) -> Vector:
        result = activate(values @ weights["linear.weight"].T + bias)
        if has_residual:
            projection = weights.get("residual.weight")
            result = result + (values if projection is None else values @ projection.T)
        return result

    return Layer(module, apply, source, target, columns)


def read_layer_norm(files: SentenceFiles, module: Module) -> Layer:
    """Read a LayerNorm module, with the errors of `read_dense`."""
    settings = files.object(f"{module.folder}/{MODULE_CONFIG}")
    size = settings.integer("dimension", low=1)
    weights = _weights(files, module, {"norm.weight": (size,), "norm.bias": (size,)})

    def apply(values: Vector) -> Vector:
        centred = values - values.mean(axis=-1, keepdims=True)
        deviation: Vector = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + _EPSILON)
        scaled: Vector = centred / deviation * weights["norm.weight"]
        return scaled + weights["norm.bias"]

    return Layer(module, apply, inputs=size)


def read_dropout(files: SentenceFiles, module: Module) -> Layer:
    """Read a Dropout module, which changes nothing after training."""
    return Layer(module, lambda values: values)


def read_normalize(files: SentenceFiles, module: Module) -> Layer:
    """Read a Normalize module, which has settings since version 6 of sentence-transformers."""
    settings = files.object(f"{module.folder}/{MODULE_CONFIG}")
    return Layer(module, unit, *_features(settings))


def _features(settings: JsonObject) -> tuple[str, str]:
    source = settings.text("module_input_name", None) or EMBEDDING
    return source, settings.text("module_output_name", None) or source


def _activation(settings: JsonObject, source: str) -> str:
    saved = settings.text("activation_function", _TANH)
    name = find_activation(saved)
    if name is None:
        raise settings.error(
            f"{settings.place}: activation_function is {saved!r}; supported are those of torch.nn "
            f"that need no arguments: {', '.join(ACTIVATIONS)}."
        )
    if source == TOKENS and name in _OF_A_BATCH:
        # torch.nn.Softmax() of three axes acts along the first, which is that of the texts.
        raise settings.fault(
            "activation_function", "another one for tokens, since its values depend on the batch"
        )
    return name


def _weights(
    files: SentenceFiles, module: Module, shapes: dict[str, tuple[int, ...]]
) -> dict[str, Vector]:
    """Read a safetensors file in float32: the length of a JSON header, the header, the values."""
    file = f"{module.folder}/{MODULE_WEIGHTS}"
    place = files.root / file
    data = files.read(file)
    if data is None:
        raise files.error(f"{place} does not exist.")
    start = 8 + int.from_bytes(data[:8], "little")
    header = parse_object(data[8:start], f"the header of {place}", files.error)
    header.values.pop("__metadata__", None)
    weights = {name: _tensor(header.object(name), data[start:]) for name in header.values}
    stored = {name: values.shape for name, values in weights.items()}
    if stored != shapes:
        raise files.error(
            f"{place} has the shapes {stored}, and {module.folder}/{MODULE_CONFIG} asks for "
            f"{shapes}."
        )
    return weights


def _tensor(entry: JsonObject, data: bytes) -> Vector:
    shape, offsets = entry.integers("shape"), entry.integers("data_offsets")
    try:
        return np.frombuffer(data[slice(*offsets)], "<f4").reshape(shape).astype(np.float32)
    except (TypeError, ValueError):
        raise entry.fault("data_offsets", f"where {shape} values are") from None
