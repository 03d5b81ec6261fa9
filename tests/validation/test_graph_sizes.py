"""Graphs that are small in the runs that are easily foreseen, and large in others."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from support.authored import Case, all_nodes, config
from support.graph_growth import GROWTHS, Builder, grown
from support.paths import DATA
from support.stored_models import short_text, stored

import albert_edge
from albert_edge.bundle.manifest import MANIFEST
from albert_edge.errors import BundleError
from albert_edge.graph.plan import OPTIMIZATIONS, Plan
from albert_edge.inspection.diff import diff
from albert_edge.runtime.device import CPU
from albert_edge.runtime.engine import load_engine
from albert_edge.validation.graph import check_model

BASE = Case("text-classification", Plan("portable", "loop"), config())
LONGEST = BASE.config.max_position_embeddings


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return BASE.write(tmp_path_factory.mktemp("base") / "model.onnx").read_bytes()


@pytest.mark.parametrize("name", GROWTHS)
def test_memory_that_depends_on_the_run_is_refused(name: str, base: bytes) -> None:
    content = grown(base, "logits", LONGEST, GROWTHS[name])
    arrays = short_text(BASE.declared().inputs)
    before, after = (
        onnxruntime.InferenceSession(model).run(["logits"], arrays)[0] for model in (base, content)
    )
    np.testing.assert_array_equal(after, before)  # so it is a model that onnxruntime runs
    model = stored(BASE.declared(), BASE.head, {"onnx/model.onnx": content})
    with pytest.raises(BundleError, match="was not written by albert-edge's native exporter"):
        load_engine(model, CPU, 1)


def test_memory_that_a_run_needs_anyway_is_accepted(base: bytes) -> None:
    def matrix(b: Builder) -> str:
        return b.node("Concat", b.length(), b.constant([8]), axis=0)

    check_model(memoryview(grown(base, "logits", LONGEST, matrix)), BASE.declared())


def test_the_number_of_heads_does_not_raise_what_is_allowed(base: bytes) -> None:
    def wide(b: Builder) -> str:
        return b.node("Concat", b.length(), b.constant([LONGEST * 4000]), axis=0)

    heads = replace(BASE.config, num_attention_heads=4096)
    content = memoryview(grown(base, "logits", LONGEST, wide))
    with pytest.raises(BundleError, match="larger than such a model needs"):
        check_model(content, BASE.declared(config=heads))


def test_a_name_is_constant_only_in_its_own_branch(tmp_path: Path) -> None:
    """The number of iterations in one branch has the name of a constant in the other."""
    exits = Plan("portable", "loop", OPTIMIZATIONS["portable"], exits=1)
    case = Case("multiple-choice", exits, config())
    model = onnx.load(case.write(tmp_path / "model.onnx"))
    builder = Builder(model, LONGEST)
    first, flag = builder.constant([0]), builder.constant(True, np.bool_)
    (choice,) = (node for node in all_nodes(model.graph) if node.op_type == "If")
    branches = {attribute.name: attribute.g for attribute in choice.attribute}
    constant = helper.make_node("Constant", [], ["many"], name="many", value_ints=[2])
    number = helper.make_node("Shape", ["input_ids"], ["many"], name="many", start=1, end=2)
    for name, source in ("then_branch", constant), ("else_branch", number):
        times = helper.make_node("Squeeze", ["many", first], ["times"], name="times")
        branches[name].node.extend([source, times])
    graph = branches["else_branch"]
    logits = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["once" if one == logits else one for one in node.output]
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", [a], [b], name=b) for a, b in (("b", "e"), ("c", "d"))],
        "body",
        [value("i", TensorProto.INT64, []), value("b", TensorProto.BOOL, []), value("c", 1, None)],
        [value("e", TensorProto.BOOL, []), value("d", 1, None)],
    )
    graph.node.append(
        helper.make_node("Loop", ["times", flag, "once"], [logits], name="loop", body=body)
    )
    with pytest.raises(BundleError, match="the number of iterations is not a constant"):
        check_model(memoryview(model.SerializeToString()), case.declared())


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of a stranger: its hashes are right, and its portable graph is not ours."""
    path = tmp_path / "bundle"
    shutil.copytree(DATA / "bundles" / "schema2", path)
    manifest = json.loads((path / MANIFEST).read_text())
    file = path / "onnx" / "model.onnx"
    content = grown(file.read_bytes(), "logits", 16, GROWTHS["compared with the length"])
    file.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (variant,) = (one for one in manifest["variants"] if one["name"] == "model")
    (record,) = variant["files"]["model"]
    record.update(sha256=digest, bytes=len(content))
    (path / MANIFEST).write_text(json.dumps(manifest))
    return path


COMMANDS: dict[str, Callable[[Path], object]] = {
    "optimize": albert_edge.optimize,
    "quantize": lambda path: albert_edge.quantize(path, texts=["the good film"] * 8),
    "inspect": albert_edge.inspect,
    "diff": lambda path: diff(DATA / "bundles" / "schema2", path),
    "bench": lambda path: albert_edge.bench(path, against=["torch"], device="cpu"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_reads_weights_refuses_the_graph(command: str, bundle: Path) -> None:
    before = sorted(bundle.rglob("*"))
    with pytest.raises(BundleError, match="was not written by albert-edge's native exporter"):
        COMMANDS[command](bundle)
    assert sorted(bundle.rglob("*")) == before
