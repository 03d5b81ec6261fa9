"""A linear layer after pooling, as the Dense module of sentence-transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from albert_edge.runtime.vectors import sigmoid

Vector = npt.NDArray[np.float32]


_ACTIVATIONS: dict[str, Callable[[Vector], Vector]] = {
    "Identity": lambda values: values,
    "ReLU": lambda values: np.maximum(values, 0),
    "Sigmoid": sigmoid,
    "Tanh": np.tanh,
}
# What sentence-transformers does where the configuration does not say.
_DEFAULTS = {
    "activation_function": "torch.nn.modules.activation.Tanh",
    "module_input_name": "sentence_embedding",
    "module_output_name": "sentence_embedding",
    "use_residual": False,
    "bias": True,
}


@dataclass(frozen=True, slots=True)
class Dense:
    """A matrix, a bias and a function of each element.

    Attributes:
        weight: (out_features, in_features).
        bias: (out_features,).
        activation: The function.
    """

    weight: Vector
    bias: Vector
    activation: Callable[[Vector], Vector]

    def __call__(self, vector: Vector) -> Vector:
        """Map (in_features,) to (out_features,)."""
        return self.activation(self.weight @ vector + self.bias)


def read_dense(config: Mapping[str, Any], weights: bytes) -> Dense:
    """Make the layer of its configuration and its weights.

    Args:
        config: The content of config.json.
        weights: The content of model.safetensors, of float32 as the export writes it.

    Raises:
        ValueError: A setting is not supported, or the weights are damaged or do not fit.
    """
    settings = {**_DEFAULTS, **config}
    for name in ("module_input_name", "module_output_name", "use_residual"):
        if settings[name] not in (_DEFAULTS[name], None):
            raise ValueError(f"{name} is {settings[name]!r}, which is not supported")
    owner, _, function = str(settings["activation_function"]).rpartition(".")
    if not f"{owner}.".startswith("torch.nn.") or function not in _ACTIVATIONS:
        raise ValueError(
            f"activation_function is {settings['activation_function']!r}; "
            f"supported are {', '.join(_ACTIVATIONS)} of torch.nn"
        )
    tensors = _tensors(weights)
    rows, columns = config.get("out_features"), config.get("in_features")
    shapes: dict[str, tuple[Any, ...]] = {"linear.weight": (rows, columns)}
    if settings["bias"]:
        shapes["linear.bias"] = (rows,)
    found = {name: values.shape for name, values in tensors.items()}
    if found != shapes:
        raise ValueError(f"its weights have the shapes {found}, expected {shapes}")
    weight = tensors["linear.weight"]
    bias = tensors.get("linear.bias", np.zeros(len(weight), np.float32))
    return Dense(weight, bias, _ACTIVATIONS[function])


def _tensors(data: bytes) -> dict[str, Vector]:
    """The tensors of a safetensors file: the length of a JSON header, the header, the values."""
    start = 8 + int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8:start])
        header.pop("__metadata__", None)
        return {
            name: np.frombuffer(data[start:][slice(*entry["data_offsets"])], "<f4")
            .reshape(entry["shape"])
            .astype(np.float32)
            for name, entry in header.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"its weights are damaged: {error!r}") from error
