"""Names of tensors: legacy spellings, prefixes, parameters with two names, buffers.

Canonical names are those of transformers' current ALBERT classes, with the `albert.` prefix.
Accepted besides: AlbertModel's names without the prefix, TensorFlow's gamma and beta, and any
prefix before all names of the body, as wrappers leave them: `module.` (DataParallel), `_orig_mod.`
(torch.compile), `model.` (Lightning), `base_model.model.` (peft), `module.encoder.` (PL-BERT).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from albert_edge.architecture.weights import find_weight

# Saved by transformers before 4.31; not parameters.
BUFFERS = frozenset({"albert.embeddings.position_ids", "albert.embeddings.token_type_ids"})

# The decoder's parameters that transformers ties to others, by name.
TIED = {
    "predictions.decoder.bias": "predictions.bias",
    "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
}

BODY = "albert."
POOLER = "albert.pooler."

_BODY = ("embeddings.", "encoder.", "pooler.")
_LAYER_NORM = {"gamma": "weight", "beta": "bias"}

# Modules that only an ALBERT has, behind the shortest prefix.
_ENCODER = re.compile(
    r"(?P<prefix>(?:[^.]+\.)*?)(?:albert\.)?encoder\."
    r"(?:embedding_hidden_mapping_in|albert_layer_groups)\."
)


def find_prefixes(names: Iterable[str]) -> list[str]:
    """Find what stands before the names of each ALBERT in a checkpoint, "" for nothing.

    >>> find_prefixes(["module.albert.encoder.embedding_hidden_mapping_in.bias", "loss.weight"])
    ['module.']
    """
    matches = map(_ENCODER.match, names)
    return sorted({match["prefix"] for match in matches if match})


def canonical_names(names: Sequence[str]) -> list[str]:
    """Return the canonical names of all tensors of a checkpoint, without prefixes.

    Where others begin with `albert.`, an unknown tensor of an `encoder` is a module beside ALBERT.

    >>> canonical_names(["albert.pooler.bias", "encoder.lstm.weight"])
    ['albert.pooler.bias', 'encoder.lstm.weight']
    >>> canonical_names(["pooler.bias", "encoder.lstm.weight"])
    ['albert.pooler.bias', 'albert.encoder.lstm.weight']
    """
    canonical = map(canonical_name, names)
    if not any(name.startswith(BODY) for name in names):
        return list(canonical)
    return [
        current if find_weight(current) or current in BUFFERS else name
        for name, current in zip(names, canonical, strict=True)
    ]


def canonical_name(name: str) -> str:
    """Return the name that transformers' current ALBERT classes give a tensor.

    >>> canonical_name("encoder.embedding_hidden_mapping_in.weight")
    'albert.encoder.embedding_hidden_mapping_in.weight'
    >>> canonical_name("albert.embeddings.LayerNorm.gamma")
    'albert.embeddings.LayerNorm.weight'
    """
    if name.startswith(_BODY):
        name = f"{BODY}{name}"
    module, _, leaf = name.rpartition(".")
    norm = find_weight(current := f"{module}.{_LAYER_NORM.get(leaf, leaf)}")
    return current if norm and norm.kind == "norm" else name
