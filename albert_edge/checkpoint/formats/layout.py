"""Tensors of TensorFlow, Keras and Flax -> PyTorch's layout, which transposes linear layers."""

from __future__ import annotations

from dataclasses import replace

from albert_edge.checkpoint.formats.base import StoredTensor

# The last part of a parameter's name in Keras and Flax -> in PyTorch.
_LEAVES = {
    "kernel": "weight",
    "gamma": "weight",
    "scale": "weight",
    "embedding": "weight",
    "embeddings": "weight",
    "beta": "bias",
}


def in_pytorch_layout(tensor: StoredTensor, name: str) -> StoredTensor:
    """Return a tensor under a name of PyTorch.

    Args:
        tensor: Stored as its framework does; its own name ends with "kernel" if it is the matrix
            of a linear layer, (in_features, out_features).
        name: Its name in PyTorch.
    """
    if not tensor.name.endswith("kernel"):
        return replace(tensor, name=name)
    return replace(tensor, name=name, shape=tensor.shape[::-1], read=lambda: tensor.read().T)


def pytorch_name(parts: list[str]) -> str:
    """Join the parts of a name in Keras or Flax to its name in PyTorch.

    >>> pytorch_name(["albert", "pooler", "kernel"])
    'albert.pooler.weight'
    """
    *modules, leaf = parts
    return ".".join([*modules, _LEAVES.get(leaf, leaf)])
