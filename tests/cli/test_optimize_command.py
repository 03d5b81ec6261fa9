"""`albert-edge optimize`: what it prints and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.command_line import (
    Cli,
    contents,
)

from albert_edge.bundle.bundle import open_bundle


def test_optimize_lists_what_it_did(cli: Cli, own: Path) -> None:
    done = cli("optimize", own, "--layout", "unrolled")
    manifest = open_bundle(own).manifest
    variant = next(v for v in manifest.variants if v.name == "model_optimized")
    assert done.code == 0
    assert variant.layout == "unrolled"
    assert {"first-token", "fused-attention", "fused-gelu", "no-key-bias"} == set(
        variant.optimizations
    )
    for name, count in variant.optimizations.items():
        assert re.search(rf"^{name} +{count} +\w", done.out, re.MULTILINE)
    assert done.out.endswith(f"{own / 'onnx/model_optimized.onnx'}\n")
    assert re.search(
        r"Operators: \d+ before, \d+ after. Largest difference from fp32: \d", done.err
    )


def test_optimize_json(cli: Cli, own: Path) -> None:
    done = cli("optimize", own, "--target", "portable", "--json")
    document = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert document["schema_version"] == 1
    assert document["variant"]["name"] == "model_optimized_portable"
    assert document["variant"]["optimizations"] == {"first-token": 1}
    assert document["nodes_after"] < document["nodes_before"]
    assert 0 <= document["largest_difference"] <= 1e-4


@pytest.mark.parametrize(
    ("option", "code"),
    [("--target=gpu", 2), ("--layout=bad", 2), ("--logits=bad", 2), ("--logits=masked", 2)],
)
def test_optimize_usage(option: str, code: int, cli: Cli, own: Path) -> None:
    before = contents(own)
    done = cli("optimize", own, option)
    assert (done.code, done.out) == (code, "")
    assert contents(own) == before
