"""The allow-list of operators against what the exporters write."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import onnx
import pytest
from support.authored import all_nodes, cases, written

from albert_edge.validation.graph import check_model
from albert_edge.validation.graph_messages import read_model
from albert_edge.validation.graph_operators import OPERATORS, Operator
from albert_edge.validation.graph_parts import Graph
from albert_edge.validation.graph_sizes import RULES
from albert_edge.validation.graph_walk import IF, LOOP

TARGETS = ["cpu", "cuda", "portable"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authored")


def test_what_the_exporter_writes_is_accepted(folder: Path) -> None:
    for case, content in written(folder):
        check_model(memoryview(content), case.declared())


@pytest.mark.parametrize("target", TARGETS)
def test_the_table_has_what_the_exporter_writes_and_nothing_else(target: str, folder: Path) -> None:
    """By the onnx package: forms of inputs, numbers of outputs, attributes and their values."""
    forms: dict[str, set[str]] = defaultdict(set)
    outputs: dict[str, set[int]] = defaultdict(set)
    values: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for case, content in written(folder):
        if case.plan.target != target:
            continue
        ours = _graphs_and_tensors(content)
        for node in all_nodes(onnx.load_from_string(content).graph):
            name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            forms[name].add("".join("x" if one else "_" for one in node.input))
            outputs[name].add(len(node.output))
            for one in node.attribute:
                values[name, one.name].append(_value(one, ours[node.name]))
    table = OPERATORS[target]
    assert {name: row.inputs for name, row in table.items()} == forms
    assert {name: row.outputs for name, row in table.items()} == outputs
    allowed = {(name, key): v for name, row in table.items() for key, v in row.attributes.items()}
    assert allowed.keys() == values.keys()
    for place, found in values.items():
        rule = allowed[place]
        assert all(map(rule, found)) if callable(rule) else rule == {*found}, place


def _value(attribute: onnx.AttributeProto, ours: dict[str, Any]) -> Any:
    if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.TENSOR):
        return ours[attribute.name]
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    return tuple(value) if attribute.type == onnx.AttributeProto.INTS else value


def _graphs_and_tensors(content: bytes) -> dict[str, dict[str, Any]]:
    """The attributes of every node as the checker reads them."""

    def walk(graph: Graph) -> None:
        for node in graph.nodes:
            found[node.name] = dict(node.attributes)
            for value in node.attributes.values():
                if isinstance(value, Graph):
                    walk(value)

    found: dict[str, dict[str, Any]] = {}
    walk(read_model(memoryview(content)).graph)
    return found


def test_every_operator_has_a_rule_for_sizes() -> None:
    from albert_edge.validation.graph_operators import OPTIMUM

    tables: list[Any] = [*OPERATORS.values(), OPTIMUM]
    named = {name for table in tables for name in table}
    assert named == {*RULES, LOOP, IF}
    assert all(isinstance(row, Operator) for table in tables for row in table.values())


def test_cases_are_many() -> None:
    assert len({case.name for case in cases()}) > 45
