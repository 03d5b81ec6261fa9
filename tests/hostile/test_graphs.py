"""Graphs of a stranger: refused by name, or they are ones that the exporter could have written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import AttributeProto, TensorProto
from support.authored import MASK, SHALLOW, Case, all_in, all_nodes, config
from support.graph_mutants import all_operators, mutant
from support.hostile import Row, failures, how_many, judge
from support.stored_models import short_text, stored

from albert_edge.graph.plan import OPTIMIZATIONS, Optimization, Plan, Precision
from albert_edge.onnx_format.wire_format import content_field, number_field
from albert_edge.runtime.device import CPU
from albert_edge.runtime.engine import load_engine
from albert_edge.validation.graph_operators import OPERATORS

_CPU, _CUDA = OPTIMIZATIONS["cpu"], OPTIMIZATIONS["cuda"]
BASES = [
    Case("fill-mask", Plan(), config(**SHALLOW)),
    Case("question-answering", Plan("portable", "loop"), config()),
    Case("multiple-choice", Plan(), config(**SHALLOW)),
    Case("text-classification", Plan("cpu", "loop", _CPU), config()),
    Case(
        "text-classification",
        Plan("cpu", "loop", _CPU, precisions=all_in(Precision.INT8), smoothed=True),
        config(),
    ),
    Case(
        "feature-extraction",
        Plan("cpu", "unrolled", _CPU, precisions=all_in(Precision.INT4), smoothed=True),
        config(**SHALLOW),
    ),
    Case(
        "token-classification",
        Plan("cpu", "loop", _CPU, precisions=all_in(Precision.INT8), smoothed=True, exits=3),
        config(),
    ),
    Case("text-classification", Plan("portable", "loop", exits=2), config()),
    Case(
        "fill-mask",
        Plan("cpu", "loop", _CPU | {Optimization.MASKED_LOGITS}, MASK),
        config(**SHALLOW),
    ),
    Case(
        "text-classification",
        Plan("cuda", "unrolled", _CUDA, precisions=all_in(Precision.FP16)),
        config(**SHALLOW),
    ),
]
NAME = "onnx/model.onnx"
MIB = 64.0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The unchanged files."""
    path = tmp_path_factory.mktemp("bases") / "model.onnx"
    return [base.write(path).read_bytes() for base in BASES]


def load_and_run(case: tuple[int, bytes]) -> bool:
    """Load a model as a session does, and run a short text."""
    which, content = case
    base = BASES[which]
    model = stored(base.declared(), base.head, {NAME: content})
    engine = load_engine(model, CPU, 1)
    arrays = short_text(base.declared().inputs)
    try:
        engine.run(None, arrays)
    except Exception:  # an error of onnxruntime does no harm: a session reports it
        return False
    return True


def test_unchanged_files_are_accepted(files: list[bytes]) -> None:
    verdicts = judge(load_and_run, [(str(i), (i, file)) for i, file in enumerate(files)])
    assert [(one.outcome, one.value) for one in verdicts] == [("accepted", True)] * len(files)


def test_mutants_are_refused_or_ours(files: list[bytes], report: Callable[[Row], None]) -> None:
    numbers = range(how_many(500, 12_000))
    # What is between one and the other is made again in the child: it need not be kept.
    cases = [(str(number), partial(_payload, number, files)) for number in numbers]
    verdicts = judge(load_and_run, cases, mib=MIB)
    # onnxruntime may refuse what is ours, as a sum of shapes that do not fit.
    accepted = [one for one in verdicts if one.outcome == "accepted" or "cannot load" in one.detail]
    strange = []
    for one in accepted:
        name, which, content = mutant(int(one.name), files)
        if fault := _is_not_ours(content, files[which], BASES[which]):
            strange.append((name, fault))
    broken = [
        (mutant(int(one.name), files)[0], one.outcome, one.detail) for one in failures(verdicts)
    ]
    row = Row.of("A graph that the exporter cannot write is refused", verdicts)
    report(
        Row(row.promise, row.cases, len(broken) + len(strange), row.worst_seconds, row.worst_mib)
    )
    assert not strange
    assert not broken
    assert len(accepted) > len(verdicts) // 100  # changed weights, for one


def _payload(number: int, files: list[bytes]) -> tuple[int, bytes]:
    _, which, content = mutant(number, files)
    return which, content


