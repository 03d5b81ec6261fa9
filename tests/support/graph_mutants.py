"""Models as a stranger may write them: files of the exporter, changed at random.

Changes are made with the onnx package, or in the bytes. A mutant follows from its number alone.
"""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, defs, helper, numpy_helper

from albert_edge.onnx_format.wire_format import content_field, key_and_length, number_field
from support.authored import all_nodes

Random = random.Random
Mutation = Callable[[Random, onnx.ModelProto], None]
HUGE = 2**31


@cache
def all_operators() -> list[tuple[str, str]]:
    """Every operator that onnx or onnxruntime knows: domain and name."""
    from onnxruntime.capi import onnxruntime_pybind11_state as runtime

    known = {(schema.domain, schema.name) for schema in defs.get_all_schemas_with_history()}
    known |= {(schema.domain, schema.name) for schema in runtime.get_all_operator_schema()}
    return sorted(known)


def graphs(model: onnx.ModelProto) -> list[onnx.GraphProto]:
    """The graph and those in it."""
    inner = [
        attribute.g
        for node in all_nodes(model.graph)
        for attribute in node.attribute
        if attribute.type == AttributeProto.GRAPH
    ]
    return [model.graph, *inner]


def values_of(model: onnx.ModelProto) -> list[str]:
    """Names that nodes may read."""
    graph = model.graph
    names = [one.name for one in graph.initializer] + [one.name for one in graph.input]
    return names + [name for node in graph.node for name in node.output]


def a_node(rng: Random, model: onnx.ModelProto) -> onnx.NodeProto:
    """Any node."""
    nodes: list[onnx.NodeProto] = [node for graph in graphs(model) for node in graph.node]
    return rng.choice(nodes)


def add_node(
    rng: Random, model: onnx.ModelProto, node: onnx.NodeProto, at: int | None = None
) -> None:
    """Insert a node; where it can, some later node of the graph reads its first output."""
    place = rng.randrange(len(model.graph.node) + 1) if at is None else at
    later = [one for one in model.graph.node[place:] if one.input]
    model.graph.node.insert(place, node)
    if later and node.output and rng.random() < 0.6:
        reader = rng.choice(later)
        for one in model.graph.node[place + 1 :]:
            if one.name == reader.name:
                one.input[rng.randrange(len(one.input))] = node.output[0]


def constant(model: onnx.ModelProto, name: str, value: Any, dtype: Any = np.int64) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
    return name


# --- operators and attributes ---------------------------------------------------------------


def other_operator(rng: Random, model: onnx.ModelProto) -> None:
    node = a_node(rng, model)
    node.domain, node.op_type = rng.choice(all_operators())
    _import(model, node.domain)


def foreign_node(rng: Random, model: onnx.ModelProto) -> None:
    domain, name = rng.choice(all_operators())
    names = values_of(model)
    inputs = [rng.choice(names) for _ in range(rng.randrange(5))]
    outputs = [f"new_{i}" for i in range(rng.randrange(1, 3))]
    node = helper.make_node(name, inputs, outputs, name="new", domain=domain)
    _import(model, domain)
    add_node(rng, model, node)


def _import(model: onnx.ModelProto, domain: str) -> None:
    if domain not in {entry.domain for entry in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(domain, 1))


_ATTRIBUTES: list[Any] = [
    0,
    1,
    -1,
    3,
    2**31,
    -(2**63),
    0.5,
    float("nan"),
    1e30,
    "",
    "none",
    "x" * 99,
]
_ATTRIBUTES += [[0], [1, 2], [HUGE], [0.5], ["a", "b"], [0, 2, 1, 3], [3, 1, 0, 2]]


def other_attribute(rng: Random, model: onnx.ModelProto) -> None:
    having = [node for graph in graphs(model) for node in graph.node if node.attribute]
    node = rng.choice(having)
    index = rng.randrange(len(node.attribute))
    changed = helper.make_attribute(node.attribute[index].name, rng.choice(_ATTRIBUTES))
    node.attribute[index].CopyFrom(changed)


