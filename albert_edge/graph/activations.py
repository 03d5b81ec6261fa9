"""The activation functions of config.json's hidden_act, under the names transformers gives them.

All are written in standard operators. An activation is a Module, since two of them (prelu, xielu)
have parameters, named as in the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir
from onnxscript import OpBuilder, nn

from albert_edge.architecture.activations import GELUS
from albert_edge.errors import ConfigError


class Activation(nn.Module):
    """Apply the function called `hidden_act` element by element."""

    def __init__(self, hidden_act: str) -> None:
        super().__init__()
        if hidden_act not in ACTIVATIONS:
            raise ConfigError(
                f"config.json: hidden_act is {hidden_act!r}, which is not a known activation.",
                tip=f"Known are: {', '.join(ACTIVATIONS)}.",
            )
        self.hidden_act = hidden_act
        if hidden_act == "prelu":
            self.weight = nn.Parameter([1])
        elif hidden_act == "xielu":
            self.alpha_p = nn.Parameter([1])
            self.alpha_n = nn.Parameter([1])
            self.beta = nn.Parameter([])
            self.eps = nn.Parameter([])

    def forward(self, op: OpBuilder, x: ir.Value) -> ir.Value:
        """Map (...) to (...)."""
        return ACTIVATIONS[self.hidden_act](op, x, *self.parameters())


def _erf_gelu(op: OpBuilder, x: ir.Value) -> ir.Value:
    # Hendrycks & Gimpel 2016, https://arxiv.org/abs/1606.08415: x times the normal CDF of x.
    half_x = op.Mul(x, 0.5)
    return op.Mul(half_x, op.Add(op.Erf(op.Mul(x, math.sqrt(0.5))), 1.0))


def _tanh_gelu(op: OpBuilder, x: ir.Value) -> ir.Value:
    # The tanh approximation of the same paper, as in Google's BERT and ALBERT code.
    cubic = op.Add(op.Mul(op.Mul(op.Mul(x, x), 0.044715), x), x)
    tanh = op.Tanh(op.Mul(cubic, math.sqrt(2.0 / math.pi)))
    return op.Mul(op.Mul(x, 0.5), op.Add(tanh, 1.0))


def _silu(op: OpBuilder, x: ir.Value) -> ir.Value:
    return op.Mul(x, op.Sigmoid(x))


def _relu_squared(op: OpBuilder, x: ir.Value) -> ir.Value:
    positive = op.Relu(x)
    return op.Mul(positive, positive)


def _laplace(op: OpBuilder, x: ir.Value) -> ir.Value:
    # Ma et al. 2022 (MEGA), https://arxiv.org/abs/2209.10655, with its published constants.
    mean, deviation = 0.707107, 0.282095
    scaled = op.Div(op.Sub(x, mean), deviation * math.sqrt(2.0))
    return op.Mul(op.Add(op.Erf(scaled), 1.0), 0.5)


def _xielu(
    op: OpBuilder, x: ir.Value, alpha_p: ir.Value, alpha_n: ir.Value, beta: ir.Value, eps: ir.Value
) -> ir.Value:
    # Huang & Schlag 2024, https://arxiv.org/abs/2411.13010.
    square_scale = op.Softplus(alpha_p)
    exp_scale = op.Add(op.Softplus(alpha_n), beta)
    positive = op.Mul(op.Mul(x, x), square_scale)
    negative = op.Mul(op.Sub(op.Sub(op.Exp(op.Min(x, eps)), 1.0), x), exp_scale)
    return op.Add(op.Where(op.Greater(x, 0.0), positive, negative), op.Mul(x, beta))


ACTIVATIONS: dict[str, Callable[..., ir.Value]] = {
    **{name: _tanh_gelu if kind == "tanh" else _erf_gelu for name, kind in GELUS.items()},
    "gelu_10": lambda op, x: op.Clip(_erf_gelu(op, x), -10.0, 10.0),
    "quick_gelu": lambda op, x: op.Mul(x, op.Sigmoid(op.Mul(x, 1.702))),
    "hardswish": lambda op, x: op.HardSwish(x),
    "laplace": _laplace,
    "leaky_relu": lambda op, x: op.LeakyRelu(x, alpha=0.01),
    "linear": lambda op, x: op.Identity(x),
    "mish": lambda op, x: op.Mul(x, op.Tanh(op.Softplus(x))),
    "prelu": lambda op, x, slope: op.PRelu(x, slope),
    "relu": lambda op, x: op.Relu(x),
    "relu2": _relu_squared,
    "relu6": lambda op, x: op.Clip(x, 0.0, 6.0),
    "sigmoid": lambda op, x: op.Sigmoid(x),
    "silu": _silu,
    "sqrtsoftplus": lambda op, x: op.Sqrt(op.Softplus(x)),
    "swish": _silu,
    "tanh": lambda op, x: op.Tanh(x),
    "xielu": _xielu,
}
