"""Read and apply the Dense module of sentence-transformers, a linear layer after pooling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from albert_edge.json_fields import JsonObject, MakeError, parse_object
from albert_edge.runtime.vectors import sigmoid

Vector = npt.NDArray[np.float32]

_ACTIVATIONS: dict[str, Callable[[Vector], Vector]] = {
    "Identity": lambda values: values,
    "ReLU": lambda values: np.maximum(values, 0),
    "Sigmoid": sigmoid,
    "Tanh": np.tanh,
}
# Modules whose input and output have other names are not supported.
EMBEDDING = {
    "module_input_name": "sentence_embedding",
    "module_output_name": "sentence_embedding",
}
_TANH = "torch.nn.modules.activation.Tanh"  # the default of sentence-transformers


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer with an activation function.

    Attributes:
        weight: (out_features, in_features).
        bias: (out_features,).
        activation: The activation function, applied to each element.
    """

    weight: Vector
    bias: Vector
    activation: Callable[[Vector], Vector]

    def __call__(self, vector: Vector) -> Vector:
        """Map (in_features,) to (out_features,)."""
        return self.activation(self.weight @ vector + self.bias)


def read_dense(settings: JsonObject, weights: Path) -> Dense:
    """Read a layer from its configuration and its weights.

    Args:
        settings: Its config.json. An unsupported setting, damaged weights or weights that do not
            fit raise the error of these settings.
        weights: Its model.safetensors, in float32 as the export writes it.
    """
    settings.require(**EMBEDDING, use_residual=False)
    activation = settings.text("activation_function", _TANH)
    owner, _, function = activation.rpartition(".")
    if not f"{owner}.".startswith("torch.nn.") or function not in _ACTIVATIONS:
        raise settings.fault("activation_function", f"{', '.join(_ACTIVATIONS)} of torch.nn")
    tensors = _tensors(weights, settings.error)
    rows, columns = settings.integer("out_features"), settings.integer("in_features")
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": (rows, columns)}
    if settings.flag("bias", True):
        shapes["linear.bias"] = (rows,)
    stored = {name: values.shape for name, values in tensors.items()}
    if stored != shapes:
        raise settings.error(
            f"{settings.place}: {weights.name} has the shapes {stored}, expected {shapes}."
        )
    weight = tensors["linear.weight"]
    bias = tensors.get("linear.bias", np.zeros(len(weight), np.float32))
    return Dense(weight, bias, _ACTIVATIONS[function])


def _tensors(path: Path, error: MakeError) -> dict[str, Vector]:
    """Read a safetensors file: the length of a JSON header, the header, the values."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = parse_object(data[8:start], f"the header of {path}", error)
    header.values.pop("__metadata__", None)
    return {name: _tensor(header.object(name), data[start:]) for name in header.values}


def _tensor(entry: JsonObject, data: bytes) -> Vector:
    shape, offsets = entry.integers("shape"), entry.integers("data_offsets")
    try:
        return np.frombuffer(data[slice(*offsets)], "<f4").reshape(shape).astype(np.float32)
    except (TypeError, ValueError):
        raise entry.fault("data_offsets", f"where {shape} values are") from None
