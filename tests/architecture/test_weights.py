"""The table of weights, compared with the modules of transformers."""

from __future__ import annotations

from typing import Any

import pytest
from support.checkpoints import MODEL_CLASSES, make_model

from albert_edge.architecture.activations import LOWER_BOUNDS
from albert_edge.architecture.heads import HEADS, head_of_class
from albert_edge.architecture.weights import WEIGHTS, belongs_to_head, find_weight, with_indices

KINDS = {
    ("Linear", "weight"): "matrix",
    ("Embedding", "weight"): "table",
    ("Linear", "bias"): "bias",
    ("AlbertMLMHead", "bias"): "bias",
    ("LayerNorm", "weight"): "norm",
    ("LayerNorm", "bias"): "norm",
    ("PReLU", "weight"): "parameter",
}
DECODER = "predictions.decoder."  # tied: a table and a bias under second names


@pytest.mark.parametrize("task", MODEL_CLASSES)
def test_every_parameter_of_transformers_has_a_row(task: str) -> None:
    assert HEADS[task].class_name == MODEL_CLASSES[task]
    assert head_of_class(MODEL_CLASSES[task]) == task
    model: Any = make_model(task, hidden_act="prelu")
    prefix = "albert." if task == "feature-extraction" else ""
    seen = set()
    for path, module in model.named_modules():
        for leaf, _ in module.named_parameters(recurse=False):
            name = f"{prefix}{path}.{leaf}"
            if name.startswith(DECODER):
                continue
            spec = find_weight(name)
            assert spec is not None, name
            assert spec.kind == KINDS[type(module).__name__, leaf], name
            assert spec.is_exported
            assert with_indices(spec.name, name) == name
            assert belongs_to_head(name) == (
                not name.startswith(("albert.embeddings.", "albert.encoder."))
            )
            seen.add(name)
    assert {*HEADS[task].biases} <= seen


def test_rows_agree_with_each_other() -> None:
    for name, row in WEIGHTS.items():
        assert row.name == name
        assert (row.kind == "matrix") == (row.reads is not None and row.kind != "bias")
        assert all(WEIGHTS[part].kind == row.kind for part in row.parts)
        if row.reads and row.reads.smoothing:
            assert WEIGHTS[row.reads.smoothing].kind == "smoothing"


@pytest.mark.parametrize("hidden_act", LOWER_BOUNDS)
def test_lower_bounds_are_minima(hidden_act: str) -> None:
    """What is shifted by the bound is never below zero, and starts close to it."""
    import torch
    from torch.nn import functional
    from transformers.activations import ACT2FN

    newer = {  # than some versions of transformers
        "hardswish": functional.hardswish,
        "sqrtsoftplus": lambda x: functional.softplus(x).sqrt(),
    }
    function = newer.get(hidden_act) or ACT2FN[hidden_act]
    bound = LOWER_BOUNDS[hidden_act]
    x = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
    lowest = float(function(x).min())
    assert bound <= lowest <= bound + 2e-4 * max(1.0, abs(bound))
