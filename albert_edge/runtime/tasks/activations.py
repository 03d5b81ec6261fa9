"""The activation functions of torch.nn, by the names under which sentence-transformers saves them.

sentence-transformers saves the class of a function and calls it without arguments when it loads
it. So a function has torch's defaults, whatever arguments the saved one had, and a class that needs
arguments, such as Threshold, cannot be loaded at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from albert_edge.runtime.vectors import Floats, sigmoid, softmax

Activation = Callable[[Floats], Floats]

_erf = np.frompyfunc(math.erf, 1, 1)  # numpy has none
# Self-normalizing Neural Networks, Klambauer et al. 2017, equation 14.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def leaky_relu(slope: float | Floats) -> Activation:
    """Make the function that multiplies negative values by a slope."""
    return lambda values: np.where(values >= 0, values, slope * values)


def _softplus(values: Floats) -> Floats:
    smooth: Floats = np.maximum(values, 0) + np.log1p(np.exp(-np.abs(values)))
    return smooth


def _elu(values: Floats, alpha: float = 1.0) -> Floats:
    return np.where(values > 0, values, alpha * np.expm1(np.minimum(values, 0)))


def _gelu(values: Floats) -> Floats:
    gate: Floats = 0.5 * (1 + _erf(values / math.sqrt(2)).astype(np.float32))
    return values * gate


def _glu(values: Floats) -> Floats:
    half = values.shape[-1] // 2
    return values[..., :half] * sigmoid(values[..., half:])


def _hardsigmoid(values: Floats) -> Floats:
    return np.clip(values + 3, 0, 6) / np.float32(6)


def _log_softmax(values: Floats) -> Floats:
    shifted = values - values.max(axis=-1, keepdims=True)
    logarithms: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logarithms


ACTIVATIONS: dict[str, Activation] = {
    "CELU": _elu,
    "ELU": _elu,
    "GELU": _gelu,
    "GLU": _glu,
    "Hardshrink": lambda values: np.where(np.abs(values) > 0.5, values, 0),
    "Hardsigmoid": _hardsigmoid,
    "Hardswish": lambda values: values * _hardsigmoid(values),
    "Hardtanh": lambda values: np.clip(values, -1, 1),
    "Identity": lambda values: values,
    "LeakyReLU": leaky_relu(0.01),
    "LogSigmoid": lambda values: -_softplus(-values),
    "LogSoftmax": _log_softmax,
    "Mish": lambda values: values * np.tanh(_softplus(values)),
    "PReLU": leaky_relu(0.25),
    "RReLU": leaky_relu((1 / 8 + 1 / 3) / 2),
    "ReLU": lambda values: np.maximum(values, 0),
    "ReLU6": lambda values: np.clip(values, 0, 6),
    "SELU": lambda values: _SELU_SCALE * _elu(values, _SELU_ALPHA),
    "SiLU": lambda values: values * sigmoid(values),
    "Sigmoid": sigmoid,
    "Softmax": softmax,
    "Softmin": lambda values: softmax(-values),
    "Softplus": _softplus,
    "Softshrink": lambda values: values - np.clip(values, -0.5, 0.5),
    "Softsign": lambda values: values / (1 + np.abs(values)),
    "Tanh": np.tanh,
    "Tanhshrink": lambda values: values - np.tanh(values),
}
"""Each maps (..., size) to the same shape; only GLU halves the size. Softmax, Softmin, LogSoftmax
and GLU act along the last axis, all others on each element. PReLU has the slope it starts training
with, RReLU the one it has after training."""


def find_activation(name: str) -> str | None:
    """Return the key of `ACTIVATIONS` for a name that sentence-transformers saved, if it has one.

    Args:
        name: Such as "torch.nn.modules.activation.Tanh" or, shorter, "torch.nn.Tanh".
    """
    owner, _, function = name.rpartition(".")
    is_torch = f"{owner}.".startswith("torch.nn.")
    return function if is_torch and function in ACTIVATIONS else None