def added_attribute(rng: Random, model: onnx.ModelProto) -> None:
    names = ["axis", "to", "perm", "epsilon", "alpha", "value", "body", "keepdims", "mode", "start"]
    attribute = helper.make_attribute(rng.choice(names), rng.choice(_ATTRIBUTES))
    a_node(rng, model).attribute.append(attribute)


def removed_attribute(rng: Random, model: onnx.ModelProto) -> None:
    having = [node for graph in graphs(model) for node in graph.node if node.attribute]
    node = rng.choice(having)
    del node.attribute[rng.randrange(len(node.attribute))]


def odd_attribute(rng: Random, model: onnx.ModelProto) -> None:
    having = [node for graph in graphs(model) for node in graph.node if node.attribute]
    node = rng.choice(having)
    attribute = rng.choice(node.attribute)
    match rng.randrange(7):
        case 0:
            node.attribute.append(attribute)  # twice
        case 5:  # a number of the other kind
            number = (
                float(attribute.i) if attribute.type == AttributeProto.INT else int(attribute.f)
            )
            attribute.CopyFrom(helper.make_attribute(attribute.name, number))
        case 6:
            attribute.CopyFrom(helper.make_attribute(attribute.name, _turn(model, "Add")))
        case 1:
            attribute.ref_attr_name = "other"
        case 2:
            attribute.type = rng.randrange(20)
        case 3:
            attribute.doc_string = "text"
        case _:
            attribute.floats.append(1.0)  # beside its value


# --- functions, loops, branches -------------------------------------------------------------


def functions(rng: Random, model: onnx.ModelProto) -> None:
    """Functions that call each other: each level twice as many nodes."""
    opsets = [helper.make_opsetid("", model.opset_import[0].version), helper.make_opsetid("own", 1)]
    depth = rng.choice([1, 3, 30])
    for level in range(depth):
        inner = "Neg" if level == 0 else f"f{level - 1}"
        domain = "" if level == 0 else "own"
        nodes = [
            helper.make_node(inner, ["x"], ["y"], domain=domain),
            helper.make_node(inner, ["y"], ["z"], domain=domain),
        ]
        model.functions.append(
            helper.make_function("own", f"f{level}", ["x"], ["z"], nodes, opsets)
        )
    _import(model, "own")
    name = rng.choice(values_of(model))
    node = helper.make_node(f"f{depth - 1}", [name], ["new"], domain="own", name="new")
    add_node(rng, model, node)


def _turn(model: onnx.ModelProto, kind: str) -> onnx.GraphProto:
    """A body that adds a carried value to itself, or joins it to itself."""
    node = helper.make_node(kind, ["c", "c"], ["d"], name="turn")
    if kind == "Concat":
        node.attribute.append(helper.make_attribute("axis", 0))
    flag = helper.make_node("Identity", ["b"], ["e"], name="flag")
    value = helper.make_tensor_value_info
    return helper.make_graph(
        [flag, node],
        "body",
        [value("i", 7, []), value("b", 9, []), value("c", 1, None)],
        [value("e", 9, []), value("d", 1, None)],
    )


def foreign_loop(rng: Random, model: onnx.ModelProto) -> None:
    times = constant(model, "times", rng.choice([1, 2, 20, HUGE, 2**62, -1]))
    flag = constant(model, "flag", True, np.bool_)
    carried = constant(model, "carried", np.zeros(rng.choice([1, 1000])), np.float32)
    body = _turn(model, rng.choice(["Add", "Concat", "Mul"]))
    node = helper.make_node("Loop", [times, flag, carried], ["new"], name="new", body=body)
    add_node(rng, model, node)


def foreign_branch(rng: Random, model: onnx.ModelProto) -> None:
    flag = constant(model, "flag", True, np.bool_)
    branch = _turn(model, "Add")
    node = helper.make_node(
        "If", [flag], ["new"], name="new", then_branch=branch, else_branch=branch
    )
    add_node(rng, model, node)


