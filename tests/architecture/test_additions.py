"""What has to be touched to add a head, a precision or a target, as CONTRIBUTING says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import albert_edge
from albert_edge.architecture.heads import HEADS
from albert_edge.architecture.precisions import Compressed
from albert_edge.bundle.bundle import open_bundle
from albert_edge.compress.options import COMPRESSIONS
from albert_edge.graph import build
from albert_edge.graph.heads import MODULES
from albert_edge.graph.operators.cpu import Cpu
from albert_edge.graph.plan import OPTIMIZATIONS
from albert_edge.runtime.session import Session
from albert_edge.validation.graph import FORMATS
from albert_edge.validation.graph_operators import OPERATORS

PACKAGE = Path(albert_edge.__file__).parent


def words(path: Path) -> Iterator[str]:
    """The strings of a module that stand in its code, and the names it looks up."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documents:
            yield str(node.value)
        elif isinstance(node, ast.Attribute):
            yield node.attr


def mentioning(*wanted: str) -> set[str]:
    """The files of the package whose code mentions one of these."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if not {*wanted}.isdisjoint(words(path))
    }


def test_a_head_is_a_row_and_a_module() -> None:
    assert MODULES.keys() == HEADS.keys()
    # No task has this name, so what mentions it knows the head. optimum has no exporter for it.
    exceptions = {"steps/exporters/optimum.py", "benchmark/peers/optimum.py"}
    needed = {"architecture/heads.py", "graph/heads.py"}
    assert mentioning("pretraining", "AlbertForPreTraining") - exceptions == needed


def test_a_precision_is_a_name_a_way_to_store_it_and_its_options() -> None:
    assert tuple(COMPRESSIONS) == get_args(Compressed)
    needed = {"architecture/precisions.py", "graph/plan.py", "compress/options.py"}
    assert mentioning("int8-block", "INT8_BLOCK") == needed


class MadeUp(Cpu):
    """Operators of a target that does not exist."""


def test_a_target_is_its_operators_and_four_rows(
    checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its operators, a row of their class and of its optimizations, and what may be loaded."""
    targets: dict[Any, Any] = build.TARGETS  # the type of a target names those there are
    optimizations: dict[Any, Any] = OPTIMIZATIONS
    monkeypatch.setitem(targets, "made-up", MadeUp)
    monkeypatch.setitem(optimizations, "made-up", OPTIMIZATIONS["cpu"])
    monkeypatch.setitem(OPERATORS, "made-up", OPERATORS["cpu"])
    monkeypatch.setitem(FORMATS, "made-up", FORMATS["cpu"])
    albert_edge.export(checkpoint("text-classification"), tmp_path / "bundle")
    wanted: Any = "made-up"
    report = albert_edge.optimize(tmp_path / "bundle", target=wanted)
    assert report.variant.target == "made-up"
    (variant,) = (v for v in open_bundle(report.bundle).manifest.variants if v.target == wanted)
    ids = np.arange(5, 14)[None]
    runs = [
        Session(report.bundle, device="cpu", variant=name).run({"input_ids": ids})
        for name in ("model", variant.name)
    ]
    np.testing.assert_allclose(runs[0]["logits"], runs[1]["logits"], rtol=0, atol=1e-4)
