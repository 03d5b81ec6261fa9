"""Bundles with early exits: random weights, and a threshold at which some texts stop early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx.parser

from albert_edge.architecture.heads import HEADS
from albert_edge.bundle.bundle import open_bundle
from albert_edge.bundle.change import change
from albert_edge.bundle.manifest import MODEL, Variant

NAMES = {"fp32": "model_optimized_exits", "int8": "model_quantized_exits"}

_GRAPHS = {
    "text-classification": """
g (int64[1,L] input_ids, int64[1,L] attention_mask, int64[1,L] token_type_ids)
    => (float[1,2] logits, int64[1] layers)
<int64[1] depth = {4}, int64[1] one = {1}, float[1,2] scale = {0.01, 0.02}>
{
    seen = Mul(input_ids, attention_mask)
    total = ReduceSum<keepdims=0>(seen)
    rest = Mod(total, depth)
    layers = Add(rest, one)
    shape = Shape(input_ids)
    length = ReduceProd<keepdims=0>(shape)
    both = Add(total, length)
    number = Cast<to=1>(both)
    scaled = Mul(number, scale)
    logits = Sin(scaled)
    unused = Identity(token_type_ids)
}""",
    "token-classification": "",
}


def add_exits(
    folder: Path,
    precision: str = "fp32",
    *,
    promised_agreement: float | None = 0.99,
    **changes: Any,
) -> Variant:
    """Add a variant with early exits to a bundle."""
    with change(folder) as pending:
        bundle = open_bundle(folder)
        head = bundle.manifest.head
        text = f'<ir_version: 8, opset_import: ["" : 17]> {_GRAPHS[head]}'
        path = pending.path(f"onnx/{NAMES[precision]}.onnx")
        path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
        variant = Variant(
            name=NAMES[precision],
            files={MODEL: (pending.record(path),)},
            inputs={MODEL: HEADS[head].inputs},
            precision=precision,
            target="cpu",
            layout="loop",
            opset=17,
            exits=3,
            promised_agreement=promised_agreement,
        )
        pending.manifest = bundle.manifest.with_variant(variant)
    return variant
