"""`albert-edge inspect`: its numbers agree with the files."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from math import prod
from pathlib import Path

import onnx
import pytest
from safetensors import safe_open
from support.command_line import (
    SHIPPED,
    Cli,
)

import albert_edge


def sizes(checkpoint: Path) -> dict[str, int]:
    """Values of every tensor, read by safetensors."""
    with safe_open(checkpoint / "model.safetensors", "numpy") as file:
        return {name: prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def operators(graph: onnx.GraphProto) -> Counter[str]:
    """Operators of a graph and of the graphs inside it."""
    found: Counter[str] = Counter()
    for node in graph.node:
        found[f"{node.domain}.{node.op_type}".lstrip(".")] += 1
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                found += operators(inner)
    return found


@pytest.mark.parametrize("task", ["text-classification", "fill-mask", "pretraining"])
def test_inspect_agrees_with_the_files(
    task: str, cli: Cli, tmp_path: Path, checkpoint: Callable[..., Path]
) -> None:
    source, bundle = checkpoint(task), tmp_path / "bundle"
    albert_edge.export(source, bundle)
    albert_edge.optimize(bundle)
    found = json.loads(cli("inspect", bundle, "--json").out)
    expected = sizes(source)
    assert found["schema_version"] == 1
    assert found["head"] == task
    assert found["parameters"] == sum(expected.values())
    groups: Counter[str] = Counter()
    for name, size in expected.items():
        groups[name.rpartition(".")[0]] += size
    assert {group["name"]: group["parameters"] for group in found["groups"]} == groups
    assert all(group["bytes"] == 4 * group["parameters"] for group in found["groups"])
    geometry = json.loads((source / "config.json").read_text())
    assert found["geometry"]["hidden_size"] == geometry["hidden_size"] == 24
    assert [variant["name"] for variant in found["variants"]] == ["model", "model_optimized"]
    for variant in found["variants"]:
        path = bundle / "onnx" / f"{variant['name']}.onnx"
        assert variant["bytes"] == path.stat().st_size
        assert variant["operators"] == operators(onnx.load(path).graph)


def test_inspect_for_people(cli: Cli, langid: Path) -> None:
    done = cli("inspect", langid)
    total = sum(sizes(SHIPPED).values())
    assert (done.code, done.err) == (0, "")
    assert re.search(rf"^total +{total:,} +2\.0 MB$", done.out, re.MULTILINE)
    assert re.search(r"^hidden_size +128$", done.out, re.MULTILINE)
    assert "en, de, fr, es, zh" in done.out
    assert "model_optimized: fp32, cpu, loop" in done.out
