"""What narrowing holds in memory: one inverse, and nothing from one width to the next."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from support.checkpoints import TINY

from albert_edge.architecture.config import read_config
from albert_edge.graph.build import author
from albert_edge.graph.observer import groups
from albert_edge.graph.plan import Plan
from albert_edge.pruning.covariance import Covariance
from albert_edge.pruning.layers import Layers
from albert_edge.pruning.moments import Moments

HEAD = "text-classification"
NEURONS = 1024
ONE_LAYER = {"num_hidden_groups": 1, "inner_group_num": 1, "intermediate_size": NEURONS}
INVERSE = 8 * NEURONS**2  # bytes


@dataclass
class Use:
    """Memory of Python and numpy in bytes: the most, and what is left."""

    peak: int = 0
    left: int = 0


@contextmanager
def traced() -> Iterator[Use]:
    use = Use()
    tracemalloc.start()
    try:
        yield use
        use.left, use.peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


def moments(folder: Path, features: int) -> Moments:
    rows = np.random.default_rng(0).normal(size=(2 * features, features)).astype(np.float32)
    whole, cuts = rows.T @ rows / np.float32(len(rows)), groups(features)
    blocks = [whole[a, b] for count, a in enumerate(cuts, 1) for b in cuts[:count]]
    return Moments(rows.mean(axis=0), Covariance.write(folder / str(features), blocks))


def test_narrowing_holds_one_inverse(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**TINY, **ONE_LAYER}), encoding="utf-8")
    config = read_config(tmp_path / "config.json")
    authored = author(config, HEAD, Plan())
    draw = np.random.default_rng(1)
    floats = {
        name: draw.normal(size=weight.shape).astype(np.float32)
        for name, weight in authored.weights.items()
    }
    seen = {
        name: moments(tmp_path, len(floats[name]))
        for name in floats
        if name.endswith(("ffn_output.weight", "attention.dense.weight"))
    }
    with traced() as use:
        layers = Layers(config, floats, seen)
    assert INVERSE < use.peak < 1.6 * INVERSE, use.peak / INVERSE
    assert use.left < 0.05 * INVERSE, use.left / INVERSE

    path = tmp_path / "narrow.onnx"
    with traced() as use:
        layers.write(replace(layers.full, neurons=NEURONS - 64), HEAD, Plan(), path)
    assert path.stat().st_size > 4 * NEURONS
    assert use.peak < 1.6 * INVERSE, use.peak / INVERSE
    assert use.left < 0.25 * INVERSE, use.left / INVERSE