def other_times(rng: Random, model: onnx.ModelProto) -> None:
    loops = [node for node in all_nodes(model.graph) if node.op_type == "Loop"]
    if not loops:
        return foreign_loop(rng, model)
    node = rng.choice(loops)
    for tensor in model.graph.initializer:
        if tensor.name == node.input[0] and rng.random() < 0.7:
            value = np.asarray(rng.choice([0, -1, 3, 5, 9, 100, HUGE, 2**62]), np.int64)
            tensor.raw_data = value.tobytes()
            return None
    node.input[rng.randrange(len(node.input))] = rng.choice(["", *values_of(model)])
    return None


# --- tensors --------------------------------------------------------------------------------


def a_tensor(rng: Random, model: onnx.ModelProto) -> TensorProto:
    """Any initializer."""
    tensors: list[TensorProto] = [*model.graph.initializer]
    return rng.choice(tensors)


def other_dims(rng: Random, model: onnx.ModelProto) -> None:
    tensor = a_tensor(rng, model)
    match rng.randrange(4):
        case 0:
            tensor.dims.append(rng.choice([0, 1, 2, HUGE, 2**40, -1]))
        case 1 if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice([0, 1, HUGE, 2**62, -5])
        case 2:
            tensor.dims[:] = [2**32, 2**32, len(tensor.raw_data) // 4 or 1]  # 2**64 is 0 in 64 bits
        case _:
            tensor.dims[:] = [1] * rng.choice([8, 9, 500]) + [*tensor.dims]


def other_type(rng: Random, model: onnx.ModelProto) -> None:
    a_tensor(rng, model).data_type = rng.randrange(30)


def other_integers(rng: Random, model: onnx.ModelProto) -> None:
    """Shapes, axes and bounds."""
    integers = [t for t in model.graph.initializer if t.data_type == TensorProto.INT64]
    tensor = rng.choice(integers)
    values = numpy_helper.to_array(tensor).copy().reshape(-1)
    values[rng.randrange(len(values))] = rng.choice([0, 1, -1, 2, 7, 1000, 2**20, HUGE, 2**62])
    tensor.raw_data = values.tobytes()


def typed_data(rng: Random, model: onnx.ModelProto) -> None:
    tensor = a_tensor(rng, model)
    if rng.random() < 0.5:
        tensor.ClearField("raw_data")
    match rng.randrange(3):
        case 0:
            tensor.float_data.extend([0.5] * 8)
        case 1:
            tensor.string_data.append(b"text")
            tensor.data_type = TensorProto.STRING
        case _:
            tensor.int64_data.extend([1, 2])


def sparse(rng: Random, model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "indices")
    tensor = helper.make_sparse_tensor(values, indices, [2**40])
    model.graph.sparse_initializer.append(tensor)
    name = rng.choice(values_of(model))
    add_node(rng, model, helper.make_node("Add", [name, "sparse"], ["new"], name="new"))


def other_values(rng: Random, model: onnx.ModelProto) -> None:
    """Weights may be any numbers."""
    tensor = rng.choice([t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT])
    tensor.raw_data = rng.randbytes(len(tensor.raw_data))


def elsewhere(rng: Random, model: onnx.ModelProto) -> None:
    """External data that the bundle does not list."""
    tensor = a_tensor(rng, model)
    tensor.data_location = TensorProto.EXTERNAL
    places = ["data", "/etc/passwd", "../data", "model.onnx", "", ".", "config.json", "a/b", "a\\b"]
    entries = [("location", rng.choice(places)), ("offset", "0"), ("length", "4")]
    for key, value in rng.choice([entries, entries[:1], [*entries, *entries]]):
        tensor.external_data.add(key=key, value=value)
    if rng.random() < 0.7:
        tensor.ClearField("raw_data")


# --- values that grow -----------------------------------------------------------------------


def growing(rng: Random, model: onnx.ModelProto) -> None:
    """Chains of allowed operators, each of which doubles, squares or repeats what it reads."""
    value = rng.choice(values_of(model))
    kind = rng.choice(["Concat", "MatMul", "Add", "Expand", "Pad", "Gather", "Unsqueeze"])
    small = constant(model, "small", [[0.5] * 64], np.float32)
    value = rng.choice([value, small])
    for level in range(rng.choice([2, 8, 30, 60])):
        name = f"grown_{level}"
        extra: dict[str, Any] = {}
        inputs = [value, value]
        match kind:
            case "Concat":
                extra = {"axis": rng.choice([0, -1])}
            case "Expand" | "Pad" | "Gather" | "Unsqueeze":
                size = [2**level, 64] if kind == "Expand" else rng.choice([[0, 1, 1, 0], [0], [2]])
                inputs = [value, constant(model, f"size_{level}", size)]
                if kind == "Gather":
                    inputs = [value, constant(model, f"at_{level}", [[0] * 64])]
            case "Add":
                turned = f"turned_{level}"
                node = helper.make_node("Transpose", [value], [turned], name=turned, perm=[1, 0])
                model.graph.node.append(node)
                inputs = [value, turned]
        model.graph.node.append(helper.make_node(kind, inputs, [name], name=name, **extra))
        value = name


def constant_bomb(rng: Random, model: onnx.ModelProto) -> None:
    """What onnxruntime computes while it loads."""
    size = rng.choice([[2**30], [2**20, 2**12], [1, 1], [2**62]])
    shape = constant(model, "bomb_shape", size)
    match rng.randrange(3):
        case 0:
            filler = numpy_helper.from_array(np.array([np.inf], np.float32))
            node = helper.make_node("ConstantOfShape", [shape], ["bomb"], name="bomb", value=filler)
        case 1:
            one = constant(model, "bomb_one", [1.0], np.float32)
            node = helper.make_node("Expand", [one, shape], ["bomb"], name="bomb")
        case _:
            table = model.graph.initializer[-2].name
            node = helper.make_node("Gather", [table, shape], ["bomb"], name="bomb")
    add_node(rng, model, node, at=0)


# --- names and order ------------------------------------------------------------------------


def rewired(rng: Random, model: onnx.ModelProto) -> None:
    node = a_node(rng, model)
    if node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(["", "nobody", *values_of(model)])


def renamed_output(rng: Random, model: onnx.ModelProto) -> None:
    node = a_node(rng, model)
    node.output[0] = rng.choice(["", "nobody", *values_of(model)])


def reordered(rng: Random, model: onnx.ModelProto) -> None:
    graph = rng.choice(graphs(model))
    nodes = [*graph.node]
    first, second = rng.randrange(len(nodes)), rng.randrange(len(nodes))
    nodes[first], nodes[second] = nodes[second], nodes[first]
    del graph.node[:]
    graph.node.extend(nodes)


def removed_node(rng: Random, model: onnx.ModelProto) -> None:
    graph = rng.choice(graphs(model))
    del graph.node[rng.randrange(len(graph.node))]


def repeated_node(rng: Random, model: onnx.ModelProto) -> None:
    graph = model.graph
    node = onnx.NodeProto()
    node.CopyFrom(rng.choice(graph.node))
    times = rng.choice([1, 3, 3000])
    for count in range(times):
        copy = graph.node.add()
        copy.CopyFrom(node)
        copy.output[:] = [f"copy_{count}_{place}" for place in range(len(node.output))]


def repeated_tensor(rng: Random, model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer.add()
    tensor.CopyFrom(a_tensor(rng, model))
    if rng.random() < 0.5:
        tensor.name = rng.choice(values_of(model))


# --- what the model takes and gives ---------------------------------------------------------


def other_interface(rng: Random, model: onnx.ModelProto) -> None:
    graph = model.graph
    values = rng.choice([graph.input, graph.output])
    value = rng.choice(values)
    match rng.randrange(6):
        case 0:
            value.name = rng.choice(["other", *values_of(model)])
        case 1:
            value.type.tensor_type.elem_type = rng.randrange(20)
        case 2 if value.type.tensor_type.shape.dim:
            dim = rng.choice(value.type.tensor_type.shape.dim)
            dim.dim_value = rng.choice([0, 1, 2, 2**20, -1])
        case 3:
            values.remove(value)
        case 4:
            name = rng.choice([node.output[0] for node in graph.node])
            values.append(helper.make_tensor_value_info(name, 1, None))
        case _:
            value.type.sequence_type.elem_type.tensor_type.elem_type = 1


def described(rng: Random, model: onnx.ModelProto) -> None:
    name = rng.choice(values_of(model))
    shape = rng.choice([[1], [2**30], [2**20, 2**20], ["n"], None])
    model.graph.value_info.append(helper.make_tensor_value_info(name, rng.choice([1, 7]), shape))


# --- the file -------------------------------------------------------------------------------


def other_format(rng: Random, model: onnx.ModelProto) -> None:
    match rng.randrange(7):
        case 0:
            model.ir_version = rng.choice([0, 3, 4, 8, 11, 12, 99])
        case 1:
            rng.choice(model.opset_import).version = rng.choice([1, 7, 17, 21, 23, 24, 99])
        case 2:
            _import(model, rng.choice(["ai.onnx.ml", "com.microsoft", "own", "ai.onnx.training"]))
        case 3:
            model.metadata_props.add(key="ort_config", value='{"session_options": {}}')
        case 4:
            model.producer_name = rng.choice(["", "pytorch", "other"])
        case 5:
            model.training_info.add().initialization.CopyFrom(model.graph)
        case _:
            model.graph.quantization_annotation.add(tensor_name="x")


def odd_fields(rng: Random, model: onnx.ModelProto) -> None:
    match rng.randrange(4):
        case 0:
            model.doc_string = "text"
        case 1:
            model.graph.doc_string = "text"
        case 2:
            a_node(rng, model).doc_string = "text"
        case _:
            a_node(rng, model).overload = "other"


MUTATIONS: list[Mutation] = [
    *(other_operator, foreign_node, foreign_node, other_attribute, added_attribute),
    *(removed_attribute, odd_attribute, functions, foreign_loop, foreign_branch, other_times),
    *(other_dims, other_type, other_integers, other_integers, typed_data, sparse, other_values),
    *(elsewhere, growing, growing, constant_bomb, rewired, rewired, renamed_output, reordered),
    *(removed_node, repeated_node, repeated_tensor, other_interface, other_interface, described),
    *(other_format, odd_fields),
]


def _in_bytes(rng: Random, content: bytes) -> bytes:
    """Change the file without regard to what it means."""
    match rng.randrange(7):
        case 0:
            return content[: rng.randrange(len(content))]
        case 1:
            return content + rng.randbytes(rng.choice([1, 8, 100]))
        case 2:
            at = rng.randrange(len(content))
            return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
        case 3:  # as onnxruntime recognizes its own format
            return rng.choice([content[:4] + b"ORTM" + content[8:], b"\x20\0\0\0ORTM" + content])
        case 4:  # another graph, which protobuf merges with the first
            graph = content_field(7, content_field(2, b"second"))
            return rng.choice([content + graph, graph + content])
        case 5:
            number = rng.choice([1, 2, 5, 7, 8, 14, 20, 25, 26, 1000])
            field = rng.choice([number_field(number, 1), content_field(number, rng.randbytes(4))])
            return rng.choice([content + field, field + content])
        case _:
            at = rng.randrange(len(content))
            patch = rng.choice([key_and_length(9, HUGE), struct.pack("<q", -1), rng.randbytes(6)])
            return content[:at] + patch + content[at + len(patch) :]


def mutant(number: int, bases: list[bytes]) -> tuple[str, int, bytes]:
    """Make a mutant: its name, the number of its base, and its content."""
    rng = random.Random(number)
    which = rng.randrange(len(bases))
    if rng.random() < 0.15:
        return f"{number} bytes", which, _in_bytes(rng, bases[which])
    model = onnx.load_from_string(bases[which])
    done = []
    for _ in range(rng.choice([1, 1, 1, 2])):
        mutation = rng.choice(MUTATIONS)
        # There may be nothing to change, or nothing that the onnx package can still read.
        with contextlib.suppress(IndexError, ValueError, TypeError, KeyError, struct.error):
            mutation(rng, model)
        done.append(mutation.__name__)
    return f"{number} {' and '.join(done)}", which, model.SerializeToString()
