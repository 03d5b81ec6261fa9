"""Facts about the activation functions that config.json's hidden_act names."""

from __future__ import annotations

# The names of GELU, with its approximation as an attribute of ONNX's Gelu operator.
GELUS = {
    "gelu": "none",
    "gelu_python": "none",
    "gelu_accurate": "tanh",
    "gelu_fast": "tanh",
    "gelu_new": "tanh",
    "gelu_python_tanh": "tanh",
    "gelu_pytorch_tanh": "tanh",
}

# Minima, rounded away from zero, of the functions whose range is far larger above zero than below.
LOWER_BOUNDS = {
    **dict.fromkeys(GELUS, -0.1701),
    "gelu_10": -0.1701,
    "hardswish": -0.3751,
    "laplace": 0.0,
    "mish": -0.3089,
    "quick_gelu": -0.1637,
    "relu": 0.0,
    "relu2": 0.0,
    "relu6": 0.0,
    "sigmoid": 0.0,
    "silu": -0.2785,
    "sqrtsoftplus": 0.0,
    "swish": -0.2785,
}
