"""Names of tensors: legacy spellings, parameters with two names, and tensors to ignore.

Canonical names are those of transformers' current ALBERT classes, with the `albert.` prefix.
Accepted besides: AlbertModel's names without the prefix, and TensorFlow's gamma and beta.
"""

from __future__ import annotations

from albert_edge.architecture.weights import find_weight

# Saved by transformers before 4.31; not parameters.
BUFFERS = frozenset({"albert.embeddings.position_ids", "albert.embeddings.token_type_ids"})

# The decoder's parameters that transformers ties to others, by name.
TIED = {
    "predictions.decoder.bias": "predictions.bias",
    "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
}

_BODY = ("embeddings.", "encoder.", "pooler.")
_LAYER_NORM = {"gamma": "weight", "beta": "bias"}


def canonical_name(name: str) -> str:
    """Return the name that transformers' current ALBERT classes give a tensor.

    >>> canonical_name("encoder.embedding_hidden_mapping_in.weight")
    'albert.encoder.embedding_hidden_mapping_in.weight'
    >>> canonical_name("albert.embeddings.LayerNorm.gamma")
    'albert.embeddings.LayerNorm.weight'
    """
    if name.startswith(_BODY):
        name = f"albert.{name}"
    module, _, leaf = name.rpartition(".")
    norm = find_weight(current := f"{module}.{_LAYER_NORM.get(leaf, leaf)}")
    return current if norm and norm.kind == "norm" else name
