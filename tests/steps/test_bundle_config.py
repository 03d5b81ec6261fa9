"""The config.json of a bundle: unchanged, unless something in the checkpoint's was left open."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from support.checkpoints import TINY, change_config, drop_fields

import albert_edge
from albert_edge.runtime.session import Session

REFERENCE: Any = transformers
SIZES = [name for name, value in TINY.items() if isinstance(value, int)]


@pytest.mark.parametrize("task", ["fill-mask", "text-classification"])
def test_a_tidy_one_is_copied(task: str, checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    folder = checkpoint(task, num_labels=3)
    change_config(folder, unread={"a": [1.0, None, "é"]}, num_labels=3)
    albert_edge.export(folder, tmp_path / "bundle")
    copied = (tmp_path / "bundle" / "config.json").read_bytes()
    assert copied == (folder / "config.json").read_bytes()


@pytest.mark.reference
def test_transformers_reads_what_it_could_not(
    checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    """Every quirk at once; the model behind them is an ordinary one."""
    folder = checkpoint("text-classification", num_labels=3)
    model = REFERENCE.AlbertForSequenceClassification.from_pretrained(folder).eval()
    fields = json.loads((folder / "config.json").read_text())
    drop_fields(folder, "model_type", "architectures")
    change_config(
        folder,
        **{name: float(fields[name]) for name in SIZES},
        id2label={"00": "a", "01": None, "02": 2},
        label2id={"a": 0},
        num_labels=None,
        problem_type="sentiment",
        add_pooling_layer=False,
        net_structure_type=0,
    )
    albert_edge.export(folder, tmp_path / "bundle", task="text-classification")
    config = REFERENCE.AutoConfig.from_pretrained(tmp_path / "bundle")
    assert {name: getattr(config, name) for name in SIZES} == {n: fields[n] for n in SIZES}
    assert all(type(getattr(config, name)) is int for name in SIZES)
    assert config.architectures == ["AlbertForSequenceClassification"]
    assert (config.id2label, config.problem_type) == ({0: "a", 1: None, 2: 2}, None)
    assert config.net_structure_type == 0
    ids = np.random.default_rng(0).integers(0, fields["vocab_size"], (2, 7))
    with torch.inference_mode():
        expected = model(torch.from_numpy(ids)).logits.numpy()
    with Session(tmp_path / "bundle", device="cpu") as session:
        logits = session.run({"input_ids": ids})["logits"]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-5)
