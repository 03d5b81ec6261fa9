"""onnxruntime's own operators in numpy, as its ContribOperators.md defines them.

onnx's reference evaluator runs graphs with them, so that no kernel has to be believed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

Array = npt.NDArray[Any]


class _Contrib(OpRun):
    op_domain = "com.microsoft"
    op_schema = None  # the standard has operators of the same names


def _split(x: Array, heads: int) -> Array:
    return np.swapaxes(x.reshape(*x.shape[:2], heads, -1), 1, 2)


def _attend(query: Array, key: Array, value: Array, bias: Array, heads: int) -> Array:
    query, key, value = (_split(x, heads) for x in (query, key, value))
    scores = np.einsum("bhqd,bhkd->bhqk", query, key) / math.sqrt(query.shape[-1]) + bias
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed: Array = np.einsum("bhqk,bhkd->bqhd", weights, value)
    return mixed.reshape(*mixed.shape[:2], -1).astype(np.float32)


class Attention(_Contrib):
    def _run(self, *operands: Any, num_heads: int) -> tuple[Array]:
        x, weight, bias, mask, past, scores = operands
        assert mask is None and past is None
        query, key, value = np.split(x @ weight + bias, 3, axis=-1)
        return (_attend(query, key, value, scores, num_heads),)


class MultiHeadAttention(_Contrib):
    def _run(self, *operands: Any, num_heads: int) -> tuple[Array]:
        query, key, value, bias, mask, scores = operands
        assert bias is None and mask is None
        return (_attend(query, key, value, scores, num_heads),)


class SkipLayerNormalization(_Contrib):
    def _run(self, *operands: Any, epsilon: float) -> tuple[Array]:
        x, skip, gamma, beta, bias = operands
        total = x + skip + bias
        centred = total - total.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
        return ((centred / spread * gamma + beta).astype(np.float32),)


class BiasGelu(_Contrib):
    def _run(self, x: Array, bias: Array) -> tuple[Array]:
        y = x + bias
        return ((y / 2 * (1 + np.vectorize(math.erf)(y / math.sqrt(2)))).astype(np.float32),)


class FastGelu(_Contrib):
    def _run(self, x: Array, bias: Array) -> tuple[Array]:
        y = x + bias
        inner = math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)
        return ((y / 2 * (1 + np.tanh(inner))).astype(np.float32),)


CONTRIB_OPS: list[type[OpRun]] = [
    Attention,
    MultiHeadAttention,
    SkipLayerNormalization,
    BiasGelu,
    FastGelu,
]