def test_every_other_operator_is_refused(files: list[bytes], report: Callable[[Row], None]) -> None:
    """In place of a node, with its inputs and without attributes."""
    model = onnx.load_from_string(files[0])
    cases: list[tuple[str, object]] = []
    operators = all_operators()[:: how_many(9, 1)]
    for domain, name in operators:
        if (f"{domain}.{name}" if domain else name) in OPERATORS["portable"]:
            continue
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        node = changed.graph.node[len(cases) % len(changed.graph.node)]
        node.domain, node.op_type = domain, name
        cases.append((f"{domain}.{name}", (0, changed.SerializeToString())))
    verdicts = judge(load_and_run, cases, mib=MIB)
    report(Row.of("An operator that the exporter does not use is refused", verdicts))
    assert {one.outcome for one in verdicts} == {"refused"}
    assert all("was not written by albert-edge" in one.detail for one in verdicts)
    assert len(verdicts) > how_many(40, 350)


def test_files_of_many_parts_are_refused_at_once(
    files: list[bytes], report: Callable[[Row], None]
) -> None:
    """Millions of empty messages, long lists and deep nesting, which a parser must not follow."""
    many, nested = 3_000_000, b""
    for _ in range(3000):
        nested = content_field(1, content_field(5, content_field(6, nested)))
    graphs = {
        "nodes": b"\x0a\0" * many,
        "inputs of a node": content_field(1, b"\x0a\0" * many),
        "initializers": b"\x2a\0" * many,
        "dimensions": content_field(5, b"\x08\x01" * many),
        "external data": content_field(5, b"\x6a\0" * many),
        "inputs": b"\x5a\0" * many,
        "descriptions": b"\x6a\0" * many,
        "attributes": content_field(1, b"\x2a\0" * many),
        "numbers": content_field(1, content_field(5, b"\x40\x01" * many)),
        "graphs in graphs": nested,
    }
    head = number_field(1, 8) + content_field(2, b"albert-edge")
    cases = [(name, (0, head + content_field(7, graph))) for name, graph in graphs.items()]
    cases.append(("operator sets", (0, head + b"\x42\0" * many)))
    verdicts = judge(load_and_run, cases, mib=MIB)
    report(Row.of("A file of millions of parts is refused at once", verdicts))
    assert [one.outcome for one in verdicts] == ["refused"] * len(cases)


# --- the onnx package as the judge ----------------------------------------------------------


def _is_not_ours(content: bytes, unchanged: bytes, base: Case) -> str:
    """What of an accepted model no exporter writes, by the onnx package; "" for nothing.

    The table of operators is compared with what the exporters write in tests/validation.
    """
    model, own = onnx.load_from_string(content), onnx.load_from_string(unchanged)
    same = ("ir_version", "opset_import", "producer_name", "domain", "model_version", "functions")
    for name in (*same, "training_info", "metadata_props", "doc_string"):
        if getattr(model, name) != getattr(own, name):
            return name
    if list(model.graph.input) != list(own.graph.input):
        return "inputs"
    names = [[value.name for value in one.graph.output] for one in (model, own)]
    if names[0] != names[1] or model.graph.sparse_initializer:
        return "outputs"
    table = OPERATORS[base.plan.target]
    for node in all_nodes(model.graph):
        name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        if name not in table or node.doc_string or node.overload:
            return f"operator {name}"
        for attribute in node.attribute:
            rule = table[name].attributes.get(attribute.name)
            if attribute.ref_attr_name or rule is None:
                return f"{name}.{attribute.name}"
            if attribute.type in (AttributeProto.GRAPH, AttributeProto.TENSOR):
                continue
            value: Any = onnx.helper.get_attribute_value(attribute)
            value = value.decode() if isinstance(value, bytes) else value
            value = tuple(value) if attribute.type == AttributeProto.INTS else value
            kinds = () if callable(rule) else tuple({type(one) for one in rule})
            if not (rule(value) if callable(rule) else isinstance(value, kinds) and value in rule):
                return f"{name}.{attribute.name} {value}"
    return next(filter(None, map(_odd_tensor, model.graph.initializer)), "")


def _odd_tensor(tensor: TensorProto) -> str:
    width = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    whole = len(tensor.raw_data) == width * int(_product(tensor.dims))
    others = {field.name for field, _ in tensor.ListFields()}
    plain = others <= {"name", "data_type", "dims", "raw_data"}
    return "" if whole and plain else f"tensor {tensor.name}"


def _product(sizes: Any) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result


def test_errors_name_the_file_the_node_and_what_to_do(files: list[bytes], tmp_path: Path) -> None:
    from albert_edge.errors import BundleError

    model = onnx.load_from_string(files[0])
    model.graph.node[5].op_type = "ImageDecoder"
    base = BASES[0]
    with pytest.raises(BundleError) as caught:
        load_and_run((0, model.SerializeToString()))
    message = str(caught.value)
    assert f"bundle/{NAME} was not written by albert-edge's native exporter" in message
    assert model.graph.node[5].name in message and "ImageDecoder" in message
    assert "Do not use this bundle" in caught.value.tip
    assert base.head == "fill-mask"
