"""Work by formula, against what onnxruntime says its operators do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.checkpoints import make_model

from albert_edge.architecture.config import AlbertConfig, read_config
from albert_edge.architecture.work import multiply_accumulates
from albert_edge.benchmark.roofline import count_work
from albert_edge.benchmark.shapes import make_inputs
from albert_edge.graph.build import author
from albert_edge.graph.plan import OPTIMIZATIONS, Plan
from albert_edge.graph.writer import write_model

LENGTH = 7


def written(config: AlbertConfig, head: str, path: Path) -> Path:
    authored = author(config, head, Plan("cpu", "loop", OPTIMIZATIONS["cpu"]))
    write_model(authored, lambda name: np.ones(authored.weights[name].shape, np.float32), path)
    return path


@pytest.mark.parametrize(
    ("head", "changes", "of_head"),
    [
        ("text-classification", {}, 24 * 24 + 24 * 2),
        ("text-classification", {"num_hidden_groups": 1, "inner_group_num": 1}, 24 * 24 + 24 * 2),
        ("token-classification", {"num_hidden_layers": 5}, LENGTH * 24 * 2),
    ],
)
@pytest.mark.parametrize("pruned", [(), ((1,), (), (0, 2), (2,))], ids=["all-heads", "pruned"])
def test_work_is_what_is_run(
    head: str, changes: dict[str, Any], of_head: int, pruned: Any, tmp_path: Path
) -> None:
    make_model(head, **changes).config.save_pretrained(tmp_path)
    config = read_config(tmp_path / "config.json")
    config = replace(config, pruned_heads=pruned[: config.distinct_layers])
    inputs = make_inputs((1, LENGTH), config, head)
    run = count_work(written(config, head, tmp_path / "model.onnx"), inputs)
    counted = sum(macs for _, macs, _ in run.values())
    assert multiply_accumulates(config, head, LENGTH) == counted - of_head


def test_work_up_to_an_exit(tmp_path: Path) -> None:
    """Every application is of all tokens but the last, where the head reads [CLS] only."""
    make_model("text-classification").config.save_pretrained(tmp_path)
    config = read_config(tmp_path / "config.json")
    counts = [multiply_accumulates(config, "text-classification", 9, n) for n in range(5)]
    assert counts[0] == 9 * 16 * 24
    steps = np.diff(counts)
    assert steps[0] == steps[1] == steps[2] > steps[3]
    assert counts[4] == multiply_accumulates(config, "text-classification", 9)
