"""A checkpoint's config.json -> that of a bundle, as every tool that opens the bundle reads it."""

from __future__ import annotations

import json
from pathlib import Path

from albert_edge.architecture.config import (
    AlbertConfig,
    read_config,
    read_fields,
    with_whole_sizes,
)
from albert_edge.architecture.heads import HEADS


def bundle_config(path: Path, head: str, config: AlbertConfig, *, has_pooler: bool) -> bytes:
    """Return a config.json that leaves nothing to guess; the bytes of one that does not already.

    It names the type of model and its class; sizes are integers, and class ids "0", "1", "2";
    num_labels, if given, is their number; problem_type is one of transformers'; and a body without
    a pooler says so.

    Args:
        path: The checkpoint's config.json, which `read_config` accepts.
        head: A key of `HEADS`.
        config: What was read from it, completed by the tensors; or one of its `depths`.
        has_pooler: Whether the model has a pooler, or a head that needs none.
    """
    values = read_fields(path).values
    fields = with_whole_sizes(values)
    if config.num_hidden_layers != read_config(path).num_hidden_layers:
        fields["num_hidden_layers"] = config.num_hidden_layers
        fields["num_hidden_groups"] = config.num_hidden_groups
        if "pruned_heads" in fields:
            fields |= config.width_fields
    fields.setdefault("model_type", "albert")
    if not fields.get("architectures"):
        fields["architectures"] = [HEADS[head].class_name]
    if by_id := fields.get("id2label"):
        fields["id2label"] = {str(index): label for index, label in enumerate(config.labels)}
        if len(by_id) != config.num_labels:
            fields.pop("label2id", None)
    if fields.get("num_labels") != config.num_labels:
        fields.pop("num_labels", None)
    if fields.get("problem_type") != config.problem_type:
        fields.pop("problem_type")
    fields.pop("add_pooling_layer", None)
    if not has_pooler:
        fields["add_pooling_layer"] = False
    if fields == values and all(type(fields[name]) is type(values[name]) for name in values):
        return path.read_bytes()
    return (json.dumps(fields, indent=2) + "\n").encode()
